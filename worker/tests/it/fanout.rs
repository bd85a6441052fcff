//! New posts on their way to home timelines, with workers that come, go and die.

use std::time::Duration;

use domain::{
    Ctx,
    page::Limit,
    testing::{self, PrivateRedis, posts as given},
    timelines,
    users::User,
};

use crate::{llm::Mood, stack::Stack};

/// Somebody who follows the stack's author and has looked.
async fn reader(stack: &Stack) -> User {
    let reader = given::author(&stack.ctx).await;
    sqlx::query("INSERT INTO follows (follower_id, followed_id) VALUES ($1, $2)")
        .bind(reader.id.0)
        .bind(stack.author.id.0)
        .execute(&stack.ctx.db)
        .await
        .unwrap();
    assert_eq!(home(&stack.ctx, &reader).await, 0);
    reader
}

/// How many posts of a hundred are in the home timeline.
async fn home(ctx: &Ctx, reader: &User) -> usize {
    let limit = Limit::parse(100).unwrap();
    let page = timelines::home(ctx, reader, None, limit).await.unwrap();
    let mut ids: Vec<_> = page.items.iter().map(|post| post.id).collect();
    ids.dedup();
    ids.len()
}

async fn shown(stack: &Stack, reader: &User, count: usize) {
    testing::eventually("the posts to be brought home", async || {
        timelines::waiting(&stack.ctx).await.unwrap() == 0
    })
    .await;
    assert_eq!(home(&stack.ctx, reader).await, count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_post_is_soon_in_the_home_timelines_and_counted() {
    let stack = Stack::start(Mood::Well).await;
    let worker = stack.worker();
    let reader = reader(&stack).await;
    stack.write(10).await;
    shown(&stack, &reader, 10).await;
    testing::eventually("the counts", async || {
        worker.metric("fanout_posts_total").await == 10.0
    })
    .await;
    assert_eq!(worker.metric("fanout_pushes_total").await, 10.0);
    assert_eq!(worker.metric("fanout_delay_seconds_count").await, 10.0);
    assert_eq!(worker.metric("fanout_waiting").await, 0.0);
    // The model is not needed for it.
    stack.llm.set(Mood::Refusing(503));
    stack.write(5).await;
    shown(&stack, &reader, 15).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_of_an_account_that_is_too_large_are_left_to_its_readers() {
    let mut stack = Stack::start(Mood::Well).await;
    stack.config.timelines.timeline_fanout_max_followers = 0;
    let reader = reader(&stack).await;
    let worker = stack.worker();
    stack.write(10).await;
    shown(&stack, &reader, 10).await;
    assert_eq!(worker.metric("fanout_pushes_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_in_the_middle_of_it_neither_lose_nor_double_a_post() {
    let stack = Stack::start(Mood::Well).await;
    let reader = reader(&stack).await;
    let mut written = 0;
    while written < 100 {
        let (mut victim, _) = stack.program();
        for _ in 0..10 {
            stack.write(2).await;
            written += 2;
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        victim.0.kill().unwrap();
        victim.0.wait().unwrap();
    }
    let _another = stack.worker();
    shown(&stack, &reader, written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_wait_while_redis_is_away() {
    let mut redis = PrivateRedis::start();
    let stack = Stack::start_with(Mood::Well, redis.config.clone()).await;
    let worker = stack.worker();
    let reader = reader(&stack).await;
    stack.write(5).await;
    shown(&stack, &reader, 5).await;
    redis.stop();
    stack.write(5).await;
    assert_eq!(home(&stack.ctx, &reader).await, 10, "from the database");
    assert_eq!(timelines::waiting(&stack.ctx).await.unwrap(), 5);
    redis.start_again();
    shown(&stack, &reader, 10).await;
    worker.stop().await;
}
