//! Posts on a stack where all is well with everything but, sometimes, a post.

use apalis_redis::{RedisTask, queries::push_tasks};
use domain::{
    analysis::Status,
    page::Limit,
    posts,
    testing::{self, posts as given},
};

use crate::{llm::Mood, stack::Stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_post_gets_its_verdict_and_is_counted() {
    let stack = Stack::start(Mood::Well).await;
    let worker = stack.worker();
    stack.write(20).await;
    stack.judged(20).await;
    let page = posts::page(&stack.ctx, None, Limit::parse(50).unwrap())
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
    let view = posts::get(&stack.ctx, post.id).await.unwrap().analysis;
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
