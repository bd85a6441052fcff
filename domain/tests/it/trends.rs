//! Trends: what counts, in which order, who computes them; and the posts behind them.

use domain::{
    Ctx,
    ids::{PostId, UserId},
    page::{Limit, Page},
    posts::{self, PostView},
    relations,
    testing::{self, posts as given},
    trends::{self, Tag, Topic, Trends},
    users::User,
};

use crate::statements::Statements;

/// A post with `text`, so many hours old, judged to be about `topic`.
async fn old_post(ctx: &Ctx, author: &User, text: &str, topic: &str, hours: i32) -> PostId {
    let post = given::write(ctx, author, text).await.id;
    for sql in [
        "UPDATE posts SET created_at = now() - make_interval(hours => $2) WHERE id = $1",
        "UPDATE post_tags SET created_at = now() - make_interval(hours => $2) WHERE post_id = $1",
        "UPDATE post_analysis SET status = 'done', polarity = 'neutral', score = 0, confidence = 1, safety = 'ok',
             explanation = '', model = 'm', finished_at = now() - make_interval(hours => $2) WHERE post_id = $1",
    ] {
        sqlx::query(sql).bind(post.0).bind(hours).execute(&ctx.db).await.unwrap();
    }
    sqlx::query("UPDATE post_analysis SET topics = ARRAY[$2] WHERE post_id = $1")
        .bind(post.0)
        .bind(topic)
        .execute(&ctx.db)
        .await
        .unwrap();
    post
}

/// Lets it be time to compute again, and computes.
async fn computed(ctx: &Ctx) -> Trends {
    sqlx::query("UPDATE schedules SET ran_at = ran_at - interval '61 seconds'")
        .execute(&ctx.db)
        .await
        .unwrap();
    assert!(trends::recompute(ctx).await.unwrap());
    trends::current(ctx).await.unwrap()
}

/// `name posts people` of each.
fn told(trends: &[trends::Trend]) -> Vec<String> {
    let told = |t: &trends::Trend| format!("{} {} {}", t.name, t.posts, t.people);
    trends.iter().map(told).collect()
}

async fn authors<const N: usize>(ctx: &Ctx) -> [User; N] {
    let mut authors = Vec::new();
    for _ in 0..N {
        authors.push(given::author(ctx).await);
    }
    authors.try_into().unwrap()
}

#[tokio::test]
async fn what_several_people_wrote_in_the_last_hours_is_a_trend() {
    let ctx = testing::ctx().await;
    assert_eq!(trends::current(&ctx).await.unwrap(), Trends::default());
    let [a, b, c] = authors::<3>(&ctx).await;
    for author in [&a, &b] {
        old_post(&ctx, author, "#Tea, and #tea again", "food", 1).await;
        old_post(&ctx, author, "#yesterday", "history", 25).await;
    }
    old_post(&ctx, &c, "#tea", "food", 0).await;
    // One person's many posts are no trend.
    for _ in 0..5 {
        old_post(&ctx, &a, "#me", "myself", 0).await;
    }
    let deleted = [
        old_post(&ctx, &a, "#gone", "gone", 0).await,
        old_post(&ctx, &b, "#gone", "gone", 0).await,
    ];
    posts::delete(&ctx, &a, deleted[0]).await.unwrap();
    for author in [&a, &b] {
        let post = old_post(&ctx, author, "#harm", "harm", 0).await;
        sqlx::query("UPDATE post_analysis SET safety = 'dangerous' WHERE post_id = $1")
            .bind(post.0)
            .execute(&ctx.db)
            .await
            .unwrap();
        // Judged again long after it was written.
        let old = old_post(&ctx, author, "long ago", "history", 50).await;
        sqlx::query("UPDATE post_analysis SET finished_at = now() WHERE post_id = $1")
            .bind(old.0)
            .execute(&ctx.db)
            .await
            .unwrap();
    }
    let trends = computed(&ctx).await;
    assert_eq!(told(&trends.tags), ["tea 3 3"]);
    assert_eq!(told(&trends.topics), ["food 3 3"]);
    let computed_at = trends.computed_at.unwrap();
    assert!((ctx.clock.now() - computed_at).num_seconds().abs() < 60);
}

#[tokio::test]
async fn people_count_more_than_posts_and_the_last_hours_more_than_those_before() {
    let ctx = testing::ctx().await;
    let [a, b, c, d] = authors::<4>(&ctx).await;
    for author in [&a, &b, &c, &d] {
        old_post(&ctx, author, "#morning", "morning", 20).await;
    }
    for author in [&a, &b] {
        for _ in 0..4 {
            old_post(&ctx, author, "#many", "many", 1).await;
        }
    }
    for author in [&b, &c, &d] {
        old_post(&ctx, author, "#several", "several", 1).await;
    }
    let trends = computed(&ctx).await;
    let expected = ["several 3 3", "many 8 2", "morning 4 4"];
    assert_eq!(told(&trends.tags), expected);
    assert_eq!(told(&trends.topics), expected);

    // There are thirty at most, and what has passed goes.
    sqlx::query("DELETE FROM post_tags")
        .execute(&ctx.db)
        .await
        .unwrap();
    for n in 0..31 {
        for author in [&a, &b] {
            given::write(&ctx, author, &format!("#new_{n}")).await;
        }
    }
    let trends = computed(&ctx).await;
    assert_eq!(trends.tags.len(), 30);
    assert!(
        trends
            .tags
            .iter()
            .all(|trend| trend.name.starts_with("new_"))
    );
}

#[tokio::test]
async fn of_many_workers_one_computes_and_not_before_its_time() {
    let ctx = testing::ctx().await;
    let [a, b] = authors::<2>(&ctx).await;
    for author in [&a, &b] {
        given::write(&ctx, author, "#tea").await;
    }
    let tries = (0..6).map(|_| {
        let ctx = ctx.clone();
        tokio::spawn(async move { trends::recompute(&ctx).await.unwrap() })
    });
    let mut done = 0;
    for attempt in tries.collect::<Vec<_>>() {
        done += u32::from(attempt.await.unwrap());
    }
    assert_eq!(done, 1);
    assert!(!trends::recompute(&ctx).await.unwrap());
    let first = trends::current(&ctx).await.unwrap();
    assert_eq!(told(&first.tags), ["tea 2 2"]);
    assert!(computed(&ctx).await.computed_at > first.computed_at);

    let statements = Statements::watch();
    trends::current(&ctx).await.unwrap();
    assert_eq!(statements.take(""), 1);
}

#[derive(Clone, Copy)]
enum By {
    Tag,
    Topic,
}

async fn page(
    ctx: &Ctx,
    viewer: Option<UserId>,
    by: By,
    before: Option<i64>,
    size: i64,
) -> Page<PostView> {
    let limit = Limit::parse(size).unwrap();
    match by {
        By::Tag => trends::tagged(ctx, viewer, &Tag::parse("#TEA").unwrap(), before, limit).await,
        By::Topic => {
            trends::about(ctx, viewer, &Topic::parse("Food").unwrap(), before, limit).await
        }
    }
    .unwrap()
}

async fn walked(ctx: &Ctx, viewer: Option<UserId>, by: By, size: i64) -> Vec<PostId> {
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = page(ctx, viewer, by, before, size).await;
        seen.extend(page.items.iter().map(|post| post.id));
        if page.next.is_none() {
            return seen;
        }
        assert_eq!(page.items.len(), usize::try_from(size).unwrap(), "full");
        before = page.next;
    }
}

#[tokio::test]
async fn the_posts_of_a_tag_or_topic_are_walked_without_those_of_the_blocked_and_the_muted() {
    let ctx = testing::ctx().await;
    let [viewer, blocked, blocker, muted, fine] = authors::<5>(&ctx).await;
    let mut expected = Vec::new();
    for _ in 0..6 {
        for author in [&blocked, &blocker, &muted] {
            old_post(&ctx, author, "#tea", "food", 0).await;
        }
        expected.insert(0, old_post(&ctx, &fine, "#tea", "food", 0).await);
    }
    old_post(&ctx, &fine, "#coffee", "drink", 0).await;
    let deleted = old_post(&ctx, &fine, "#tea", "food", 0).await;
    posts::delete(&ctx, &fine, deleted).await.unwrap();
    relations::block(&ctx, &viewer, blocked.id).await.unwrap();
    relations::block(&ctx, &blocker, viewer.id).await.unwrap();
    relations::mute(&ctx, &viewer, muted.id).await.unwrap();
    for by in [By::Tag, By::Topic] {
        for size in [1, 4, 6, 7] {
            assert_eq!(walked(&ctx, Some(viewer.id), by, size).await, expected);
        }
        assert_eq!(walked(&ctx, None, by, 5).await.len(), 24);
    }
    let statements = Statements::watch();
    for size in [1, 10, 24] {
        page(&ctx, Some(fine.id), By::Tag, None, size).await;
        assert_eq!(statements.take("SELECT"), 2);
        page(&ctx, Some(fine.id), By::Topic, None, size).await;
        assert_eq!(statements.take("SELECT"), 2);
    }
}

#[tokio::test]
async fn a_post_is_listed_under_what_its_last_verdict_says() {
    let ctx = testing::ctx().await;
    let [ada] = authors::<1>(&ctx).await;
    let post = old_post(&ctx, &ada, "tea", "food", 0).await;
    let about = async |topic: &str| {
        let limit = Limit::parse(10).unwrap();
        let page = trends::about(&ctx, None, &Topic::parse(topic).unwrap(), None, limit).await;
        page.unwrap().items.len()
    };
    assert_eq!((about("food").await, about("drink").await), (1, 0));
    // Judged again, with a topic twice.
    sqlx::query("UPDATE post_analysis SET topics = '{drink,drink,art}' WHERE post_id = $1")
        .bind(post.0)
        .execute(&ctx.db)
        .await
        .unwrap();
    assert_eq!(
        (
            about("food").await,
            about("drink").await,
            about("art").await
        ),
        (0, 1, 1)
    );
    // Another text waits for its verdict.
    given::edit(&ctx, &ada, post, "coffee").await;
    assert_eq!((about("drink").await, about("art").await), (0, 0));
}
