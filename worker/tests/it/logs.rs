//! What workers log of their jobs, and that it is stored.

use std::{process::Stdio, time::Duration};

use domain::testing::{self, posts as given};
use serde_json::Value;

use crate::{llm::Mood, stack::Stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_stored_with_the_request_that_they_are_for_and_slow_ones_named() {
    let stack = Stack::start(Mood::Well).await;
    let mut command = stack.command();
    command
        .env("WORKER_PORT", "0")
        .env("LLM_URL", stack.config.llm.llm_url.as_str())
        .env("LOG_STORE", "postgres")
        .env("LOG_STORE_SAMPLE", "1")
        .env("LOG_SLOW_JOB_MS", "1")
        .stdout(Stdio::null());
    let mut worker = crate::stack::Program(command.spawn().unwrap());
    stack.write(1).await;
    stack.judged(1).await;
    let records = async || -> Vec<Value> {
        sqlx::query_scalar("SELECT record FROM log_records WHERE service = 'worker' ORDER BY id")
            .fetch_all(&stack.ctx.db)
            .await
            .unwrap()
    };
    let of_the_job = |record: &Value| record["request_id"] == given::REQUEST_ID;
    testing::eventually("the job's record", async || {
        records().await.iter().any(|record| {
            of_the_job(record) && record["msg"] == "[ANALYZE - END]" && record["outcome"] == "done"
        })
    })
    .await;
    let records_now = records().await;
    let slow = records_now
        .iter()
        .find(|record| of_the_job(record) && record["level"] == 40)
        .expect("a warning");
    assert_eq!(slow["msg"], "[ANALYZE - EVENT] slow job");
    assert_eq!(slow["job"], "analyze");
    assert!(slow["job.milliseconds"].as_f64().unwrap() >= 1.0, "{slow}");
    assert_eq!(slow["post.id"], 1);

    worker.terminate();
    let ended = tokio::task::spawn_blocking(move || worker.0.wait().unwrap());
    let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
    assert!(ended.unwrap().unwrap().success());
    let last = records().await.pop().unwrap();
    assert!(
        last["msg"]
            .as_str()
            .unwrap()
            .contains("the worker has stopped"),
        "{last}"
    );
    let text: i64 =
        sqlx::query_scalar("SELECT count(*) FROM log_records WHERE record::text LIKE '%post 0%'")
            .fetch_one(&stack.ctx.db)
            .await
            .unwrap();
    assert_eq!(text, 0, "what people write is not logged");
}
