//! The service under test: started once, in a thread of its own.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use clap::Parser as _;
use llm_service::{config::Cli, startup::Application};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use crate::http::{self, Answer};

/// Small, so that the overload test need not send much.
pub const QUEUE: usize = 8;
/// Texts per request, and read together.
pub const MAX_TEXTS: usize = 4;

/// The running service.
pub struct App {
    pub port: u16,
    /// What it answered before the model was loaded.
    pub before: Before,
    turn: Mutex<()>,
}

pub struct Before {
    pub livez: Answer,
    pub readyz: Answer,
    pub analyze: Answer,
}

/// The service, and the right to be the only one to use it.
pub async fn app() -> (&'static App, MutexGuard<'static, ()>) {
    static APP: OnceLock<App> = OnceLock::new();
    let app = APP.get_or_init(|| {
        std::thread::spawn(start)
            .join()
            .expect("the service starts")
    });
    (app, app.turn.lock().await)
}

/// The path of the small model.
pub fn model_path() -> String {
    std::env::var("LLM_TEST_MODEL").expect(
        "these tests need the small model: set LLM_TEST_MODEL to its path. \
         It is fetched, and its path printed, by native/fetch-model: \
         LLM_TEST_MODEL=$(native/fetch-model) cargo test …",
    )
}

fn start() -> App {
    let model = model_path();
    let (queue, texts) = (QUEUE.to_string(), MAX_TEXTS.to_string());
    let config = Cli::parse_from([
        "llm-service",
        "--llm-host",
        "127.0.0.1",
        "--llm-port",
        "0",
        "--llm-model",
        &model,
        "--llm-queue",
        &queue,
        "--llm-max-texts",
        &texts,
        "--llm-batch",
        &texts,
        "--llm-queue-seconds",
        "60",
        "--llm-dense",
        "true",
    ])
    .config;
    let (sender, port) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let application = Application::build(&config).unwrap();
            sender.send(application.port()).unwrap();
            application.run_until_stopped().await.unwrap();
        });
    });
    let port = port.recv().expect("the service listens");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let before = runtime.block_on(async {
        Before {
            livez: http::get(port, "/livez").await,
            readyz: http::get(port, "/readyz").await,
            analyze: http::post(port, "/v1/analyze", &json!({"texts": ["hello"]})).await,
        }
    });
    runtime.block_on(until_ready(port));
    App {
        port,
        before,
        turn: Mutex::new(()),
    }
}

/// Asks until the service is ready, for at most two minutes.
pub async fn until_ready(port: u16) {
    let start = Instant::now();
    while http::get(port, "/readyz").await.status != 200 {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "the model is not loaded"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The value of a series without labels, or with exactly these, in the answer of `/metrics`.
pub async fn metric(port: u16, series: &str) -> f64 {
    let metrics = http::get(port, "/metrics").await.body;
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("no {series} in\n{metrics}"))
        .parse()
        .unwrap()
}
