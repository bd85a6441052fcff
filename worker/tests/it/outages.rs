//! A part of the stack goes away and comes back: nothing acknowledged is lost, nothing stays un-judged, and no post
//! is blamed for it.

use std::time::{Duration, Instant};

use domain::testing::{self, PrivateRedis, posts as given};

use crate::{llm::Mood, stack::Stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_refuses_for_a_while() {
    let stack = Stack::start(Mood::Refusing(503)).await;
    let worker = stack.worker();
    stack.write(100).await;
    testing::eventually("the circuit to open", async || {
        worker.metric("llm_circuit_state").await == 2.0
    })
    .await;
    let (asked, began) = (stack.llm.calls(), Instant::now());
    testing::eventually("a few more tries", async || stack.llm.calls() >= asked + 3).await;
    // One trial a rest: 0.5 s, 1 s, 2 s …
    assert!(
        began.elapsed() > Duration::from_secs(1),
        "hints must not be spun through"
    );

    stack.llm.set(Mood::Well);
    let back = Instant::now();
    stack.judged(100).await;
    assert!(
        back.elapsed() < Duration::from_secs(10),
        "{:?}",
        back.elapsed()
    );
    assert_eq!(stack.failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_is_restarted_while_it_judges() {
    let mut stack = Stack::start(Mood::Hanging).await;
    let _worker = stack.worker();
    stack.write(30).await;
    stack.someone_holds(4).await;
    stack.llm.stop().await;
    stack.llm.set(Mood::Well);
    testing::eventually("the posts to be given back", async || {
        stack.held().await == 0
    })
    .await;
    stack.llm.start_again();
    stack.judged(30).await;
    assert_eq!(stack.failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_flushed_while_hints_wait_and_posts_are_judged() {
    let redis = PrivateRedis::start();
    let stack = Stack::start_with(Mood::Hanging, redis.config.clone()).await;
    let _worker = stack.worker();
    stack.write(50).await;
    stack.someone_holds(4).await;
    redis.flush();
    stack.llm.set(Mood::Well);
    stack.judged(50).await;
    assert_eq!(stack.llm.calls(), 50, "what was under way went on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_away_at_the_start_comes_goes_and_comes_back() {
    let mut redis = PrivateRedis::start();
    let stack = Stack::start_with(Mood::Well, redis.config.clone()).await;
    redis.stop();
    let worker = stack.worker();
    stack.write(10).await;
    let (status, body) = worker.get("/readyz").await;
    assert_eq!((status, body.contains("degraded")), (200, true), "{body}");

    redis.start_again();
    stack.judged(10).await;
    redis.stop();
    stack.write(10).await;
    redis.start_again();
    stack.judged(20).await;
    let (_, body) = worker.get("/readyz").await;
    assert!(body.contains("ready"), "{body}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_cuts_every_connection_again_and_again() {
    let mut stack = Stack::start(Mood::Well).await;
    stack.config.worker_lease_seconds = 1;
    given::backlog(&stack.ctx, &stack.author, 300).await;
    let _worker = stack.worker();
    for _ in 0..10 {
        // The pool is the test's own and survives, since its connection is the one that asks.
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .execute(&stack.ctx.db)
        .await
        .unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    stack.judged(300).await;
    assert_eq!(stack.failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgresql_a_worker_waits_and_says_so() {
    let mut stack = Stack::start(Mood::Well).await;
    stack.config.database.database_url = "postgres://nobody@127.0.0.1:1/nothing".into();
    let worker = stack.worker();
    let (status, body) = worker.get("/readyz").await;
    assert_eq!(
        (status, body.contains("unavailable")),
        (503, true),
        "{body}"
    );
    assert_eq!(worker.get("/livez").await.0, 200);
    worker.stop().await;
}
