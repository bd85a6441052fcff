//! The hint queue: its bound, what is offered first, what is kept of done jobs, and Redis going away.

use deadpool_redis::redis;
use domain::{
    Ctx, Error, analysis,
    analysis::{Offered, Status},
    config::CacheConfig,
    jobs::{AnalyzePost, FORGET_BATCH, MAX_HINTS},
    testing::{self, PrivateRedis, posts as given},
};
use prometheus::Registry;
use proptest::prelude::*;

/// What offering answers when there is no room.
const FULL: Offered = Offered {
    count: 0,
    more: true,
};

/// Hints waiting in Redis, the ids of their posts.
pub async fn hints(ctx: &Ctx) -> Vec<i64> {
    let config = ctx.jobs.config();
    let mut redis = ctx.redis.patient_connection().await.unwrap();
    let (scheduled, active): (Vec<String>, Vec<String>) = redis::pipe()
        .cmd("ZRANGE")
        .arg(config.scheduled_jobs_set())
        .arg(0)
        .arg(-1)
        .cmd("LRANGE")
        .arg(config.active_jobs_list())
        .arg(0)
        .arg(-1)
        .query_async(&mut redis)
        .await
        .unwrap();
    let mut posts = Vec::new();
    for id in scheduled.iter().chain(&active) {
        let payload: Vec<u8> = redis::cmd("HGET")
            .arg(config.job_data_hash())
            .arg(id)
            .query_async(&mut redis)
            .await
            .unwrap();
        let job: AnalyzePost = serde_json::from_slice(&payload).unwrap();
        posts.push(job.post_id.0);
    }
    posts
}

/// Offers until there is no room or nothing due.
async fn offer_all(ctx: &Ctx) -> usize {
    let mut total = 0;
    loop {
        let offered = analysis::offer_due(ctx).await.unwrap();
        total += offered.count;
        if offered.count == 0 {
            return total;
        }
    }
}

#[tokio::test]
async fn a_written_post_is_hinted_at_once() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let post = given::write(&ctx, &author, "hello").await;
    assert_eq!(hints(&ctx).await, [post.id.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sweepers_together_do_not_fill_the_queue_beyond_its_bound() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let replicas: Vec<Ctx> = (0..6)
        .map(|_| testing::replica(&database, &redis))
        .collect();
    let ctx = &replicas[0];
    let author = given::author(ctx).await;
    given::backlog(ctx, &author, 12_000).await;

    let sweepers = replicas.iter().cloned().map(|ctx| {
        tokio::spawn(async move {
            // Until there is no room; who finds another one at it tries again.
            while analysis::offer_due(&ctx).await.unwrap() != FULL {}
        })
    });
    for sweeper in sweepers.collect::<Vec<_>>() {
        sweeper.await.unwrap();
    }
    let offered = hints(ctx).await;
    assert_eq!(offered.len(), MAX_HINTS);
    // Posts written now wait for room, and are not lost.
    let late = given::write(ctx, &author, "one more").await;
    assert_eq!(hints(ctx).await.len(), MAX_HINTS);
    assert!(!offered.contains(&late.id.0));
    assert_eq!(analysis::offer_due(ctx).await.unwrap(), FULL);
}

#[tokio::test]
async fn nobody_is_offered_twice_before_everybody_was_once() {
    let database = testing::database().await;
    let redis = PrivateRedis::start();
    let ctx = testing::replica(&database, &redis.config);
    let author = given::author(&ctx).await;
    given::backlog(&ctx, &author, 5_000).await;

    let mut seen = Vec::new();
    while seen.len() < 5_000 {
        // So long ago that those offered before are due again; and then every hint is lost.
        sqlx::query(
            "UPDATE post_analysis SET next_enqueue_at = next_enqueue_at - interval '1 hour'",
        )
        .execute(&ctx.db)
        .await
        .unwrap();
        redis.flush();
        let room = offer_all(&ctx).await;
        assert_eq!(room, MAX_HINTS);
        seen.extend(hints(&ctx).await.into_iter().take(5_000 - seen.len()));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 5_000);
}

#[tokio::test]
async fn with_redis_away_posts_are_written_and_stay_due() {
    let database = testing::database().await;
    let mut redis = PrivateRedis::start();
    let ctx = testing::replica(&database, &redis.config);
    let author = given::author(&ctx).await;
    redis.stop();
    given::write(&ctx, &author, "into the blue").await;
    given::backlog(&ctx, &author, 9).await;
    let error = analysis::offer_due(&ctx).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { what: "Redis", .. }));

    redis.start_again();
    let mut offered = 0;
    testing::eventually("every post to be offered", async || {
        offered += analysis::offer_due(&ctx)
            .await
            .map_or(0, |offered| offered.count);
        offered == 10
    })
    .await;
}

#[tokio::test]
async fn of_jobs_that_have_ended_nothing_is_kept() {
    let ctx = testing::ctx().await;
    let author = given::author(&ctx).await;
    let ended = 3 * FORGET_BATCH;
    given::backlog(&ctx, &author, i32::try_from(ended).unwrap() + 2).await;
    assert_eq!(offer_all(&ctx).await, ended + 2);
    // What apalis leaves: the ids of most in one set, and of some it gave up in another.
    let config = ctx.jobs.config();
    let mut redis = ctx.redis.patient_connection().await.unwrap();
    let mut pop = redis::cmd("ZPOPMIN");
    pop.arg(config.scheduled_jobs_set()).arg(ended);
    let popped: Vec<String> = pop.query_async(&mut redis).await.unwrap();
    let ids: Vec<&String> = popped.iter().step_by(2).collect();
    for (set, ids) in [
        (config.dead_jobs_set(), &ids[..100]),
        (config.done_jobs_set(), &ids[100..]),
    ] {
        let mut add = redis::cmd("SADD");
        add.arg(set).arg(ids).exec_async(&mut redis).await.unwrap();
    }

    assert_eq!(ctx.jobs.forget_done().await.unwrap(), FORGET_BATCH + 100);
    let mut forgotten = FORGET_BATCH + 100;
    while forgotten < ended {
        forgotten += ctx.jobs.forget_done().await.unwrap();
    }
    assert_eq!(ctx.jobs.forget_done().await.unwrap(), 0);
    let mut keys: Vec<String> = redis::cmd("KEYS")
        .arg(ctx.redis.key("analyze:*"))
        .query_async(&mut redis)
        .await
        .unwrap();
    keys.retain(|key| !key.contains(":meta:"));
    keys.sort_unstable();
    let queue = ctx.redis.key("analyze");
    let left = ["data", "scheduled"].map(|key| format!("{queue}:{key}"));
    assert_eq!(keys, left, "and one :meta: for each that is left");
    assert_eq!(hints(&ctx).await.len(), 2, "those still waiting are kept");
}

#[tokio::test]
async fn the_depth_of_the_queue_is_measured() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let registry = Registry::new();
    let cache = CacheConfig { cache_active: true };
    let ctx = Ctx::new(&database, &redis, &cache, &registry).unwrap();
    let author = given::author(&ctx).await;
    given::backlog(&ctx, &author, 5).await;
    sqlx::query(
        "WITH numbered AS (SELECT post_id, row_number() OVER () AS n FROM post_analysis)
         UPDATE post_analysis a SET
             status = CASE n WHEN 1 THEN 'dead' WHEN 4 THEN 'done' WHEN 5 THEN 'done' ELSE 'pending' END,
             stale_since = CASE WHEN n > 3 THEN now() END,
             polarity = 'neutral', score = 0, confidence = 1, safety = 'ok', explanation = '', model = 'test',
             finished_at = now(),
             lease_owner = CASE n WHEN 2 THEN 'a' END, lease_until = now() + interval '1 minute',
             pending_since = now() - interval '1 hour'
         FROM numbered WHERE numbered.post_id = a.post_id",
    )
    .execute(&ctx.db)
    .await
    .unwrap();
    analysis::observe(&ctx).await.unwrap();
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    for line in [
        r#"job_queue_depth{queue="analyze",state="dead"} 1"#,
        r#"job_queue_depth{queue="analyze",state="leased"} 1"#,
        r#"job_queue_depth{queue="analyze",state="pending"} 2"#,
        r#"job_queue_depth{queue="analyze",state="stale"} 2"#,
        r#"job_queue_oldest_seconds{queue="analyze"} 36"#,
        r#"job_hints_skipped_total{queue="analyze",reason="full"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert_eq!(given::count(&ctx, Status::Dead).await, 1);
}

#[tokio::test]
async fn one_process_counts_the_queue_for_all() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let process = || {
        let registry = Registry::new();
        let cache = CacheConfig { cache_active: true };
        let ctx = Ctx::new(&database, &redis, &cache, &registry).unwrap();
        (ctx, registry)
    };
    let waiting = |registry: &Registry| {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with(r#"job_queue_depth{queue="analyze",state="pending"}"#));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<i64>().ok())
    };
    let ((one, ones), (other, others)) = (process(), process());
    let author = given::author(&one).await;
    given::backlog(&one, &author, 2).await;
    analysis::observe(&one).await.unwrap();
    given::backlog(&one, &author, 3).await;
    analysis::observe(&other).await.unwrap();
    assert_eq!((waiting(&ones), waiting(&others)), (Some(2), Some(2)));

    // Somebody counts: the gauges stay as they are.
    let (figures, lock) = (
        one.redis.key("queue:depth"),
        one.redis.key("queue:depth:counting"),
    );
    let mut raw = one.redis.patient_connection().await.unwrap();
    let call = |words: &[&str]| {
        let mut call = redis::cmd(words[0]);
        call.arg(&words[1..]);
        call
    };
    call(&["DEL", &figures]).exec_async(&mut raw).await.unwrap();
    call(&["SET", &lock, "1"])
        .exec_async(&mut raw)
        .await
        .unwrap();
    analysis::observe(&other).await.unwrap();
    assert_eq!(waiting(&others), Some(2));
    call(&["DEL", &lock]).exec_async(&mut raw).await.unwrap();
    analysis::observe(&other).await.unwrap();
    assert_eq!(waiting(&others), Some(5));
}

#[test]
fn programs_of_two_versions_read_each_others_hints() {
    let earlier = r#"{"post_id":5,"revision":2,"request_id":"r-1"}"#;
    let hint: AnalyzePost = serde_json::from_str(earlier).unwrap();
    assert_eq!((hint.post_id.0, &hint.traceparent), (5, &None));
    let written = serde_json::to_string(&hint).unwrap();
    assert_eq!(written, earlier, "without a trace it is as it was");
    let later = r#"{"post_id":5,"revision":2,"request_id":"r-1","of_tomorrow":[1]}"#;
    assert_eq!(serde_json::from_str::<AnalyzePost>(later).unwrap(), hint);
}

proptest! {
    #[test]
    fn a_hint_comes_out_of_the_queue_as_it_went_in(
        post_id: i64, revision: i32, request_id: String, traceparent: Option<String>
    ) {
        let job = AnalyzePost { post_id: domain::ids::PostId(post_id), revision, request_id, traceparent };
        let bytes = serde_json::to_vec(&job).unwrap();
        prop_assert_eq!(serde_json::from_slice::<AnalyzePost>(&bytes).unwrap(), job);
    }

    #[test]
    fn what_is_no_hint_is_refused_and_never_panics(bytes: Vec<u8>) {
        prop_assert!(serde_json::from_slice::<AnalyzePost>(&bytes).is_err());
    }
}
