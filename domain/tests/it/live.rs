//! What use cases publish, what every process hears of it, and what coming back costs.

use std::time::Duration;

use domain::{
    Ctx,
    analysis::{self, MAX_ATTEMPTS},
    ids::{PostId, UserId},
    live::{self, Arrival, Event, Feed, Heard, Mark, MissedPosts},
    testing::{self, PrivateRedis, posts as given},
};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

use crate::{
    analysis::{claims, hint, verdict},
    statements::Statements,
};

/// Somebody who hears, from here on.
async fn listener(ctx: &Ctx) -> UnboundedReceiver<Heard> {
    let mut heard = live::listen(ctx);
    assert_eq!(next(&mut heard).await, Heard::Begins);
    heard
}

async fn next(heard: &mut UnboundedReceiver<Heard>) -> Heard {
    let next = timeout(Duration::from_secs(30), heard.recv()).await;
    next.unwrap().unwrap()
}

fn analysed(post: PostId, author: UserId) -> Heard {
    Heard::Event(Event::Analysis { post, author })
}

fn relation(viewer: i64) -> Event {
    Event::Relation {
        viewer: UserId(viewer),
    }
}

#[tokio::test]
async fn a_verdict_and_its_failing_for_good_are_published() {
    let ctx = testing::ctx().await;
    let mut heard = listener(&ctx).await;
    let author = given::author(&ctx).await;
    let post = given::write(&ctx, &author, "a fine day").await;
    let job = hint(&post, 1);
    assert!(claims(&ctx, &job, "a").await);
    let finish = async || {
        analysis::finish(&ctx, &job, "a", &verdict(""))
            .await
            .unwrap()
    };
    assert!(finish().await.is_some());
    assert!(finish().await.is_none(), "and a second time is no news");
    assert_eq!(next(&mut heard).await, analysed(post.id, author.id));

    let post = given::write(&ctx, &author, "another day").await;
    let job = hint(&post, 1);
    for _ in 0..MAX_ATTEMPTS {
        given::make_due(&ctx).await;
        assert!(claims(&ctx, &job, "a").await);
        analysis::fail(&ctx, &job, "a", "why").await.unwrap();
    }
    assert_eq!(next(&mut heard).await, analysed(post.id, author.id));
    live::publish(&ctx, &[relation(7)]).await;
    assert_eq!(
        next(&mut heard).await,
        Heard::Event(relation(7)),
        "and nothing else came"
    );
}

#[tokio::test]
async fn every_kind_of_event_is_heard_as_it_was_published_and_only_under_its_prefix() {
    let ctx = testing::ctx().await;
    let other = testing::ctx().await;
    let mut heard = listener(&ctx).await;
    let events = [
        Event::Posts {
            posts: vec![
                Arrival {
                    post: PostId(1),
                    author: UserId(2),
                    answered: None,
                    original: None,
                },
                Arrival {
                    post: PostId(3),
                    author: UserId(4),
                    answered: Some(UserId(5)),
                    original: Some(UserId(6)),
                },
            ],
        },
        Event::Analysis {
            post: PostId(1),
            author: UserId(2),
        },
        Event::Counts {
            post: PostId(1),
            likes: 2,
            reposts: 3,
            replies: 4,
        },
        Event::Notification {
            user: UserId(1),
            id: Some(2),
            unread: 3,
        },
        relation(1),
    ];
    live::publish(&other, &[relation(9)]).await;
    live::publish(&ctx, &events).await;
    for event in events {
        assert_eq!(next(&mut heard).await, Heard::Event(event));
    }
}

#[tokio::test]
async fn listening_outlives_redis() {
    let mut redis = PrivateRedis::start();
    let ctx = testing::replica(&testing::database().await, &redis.config);
    redis.stop();
    let mut heard = live::listen(&ctx);
    for round in 0..2 {
        redis.start_again();
        assert_eq!(next(&mut heard).await, Heard::Begins);
        // A call that failed while Redis was away is not tried again at once.
        testing::eventually("Redis to be back", async || ctx.redis.ping().await.is_ok()).await;
        live::publish(&ctx, &[relation(round)]).await;
        assert_eq!(next(&mut heard).await, Heard::Event(relation(round)));
        redis.stop();
        assert_eq!(next(&mut heard).await, Heard::Ends);
    }
}

#[tokio::test]
async fn coming_back_costs_the_same_however_much_was_missed() {
    let ctx = testing::ctx().await;
    let (viewer, author) = (given::author(&ctx).await, given::author(&ctx).await);
    sqlx::query("INSERT INTO follows VALUES ($1, $2)")
        .bind(viewer.id.0)
        .bind(author.id.0)
        .execute(&ctx.db)
        .await
        .unwrap();
    let mark = Mark {
        post: PostId(0),
        millis: ctx.clock.now().timestamp_millis(),
    };
    let mut costs = Vec::new();
    for count in [1, 9, 40, 1] {
        given::backlog(&ctx, &author, count).await;
        given::backlog(&ctx, &viewer, count).await;
        let watched: Vec<PostId> = (1..=i64::from(count)).map(PostId).collect();
        let statements = Statements::watch();
        let missed = live::missed(&ctx, Some(viewer.id), Feed::Home, &watched, mark).await;
        costs.push(statements.take("SELECT"));
        let posts = match missed.unwrap().posts {
            MissedPosts::These(posts) => posts.len(),
            MissedPosts::TooMany => 51,
        };
        assert_eq!(posts, [1, 10, 50, 51][costs.len() - 1]);
    }
    assert_eq!(costs, [5; 4]);
}
