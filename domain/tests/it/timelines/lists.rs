//! The lists in Redis: neither a worker's death nor Redis' nor a race loses or doubles a post.

use std::collections::BTreeSet;

use deadpool_redis::redis;
use domain::{
    Ctx,
    config::{DatabaseConfig, RedisConfig},
    testing::{self, PrivateRedis, posts as given},
    timelines::{self, FanOut},
};
use rand::{RngExt as _, seq::SliceRandom as _};

use super::*;

#[tokio::test]
async fn a_list_that_redis_has_lost_is_made_again() {
    let database = testing::database().await;
    let mut redis = PrivateRedis::start();
    let ctx = testing::replica(&database, &redis.config);
    let [reader, author] = people(&ctx).await;
    follow(&ctx, &reader, &author).await;
    let mut written = Vec::new();
    for round in 0..4 {
        written.push(post(&ctx, &author).await);
        bring(&ctx, PLENTY).await;
        assert_eq!(
            top(&ctx, &reader).await,
            newest_first(written.clone()),
            "{round}"
        );
        redis.flush();
        written.push(post(&ctx, &author).await);
        assert_eq!(bring(&ctx, PLENTY).await, 0, "there is no list");
        assert_eq!(
            top(&ctx, &reader).await,
            newest_first(written.clone()),
            "{round}"
        );
    }
    // Away: everything is read from the database, posts wait, and a dropped list does not come back.
    let kept = given::author(&ctx).await;
    redis.stop();
    written.push(post(&ctx, &author).await);
    assert_eq!(top(&ctx, &reader).await, newest_first(written.clone()));
    assert_eq!(walk(&ctx, &reader, 2).await, newest_first(written.clone()));
    assert!(FanOut::new(ctx.clone(), PLENTY).step().await.is_err());
    assert_eq!(timelines::waiting(&ctx).await.unwrap(), 1);
    follow(&ctx, &reader, &kept).await;
    redis.start_again();
    testing::eventually("Redis to be asked again", async || {
        ctx.redis.ping().await.is_ok()
    })
    .await;
    bring(&ctx, PLENTY).await;
    assert_eq!(timelines::waiting(&ctx).await.unwrap(), 0);
    assert_eq!(top(&ctx, &reader).await, newest_first(written));
}

#[tokio::test]
async fn posts_that_come_again_or_late_are_in_their_place_and_once() {
    let ctx = testing::ctx().await;
    let [reader, author] = people(&ctx).await;
    follow(&ctx, &reader, &author).await;
    top(&ctx, &reader).await;
    let mut all = posts(&ctx, &author, 1_500).await;
    run(&ctx, "TRUNCATE fanouts", &[]).await;
    let mut random = rand::rng();
    all.shuffle(&mut random);
    let mut brought = BTreeSet::new();
    let mut rest = &all[..];
    while !rest.is_empty() {
        let (some, others) = rest.split_at(random.random_range(1..=rest.len().min(200)));
        // A worker that dies after its push and before its COMMIT leaves what it has pushed to the next.
        let mut again: Vec<i64> = brought.iter().copied().collect();
        again.retain(|_| random.random_range(0..50) == 0);
        wait_again(&ctx, &[some, &again].concat()).await;
        bring(&ctx, PLENTY).await;
        brought.extend(some);
        rest = others;
        let elements = list(&ctx, &reader).await;
        let tail = *elements.last().unwrap();
        assert!(elements.len() <= 800);
        let expected: Vec<i64> = brought.range(tail..).rev().copied().collect();
        let expected = [&expected[..], if tail == 0 { &[0] } else { &[] }].concat();
        assert_eq!(elements, expected);
    }
    assert_eq!(walk(&ctx, &reader, 100).await, newest_first(all));
}

/// Several replicas and workers on the same services.
fn replicas(database: &DatabaseConfig, redis: &RedisConfig) -> [Ctx; 3] {
    [(); 3].map(|()| testing::replica(database, redis))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_made_while_posts_arrive_and_lists_are_dropped_lose_none() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let [a, b, c] = replicas(&database, &redis);
    let [reader, author, other] = people(&a).await;
    follow(&a, &reader, &author).await;
    follow(&a, &reader, &other).await;
    let mut written = Vec::new();
    for round in 0..60 {
        let writing = async {
            let mut ids = Vec::new();
            for _ in 0..5 {
                ids.push(given::write(&a, &author, "a post").await.id.0);
                bring(&a, PLENTY).await;
            }
            ids
        };
        let more = async {
            let mut ids = Vec::new();
            for _ in 0..5 {
                ids.push(given::write(&b, &other, "a post").await.id.0);
                bring(&b, PLENTY).await;
            }
            ids
        };
        let reading = |ctx: Ctx| {
            let reader = reader.clone();
            async move {
                for _ in 0..6 {
                    timelines::forget(&ctx, reader.id).await;
                    let seen = top(&ctx, &reader).await;
                    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
                }
            }
        };
        let (ids, others, (), ()) =
            tokio::join!(writing, more, reading(b.clone()), reading(c.clone()));
        bring(&a, PLENTY).await;
        written.extend(ids);
        written.extend(others);
        let expected = newest_first(written.clone());
        let expected = &expected[..expected.len().min(100)];
        for ctx in [&a, &b, &c] {
            assert_eq!(top(ctx, &reader).await, expected, "{round}");
        }
    }
    let elements = list(&a, &reader).await;
    assert!(
        elements.starts_with(&newest_first(written)),
        "and it is the list that says so"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_one_has_just_followed_is_in_the_next_read_though_others_read_meanwhile() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let [a, b, c] = replicas(&database, &redis);
    let [reader] = people(&a).await;
    let mut expected = Vec::new();
    for round in 0..40 {
        let author = given::author(&a).await;
        expected.insert(0, post(&a, &author).await);
        bring(&a, PLENTY).await;
        timelines::forget(&a, reader.id).await;
        let reading = |ctx: Ctx| {
            let reader = reader.clone();
            async move {
                for _ in 0..5 {
                    top(&ctx, &reader).await;
                }
            }
        };
        tokio::join!(
            reading(b.clone()),
            follow(&a, &reader, &author),
            reading(c.clone())
        );
        for ctx in [&a, &b, &c] {
            assert_eq!(top(ctx, &reader).await, expected, "{round}");
        }
    }
}

#[tokio::test]
async fn nothing_is_kept_for_those_who_do_not_look() {
    let ctx = testing::ctx().await;
    let [reader, absent, author] = people(&ctx).await;
    follow(&ctx, &reader, &author).await;
    follow(&ctx, &absent, &author).await;
    top(&ctx, &reader).await;
    let id = post(&ctx, &author).await;
    assert_eq!(bring(&ctx, PLENTY).await, 1);
    assert_eq!(list(&ctx, &reader).await, [id, 0]);
    assert_eq!(list(&ctx, &absent).await, [] as [i64; 0]);
    let mut connection = ctx.redis.patient_connection().await.unwrap();
    let mut call = redis::cmd("TTL");
    call.arg(ctx.redis.key(&format!("tl:{}", reader.id)));
    let seconds: i64 = call.query_async(&mut connection).await.unwrap();
    assert!((604_000..=604_800).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn several_workers_bring_every_post_once_and_deleted_ones_never() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let workers = replicas(&database, &redis);
    let ctx = &workers[0];
    let [reader, author] = people(ctx).await;
    follow(ctx, &reader, &author).await;
    top(ctx, &reader).await;
    let all = posts(ctx, &author, 700).await;
    delete(ctx, all[10]).await;
    let pushes = tokio::join!(
        bring(&workers[0], PLENTY),
        bring(&workers[1], PLENTY),
        bring(&workers[2], PLENTY)
    );
    assert_eq!(pushes.0 + pushes.1 + pushes.2, 699);
    assert_eq!(timelines::waiting(ctx).await.unwrap(), 0);
    let expected = newest_first(all.iter().copied().filter(|id| *id != all[10]));
    assert_eq!(list(ctx, &reader).await, [&expected[..], &[0]].concat());
}
