//! Workers that end, in good order or not, with posts in their hands.

use std::time::{Duration, Instant};

use domain::testing;

use crate::{llm::Mood, stack::Stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_the_posts_being_judged_and_takes_no_others() {
    let stack = Stack::start(Mood::Hanging).await;
    let worker = stack.worker();
    stack.write(10).await;
    stack.someone_holds(4).await;
    let stopping = tokio::spawn(worker.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!stopping.is_finished());
    stack.llm.set(Mood::Well);
    stopping.await.unwrap();
    assert_eq!((stack.done().await, stack.held().await), (4, 0));

    let _another = stack.worker();
    stack.judged(10).await;
    assert_eq!(stack.llm.calls(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_finished_in_time_is_given_back_and_taken_at_once() {
    let mut stack = Stack::start(Mood::Hanging).await;
    stack.config.worker_lease_seconds = 600;
    stack.config.worker_shutdown_seconds = 0;
    let worker = stack.worker();
    stack.write(4).await;
    stack.someone_holds(4).await;
    worker.stop().await;
    assert_eq!((stack.held().await, stack.failures().await), (0, 0));

    stack.llm.set(Mood::Well);
    let began = Instant::now();
    let _another = stack.worker();
    stack.judged(4).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_held_for_an_absent_model_go_back_when_the_worker_stops() {
    let stack = Stack::start(Mood::Refusing(503)).await;
    let worker = stack.worker();
    stack.write(20).await;
    testing::eventually("the circuit to open", async || {
        worker.metric("llm_circuit_state").await == 2.0
    })
    .await;
    let began = Instant::now();
    worker.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );

    stack.llm.set(Mood::Well);
    let _another = stack.worker();
    stack.judged(20).await;
    assert_eq!(stack.failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_workers_posts_are_judged_by_another() {
    let mut stack = Stack::start(Mood::Hanging).await;
    stack.config.worker_lease_seconds = 1;
    let (mut victim, _) = stack.program();
    stack.write(20).await;
    stack.someone_holds(4).await;
    victim.0.kill().unwrap();
    victim.0.wait().unwrap();

    stack.llm.set(Mood::Well);
    let began = Instant::now();
    let _another = stack.worker();
    stack.judged(20).await;
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(stack.failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_tells_how_it_is_and_ends_well_on_sigterm() {
    let stack = Stack::start(Mood::Well).await;
    let (mut program, port) = stack.program();
    let healthcheck = || {
        let mut command = stack.command();
        command
            .arg("healthcheck")
            .env("WORKER_PORT", port.to_string());
        command
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap()
    };
    testing::eventually("it to be ready", async || healthcheck().success()).await;
    stack.write(5).await;
    stack.judged(5).await;
    program.terminate();
    assert!(program.0.wait().unwrap().success());
    assert!(!healthcheck().success());
}
