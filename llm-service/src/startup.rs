//! Builds the server and runs it until it is asked to stop. It listens before there is a model, so that a prober
//! can tell a process that loads from one that is dead.

use std::{net::TcpListener, sync::Arc, time::Duration};

use actix_web::{
    App, HttpServer,
    dev::Server,
    web::{self, Data},
};
use anyhow::Context as _;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    config::Config,
    metrics::Metrics,
    queue::Queue,
    routes::{self, Service},
    runner::{self, Orders, Phase},
};

/// Threads that read requests and write answers; the model's own threads do the work.
const HTTP_THREADS: usize = 2;

/// How long requests that are being worked on may still take when the service stops.
const STOP_PATIENCE_SECONDS: u64 = 25;

/// A server that listens, its model being loaded.
pub struct Application {
    server: Server,
    port: u16,
    queue: Arc<Queue>,
    phase: watch::Sender<Phase>,
    runner: JoinHandle<anyhow::Result<()>>,
}

impl Application {
    /// Takes the port and begins to load the model. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When a setting contradicts another, or the port cannot be had.
    pub fn build(config: &Config) -> anyhow::Result<Self> {
        let orders = Orders {
            models: config.models()?,
            dense: config.llm_dense,
            judge: config.judge()?,
            batch: config.llm_batch as usize,
        };
        let address = (config.llm_host.as_str(), config.llm_port);
        let listener = TcpListener::bind(address).with_context(|| {
            format!(
                "cannot listen on {}:{} (LLM_HOST, LLM_PORT)",
                config.llm_host, config.llm_port
            )
        })?;
        let port = listener.local_addr()?.port();

        let registry = telemetry::metrics_registry()?;
        let metrics = Metrics::new(&registry)?;
        let watch = telemetry::http::Watch::new(&registry, &["/metrics"])?.behind_others();
        let registry = Data::new(registry);
        let queue = Arc::new(Queue::new(config.llm_queue as usize, metrics.clone()));
        let (phase, watched) = watch::channel(Phase::Loading);
        let service = Service {
            queue: Arc::clone(&queue),
            phase: watched,
            metrics: metrics.clone(),
            max_texts: config.llm_max_texts as usize,
            patience: Duration::from_secs(config.llm_queue_seconds),
        };
        let runner = tokio::spawn(runner::run(
            orders,
            Arc::clone(&queue),
            phase.clone(),
            metrics,
        ));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(Data::new(service.clone()))
                .configure(|table| routes::table(table, service.max_texts))
                .app_data(registry.clone())
                .route("/metrics", web::get().to(telemetry::http::metrics))
                .wrap(watch.clone())
        })
        .workers(HTTP_THREADS)
        // A caller that closes its connection is gone; its handler is dropped and its texts are not judged.
        .h1_allow_half_closed(false)
        .shutdown_timeout(STOP_PATIENCE_SECONDS)
        .disable_signals()
        .listen(listener)?
        .run();
        tracing::info!(
            server.port = port,
            "listening on {}:{port}",
            config.llm_host
        );
        Ok(Self {
            server,
            port,
            queue,
            phase,
            runner,
        })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves until SIGTERM or SIGINT: then what waits is sent away, what is being worked on is finished.
    ///
    /// # Errors
    /// When no model can be loaded, or the server fails.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let Self {
            server,
            queue,
            phase,
            mut runner,
            ..
        } = self;
        let handle = server.handle();
        let server = tokio::spawn(server);
        let outcome = tokio::select! {
            () = telemetry::shutdown_signal() => {
                tracing::info!("asked to stop");
                None
            }
            outcome = &mut runner => Some(outcome),
        };
        phase.send_replace(Phase::Stopping);
        queue.close();
        handle.stop(true).await;
        server.await.context("the HTTP server panicked")??;
        match outcome {
            // The queue is closed only above, so the runner ended by a fault or a panic.
            Some(outcome) => outcome.context("the thread of the language model panicked")?,
            None => Ok(()),
        }
    }
}
