//! What the three programs share about being run and watched: log set-up, traces, the metrics registry, secrets in files
//! and the shutdown signal.
//!
//! The HTTP side (request ids, one log line per request, HTTP metrics) lives in [`http`], behind the feature
//! `actix`, so that nothing here forces a web framework on a program without a listener. What of the log goes to a
//! long-term store, and how it gets to whoever writes it there without anybody waiting, is in [`store`].
//! What is measured is not decided here: each metric is declared beside the code that moves it.

mod bunyan;
#[cfg(feature = "actix")]
pub mod http;
mod lines;
mod log;
#[cfg(feature = "testing")]
pub mod options;
pub mod secrets;
mod share;
pub mod store;
pub mod trace;

pub use log::{LogConfig, LogFormat, Logs, init, init_serving};
pub use trace::TraceConfig;

use prometheus::Registry;

/// A new metrics registry that already exports the process collector (`process_*`: CPU seconds, resident
/// bytes, open files) and, where traces are on, `trace_spans_total`. One per program; tests make one per server, so that they do not see each other.
///
/// # Errors
/// When the collector cannot be registered.
pub fn metrics_registry() -> anyhow::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(
        prometheus::process_collector::ProcessCollector::for_self(),
    ))?;
    if let Some(spans) = trace::spans_total() {
        registry.register(Box::new(spans.clone()))?;
    }
    Ok(registry)
}

/// Resolves when the process is asked to stop: SIGTERM (supervisor, containers) or SIGINT (a terminal).
///
/// When a handler cannot be installed the other one still counts; when neither can, this never resolves and
/// only SIGKILL ends the process.
pub async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = async |kind: SignalKind| match signal(kind) {
        Ok(mut stream) => {
            stream.recv().await;
        }
        Err(error) => {
            tracing::error!(%error, "cannot listen for a stop signal");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
    }
}
