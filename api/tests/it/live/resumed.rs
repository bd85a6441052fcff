//! Coming back: what was missed is told, at whichever replica.

use domain::testing::{PrivateRedis, eventually};
use serde_json::{Value, json};

use super::{
    TestApp, hearing,
    reader::{Socket, Stream},
    replicas,
};
use crate::{app::verdict, client::Client};

/// Somebody who follows somebody, and both.
async fn follower(app: &TestApp) -> (Client, Client) {
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    app.relate("follows", &ada, &bob).await;
    (ada, bob)
}

async fn notify(app: &TestApp, to: &Client, actor: &Client) -> i64 {
    let insert = "INSERT INTO notifications (user_id, kind, actor_id) VALUES ($1, 'follow', $2) RETURNING id";
    let insert = sqlx::query_scalar(insert).bind(to.id).bind(actor.id);
    insert.fetch_one(&app.sql().await).await.unwrap()
}

#[tokio::test]
async fn what_was_missed_is_told_at_another_replica() {
    let app = replicas(2).await;
    let (ada, bob) = follower(&app).await;
    let eve = app.member("eve").await;
    let (own, watched) = (ada.write("mine").await, eve.write("watched").await);
    let query = format!("?posts={watched}");
    let id = Stream::open(&ada, &query).await.id;

    let theirs = bob.write("missed").await;
    eve.write("not followed").await;
    let gone = bob.write("gone").await;
    bob.delete(&format!("/api/posts/{gone}")).await.ok(200);
    for post in [own, watched, theirs] {
        app.judge(post, &verdict()).await;
    }
    sqlx::query("INSERT INTO likes (post_id, user_id) VALUES ($1, $2)")
        .bind(watched)
        .bind(bob.id)
        .execute(&app.sql().await)
        .await
        .unwrap();
    let notification = notify(&app, &ada, &bob).await;

    let mut stream = Stream::resume(&app.elsewhere(&ada, 1), &query, Some(&id)).await;
    assert_eq!(stream.posts().await, [theirs]);
    let data = json!({"id": watched, "likes": 1, "reposts": 0, "replies": 0});
    assert_eq!(stream.event("counts").await, data);
    let judged = [
        stream.event("analysis").await,
        stream.event("analysis").await,
    ];
    let mut judged = judged.map(|data| data["id"].as_i64().unwrap());
    judged.sort_unstable();
    assert_eq!(judged, [own, watched]);
    let data = json!({"id": notification, "unread": 1});
    assert_eq!(stream.event("notification").await, data);
    // And then goes on.
    let next = bob.write("next").await;
    app.fan_out(&[(next, &bob)]).await;
    assert_eq!(stream.posts().await, [next]);

    // The other ways to say the id.
    let again = format!("{query}&last_event_id={id}");
    let mut stream = Stream::open(&ada, &again).await;
    assert_eq!(stream.posts().await, [next, theirs]);
    let (mut socket, _) = Socket::open(&app.elsewhere(&ada, 1), &again).await;
    assert_eq!(socket.event("post").await["posts"][1]["id"], theirs);
}

#[tokio::test]
async fn who_was_blocked_meanwhile_is_told_nothing() {
    let app = replicas(1).await;
    let (ada, bob) = follower(&app).await;
    let post = bob.write("before").await;
    let query = format!("?posts={post}");
    let id = Stream::open(&ada, &query).await.id;
    bob.write("after").await;
    app.judge(post, &verdict()).await;
    app.relate("blocks", &bob, &ada).await;
    let mut stream = Stream::resume(&ada, &query, Some(&id)).await;
    assert_eq!(stream.event("notification").await["unread"], 0);
    let mut public = Stream::resume(&ada, "?feed=public", Some(&id)).await;
    assert_eq!(public.event("notification").await["unread"], 0);
}

#[tokio::test]
async fn more_than_can_be_told_is_a_refresh() {
    let app = replicas(1).await;
    let (ada, bob) = follower(&app).await;
    let id = Stream::open(&ada, "").await.id;
    let insert = "INSERT INTO posts (user_id, content) SELECT $1, 'x' FROM generate_series(1, $2)";
    let insert = async |count: i32| {
        let insert = sqlx::query(insert).bind(bob.id).bind(count);
        insert.execute(&app.sql().await).await.unwrap();
    };
    insert(50).await;
    let mut stream = Stream::resume(&ada, "", Some(&id)).await;
    assert_eq!(stream.posts().await.len(), 50);
    let mut nobody = Stream::resume(&app.client(0), "", Some(&id)).await;
    assert_eq!(nobody.posts().await.len(), 50);
    insert(1).await;
    let mut stream = Stream::resume(&ada, "", Some(&id)).await;
    stream.event("refresh").await;

    // Too long ago, or no id of ours.
    let (post, now) = id.split_once('.').unwrap();
    let long_ago = format!("{post}.{}", now.parse::<i64>().unwrap() - 3_700_000);
    for id in [long_ago.as_str(), "17", "", "x.y", "1.1"] {
        let mut stream = Stream::resume(&ada, "?feed=none", Some(id)).await;
        stream.event("refresh").await;
    }
    // A clock that is ahead is believed to be right.
    let ahead = format!("{post}.{}", now.parse::<i64>().unwrap() + 3_700_000);
    let mut stream = Stream::resume(&ada, "?feed=none", Some(&ahead)).await;
    stream.event("notification").await;
}

#[tokio::test]
async fn ids_grow_with_the_events() {
    let app = replicas(1).await;
    let (ada, bob) = follower(&app).await;
    let mut stream = Stream::open(&ada, "").await;
    let mut last = stream.id.clone();
    for _ in 0..3 {
        let post = bob.write("hello").await;
        app.fan_out(&[(post, &bob)]).await;
        let event = stream.next().await.unwrap();
        let number = |id: &str| id.split_once('.').unwrap().1.parse::<i64>().unwrap();
        assert!(
            number(&event.id) >= number(&last),
            "{} after {last}",
            event.id
        );
        last = event.id;
    }
}

#[tokio::test]
async fn after_an_outage_of_redis_everybody_is_told_to_refresh() {
    let mut redis = PrivateRedis::start();
    let app = TestApp::with(1, |config| config.redis = redis.config.clone()).await;
    let app = hearing(app, 1).await;
    let (ada, bob) = follower(&app).await;
    let mut stream = Stream::open(&ada, "").await;
    redis.stop();
    eventually("the silence to be noticed", async || {
        ada.metric("live_hearing").await == 0.0
    })
    .await;
    let mut during = Stream::open(&ada, "").await;
    redis.start_again();
    // Everybody is told at their next heartbeat.
    stream.event("refresh").await;
    during.event("refresh").await;
    let post: Value = bob.write("after").await.into();
    app.fan_out(&[(post.as_i64().unwrap(), &bob)]).await;
    assert_eq!(stream.posts().await, [post.as_i64().unwrap()]);
}
