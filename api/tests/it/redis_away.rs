//! Redis stops, starts again, or forgets everything: reads and writes go on, and no feed is stale afterwards.

use domain::testing::{PrivateRedis, eventually};
use serde_json::json;

use crate::app::{PASSWORD, TestApp};

const HITS: &str = r#"cache_requests_total{cache="feed",result="hit"}"#;

#[tokio::test]
async fn without_redis_everything_goes_on_and_says_so() {
    let mut redis = PrivateRedis::start();
    let app = TestApp::with(2, |config| {
        config.redis = redis.config.clone();
        config.rate_limits.rate_limiter = true;
        config.rate_limits.rate_limit_auth = "5/3600".parse().unwrap();
    })
    .await;
    let ada = app.member("ada").await;
    let elsewhere = app.elsewhere(&ada, 1);
    let ready = ada.get("/readyz").await.ok(200);
    assert_eq!(
        ready,
        json!({"status": "ready", "postgresql": "ok", "schema": "ok", "redis": "ok"})
    );
    ada.write("before").await;

    redis.stop();
    let degraded = ada.get("/readyz").await.ok(200);
    assert_eq!(
        degraded,
        json!({"status": "degraded", "postgresql": "ok", "schema": "ok", "redis": "down"})
    );
    for i in 0..5 {
        let id = ada.write(&format!("during {i}")).await;
        assert_eq!(elsewhere.feed().await[0], id);
        elsewhere.delete(&format!("/api/posts/{id}")).await.ok(200);
        assert_eq!(ada.feed().await.len(), 1);
    }
    assert!(elsewhere.is_logged_in().await);
    let mut bob = app.client(1);
    bob.login("ada", PASSWORD).await.ok(200);
    bob.get("/api/auth/logout").await.ok(200);
    assert!(!bob.is_logged_in().await, "logins end without Redis too");

    // Each replica limits by itself now.
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let answer = bob.login("ada", "wrong password").await;
        assert_eq!(answer.number("ratelimit-limit"), 5);
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..4], [401; 4]);
    assert_eq!(statuses[4..], [429; 4]);
    let local = r#"rate_limit_decisions_total{budget="auth",by="local",result="refused"}"#;
    assert_eq!(bob.metric(local).await, 4.0);
}

#[tokio::test]
async fn what_was_written_while_redis_was_away_is_seen_when_it_is_back() {
    let mut redis = PrivateRedis::start();
    let app = TestApp::with(2, |config| config.redis = redis.config.clone()).await;
    let ada = app.member("ada").await;
    let elsewhere = app.client(1);
    let mut expected = Vec::new();
    for round in 0..2 {
        expected.insert(0, ada.write(&format!("with Redis {round}")).await);
        assert_eq!(elsewhere.feed().await, expected, "and now it is cached");
        redis.stop();
        expected.insert(0, ada.write(&format!("without Redis {round}")).await);
        redis.start_again();
        // No read is stale, from the first one until both replicas use the cache again and after.
        for client in [&elsewhere, &ada] {
            let hits = client.metric(HITS).await;
            eventually("the cache to be used again", async || {
                assert_eq!(client.feed().await, expected);
                client.metric(HITS).await > hits + 3.0
            })
            .await;
        }
        eventually("Redis to be there again", async || {
            ada.get("/readyz").await.ok(200)["status"] == "ready"
        })
        .await;
    }
}

#[tokio::test]
async fn a_redis_that_forgets_everything_leaves_no_stale_feed() {
    let redis = PrivateRedis::start();
    let app = TestApp::with(2, |config| config.redis = redis.config.clone()).await;
    let ada = app.member("ada").await;
    let elsewhere = app.client(1);
    let mut expected = Vec::new();
    for round in 0..10 {
        expected.insert(0, ada.write(&format!("before {round}")).await);
        assert_eq!(elsewhere.feed().await, expected);
        redis.flush();
        assert_eq!(ada.feed().await, expected);
        expected.insert(0, ada.write(&format!("after {round}")).await);
        assert_eq!(elsewhere.feed().await, expected);
        // Flushed between a write and the read that follows.
        expected.insert(0, ada.write(&format!("again {round}")).await);
        redis.flush();
        assert_eq!(elsewhere.feed().await, expected);
    }
}
