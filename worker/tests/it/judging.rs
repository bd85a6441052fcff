//! Posts on a stack where all is well with everything but, sometimes, a post.

use apalis_redis::{RedisTask, queries::push_tasks};
use domain::{
    analysis::{self, STALE_HINTS, Status},
    jobs::MAX_HINTS,
    page::Limit,
    posts,
    testing::{self, PrivateRedis, posts as given},
};

use crate::{llm::Mood, stack::Stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_post_gets_its_verdict_and_is_counted() {
    let stack = Stack::start(Mood::Well).await;
    let worker = stack.worker();
    stack.write(20).await;
    stack.judged(20).await;
    let page = posts::page(&stack.ctx, None, None, Limit::parse(50).unwrap())
        .await
        .unwrap();
    for post in page.items {
        let analysis = post.analysis.unwrap();
        assert_eq!(analysis.explanation, Some(post.content), "each its own");
    }
    assert_eq!(stack.llm.calls(), 20);
    assert_eq!(stack.llm.request_ids(), vec![given::REQUEST_ID; 20]);

    testing::eventually("the counts", async || {
        worker
            .metric(r#"jobs_processed_total{outcome="done",queue="analyze"}"#)
            .await
            == 20.0
    })
    .await;
    for (series, value) in [
        (r#"analyses_total{polarity="neutral",safety="ok"}"#, 20.0),
        (
            r#"analyses_total{polarity="negative",safety="dangerous"}"#,
            0.0,
        ),
        ("analysis_delay_seconds_count", 20.0),
        (r#"worker_concurrency{queue="analyze"}"#, 4.0),
        (
            r#"jobs_processed_total{outcome="dead",queue="analyze"}"#,
            0.0,
        ),
        (r#"job_queue_depth{queue="analyze",state="dead"}"#, 0.0),
        ("llm_circuit_state", 0.0),
    ] {
        assert_eq!(worker.metric(series).await, value, "{series}");
    }
    assert_eq!(worker.get("/livez").await.0, 200);
    let (status, body) = worker.get("/readyz").await;
    assert_eq!(
        (status, body.contains(r#""status":"ready""#)),
        (200, true),
        "{body}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_ask_once_for_each_post() {
    let stack = Stack::start(Mood::Well).await;
    let (_one, _two) = (stack.worker(), stack.worker());
    stack.write(100).await;
    stack.judged(100).await;
    assert_eq!(stack.llm.calls(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_of_the_same_words_share_a_verdict() {
    let stack = Stack::start(Mood::Well).await;
    let worker = stack.worker();
    for text in ["good morning", "good  morning", "Good morning"] {
        for _ in 0..5 {
            given::write(&stack.ctx, &stack.author, text).await;
        }
    }
    stack.judged(15).await;
    assert_eq!(stack.llm.calls(), 2, "capitals carry mood");
    let hits = r#"llm_shared_verdicts_total{outcome="hit"}"#;
    assert_eq!(worker.metric(hits).await, 13.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verdict_on_a_text_that_was_changed_meanwhile_changes_nothing() {
    let mut stack = Stack::start(Mood::Hanging).await;
    stack.config.worker_lease_seconds = 1;
    let _worker = stack.worker();
    let post = given::write(&stack.ctx, &stack.author, "old").await;
    stack.someone_holds(1).await;
    given::edit(&stack.ctx, &stack.author, post.id, "new").await;
    testing::eventually("the new text to be asked about", async || {
        stack.llm.calls_about("new") == 1
    })
    .await;
    stack.llm.set(Mood::Well);
    stack.judged(1).await;
    let view = posts::get(&stack.ctx, None, post.id)
        .await
        .unwrap()
        .analysis;
    assert_eq!(view.unwrap().explanation.as_deref(), Some("new"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_deleted_before_and_while_they_are_judged_leave_nothing_behind() {
    let mut stack = Stack::start(Mood::Hanging).await;
    stack.config.worker_lease_seconds = 1;
    let before = given::write(&stack.ctx, &stack.author, "before").await;
    posts::delete(&stack.ctx, &stack.author, before.id)
        .await
        .unwrap();
    let worker = stack.worker();
    let meanwhile = given::write(&stack.ctx, &stack.author, "while").await;
    stack.someone_holds(1).await;
    posts::delete(&stack.ctx, &stack.author, meanwhile.id)
        .await
        .unwrap();
    testing::eventually("the worker to notice", async || {
        worker
            .metric(r#"jobs_processed_total{outcome="nothing",queue="analyze"}"#)
            .await
            == 2.0
    })
    .await;
    assert_eq!(stack.llm.calls_about("before"), 0);
    assert_eq!(
        stack.done().await + given::count(&stack.ctx, Status::Pending).await,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_the_model_cannot_judge_is_given_up_and_holds_nobody_up() {
    let stack = Stack::start(Mood::Choosy).await;
    let worker = stack.worker();
    given::write(&stack.ctx, &stack.author, "a bad one").await;
    stack.write(10).await;
    testing::eventually("the others to be judged", async || stack.done().await == 10).await;
    testing::eventually("it to be given up", async || {
        given::make_due(&stack.ctx).await;
        given::count(&stack.ctx, Status::Dead).await == 1
    })
    .await;
    assert_eq!(stack.llm.calls_about("a bad one"), 8);
    assert_eq!(
        worker.metric("llm_circuit_state").await,
        0.0,
        "it was reached"
    );
    assert_eq!(
        worker
            .metric(r#"jobs_processed_total{outcome="dead",queue="analyze"}"#)
            .await,
        1.0
    );
    assert_eq!(
        worker
            .metric(r#"jobs_processed_total{outcome="failed",queue="analyze"}"#)
            .await,
        7.0
    );

    stack.llm.set(Mood::Well);
    let revived = stack
        .command()
        .arg("revive")
        .stdout(std::process::Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&revived.stdout).into_owned();
    assert!(said.contains("posts given another life: 1"), "{said}");
    stack.judged(11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_that_cannot_be_read_harms_nobody() {
    let stack = Stack::start(Mood::Well).await;
    let mut redis = stack.ctx.redis.patient_connection().await.unwrap();
    let nonsense = [
        RedisTask::new(b"{".to_vec()),
        RedisTask::new(b"{}".to_vec()),
    ];
    push_tasks(&mut redis, stack.ctx.jobs.config(), &nonsense)
        .await
        .unwrap();
    let _worker = stack.worker();
    stack.write(20).await;
    stack.judged(20).await;
}

/// So many posts with a verdict of a model that is to be replaced, marked to be judged again.
async fn stale(stack: &Stack, count: i32) {
    given::backlog(&stack.ctx, &stack.author, count).await;
    judged_by_the_old_model(stack).await;
    mark(stack, u64::try_from(count).unwrap()).await;
}

async fn judged_by_the_old_model(stack: &Stack) {
    sqlx::query(
        "UPDATE post_analysis SET status = 'done', polarity = 'positive', score = 1, confidence = 1, safety = 'ok',
             explanation = 'first', model = 'old', prompt_version = '0', finished_at = now()
         WHERE status = 'pending'",
    )
    .execute(&stack.ctx.db)
    .await
    .unwrap();
}

/// Marks what the old model judged; there have to be `count`.
async fn mark(stack: &Stack, count: u64) {
    let old = ["model=old".parse().unwrap()];
    let marked = analysis::reanalyze(&stack.ctx.db, &old, u64::MAX, |_| {}).await;
    assert_eq!(marked.unwrap().marked, count);
}

/// How many posts fit `condition`, which is SQL.
async fn posts_that(stack: &Stack, condition: &str) -> i64 {
    let query = format!("SELECT count(*) FROM post_analysis WHERE {condition}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_one(&stack.ctx.db)
        .await
        .unwrap()
}

/// Waits until no post waits to be judged again.
async fn nothing_is_stale(stack: &Stack) {
    testing::eventually("every post to be judged again", async || {
        posts_that(stack, "stale_since IS NOT NULL").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_are_judged_again_and_keep_their_verdict_until_then() {
    let stack = Stack::start(Mood::Hanging).await;
    stale(&stack, 30).await;
    let worker = stack.worker();
    testing::eventually("the worker to take some", async || stack.llm.calls() > 0).await;
    assert_eq!(stack.done().await, 30);
    assert_eq!(posts_that(&stack, "explanation = 'first'").await, 30);
    testing::eventually("them to be measured", async || {
        // Not there at all until the worker has looked.
        let stale = r#"job_queue_depth{queue="analyze",state="stale"} 30"#;
        worker.get("/metrics").await.1.contains(stale)
    })
    .await;

    stack.llm.set(Mood::Well);
    nothing_is_stale(&stack).await;
    assert_eq!(stack.done().await, 30);
    assert_eq!(posts_that(&stack, "model = 'stand-in'").await, 30);
    assert_eq!(stack.llm.calls(), 30, "once for each");
    testing::eventually("the counts", async || {
        worker
            .metric(r#"jobs_processed_total{outcome="done",queue="analyze"}"#)
            .await
            == 30.0
    })
    .await;
    assert_eq!(
        worker
            .metric(r#"analyses_total{polarity="neutral",safety="ok"}"#)
            .await,
        30.0
    );
    assert_eq!(
        worker.metric("analysis_delay_seconds_count").await,
        0.0,
        "no author has waited for it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_post_waits_for_a_few_of_them_and_not_for_all() {
    let mut stack = Stack::start(Mood::Hanging).await;
    stack.config.worker_concurrency = 1;
    stale(&stack, 200).await;
    let _worker = stack.worker();
    testing::eventually("as many hints as may wait", async || {
        let waiting = MAX_HINTS - stack.ctx.jobs.room().await.unwrap();
        stack.llm.calls() > 0 && waiting >= STALE_HINTS
    })
    .await;
    let new = given::write(&stack.ctx, &stack.author, "new").await;
    stack.llm.set(Mood::Well);
    nothing_is_stale(&stack).await;
    let before = format!(
        "model = 'stand-in' AND finished_at < (SELECT finished_at FROM post_analysis WHERE post_id = {})",
        new.id
    );
    let before = posts_that(&stack, &before).await;
    // Those that waited, the one in the model's hands, one that the queue's library may have taken ahead; and as many
    // again that were offered in the moment when the first had been taken and this one was on its way to the list.
    let few = 2 * (STALE_HINTS + 2);
    assert!(before <= few as i64, "{before} came before it");
    assert_eq!(stack.done().await, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_judged_again_keeps_its_verdict_and_is_counted() {
    let stack = Stack::start(Mood::Choosy).await;
    let post = given::write(&stack.ctx, &stack.author, "a bad one").await;
    judged_by_the_old_model(&stack).await;
    mark(&stack, 1).await;
    let worker = stack.worker();
    testing::eventually("it to be given up", async || {
        // The back-off after a failure is over; what somebody holds stays theirs.
        sqlx::query(
            "UPDATE post_analysis SET next_enqueue_at = now(), lease_until = NULL
             WHERE stale_since IS NOT NULL AND lease_owner IS NULL",
        )
        .execute(&stack.ctx.db)
        .await
        .unwrap();
        posts_that(&stack, "stale_since IS NOT NULL").await == 0
    })
    .await;
    let kept = posts::get(&stack.ctx, None, post.id).await.unwrap();
    let kept = kept.analysis.unwrap();
    assert_eq!((kept.status, kept.error), (Status::Done, None));
    assert_eq!(kept.explanation.as_deref(), Some("first"));
    assert_eq!(kept.model.as_deref(), Some("old"));
    assert_eq!(stack.llm.calls_about("a bad one"), 8);
    testing::eventually("the counts", async || {
        let outcome = async |outcome: &str| {
            let series = format!(r#"jobs_processed_total{{outcome="{outcome}",queue="analyze"}}"#);
            worker.metric(&series).await
        };
        outcome("dead").await == 1.0 && outcome("failed").await == 7.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_new_worker_nor_an_empty_redis_loses_one_of_them() {
    let redis = PrivateRedis::start();
    let mut stack = Stack::start_with(Mood::Hanging, redis.config.clone()).await;
    stack.config.worker_shutdown_seconds = 0;
    stale(&stack, 40).await;
    let worker = stack.worker();
    testing::eventually("the worker to take some", async || stack.llm.calls() > 0).await;
    redis.flush();
    worker.stop().await;
    assert_eq!(posts_that(&stack, "stale_since IS NOT NULL").await, 40);
    stack.llm.set(Mood::Well);
    given::make_due(&stack.ctx).await;
    let _worker = stack.worker();
    nothing_is_stale(&stack).await;
    assert_eq!(posts_that(&stack, "model = 'stand-in'").await, 40);
    assert_eq!(posts_that(&stack, "attempts > 0").await, 0);
}
