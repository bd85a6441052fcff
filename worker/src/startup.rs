//! Puts a worker together, runs it until it is told to stop, and stops it so that nothing waits for it afterwards.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use actix_web::dev::Server;
use domain::{Ctx, llm::Llm, logs};
use prometheus::Registry;
use telemetry::store::{Buffer, Writing};

use crate::{
    config::ServeConfig,
    fanout::Bringer,
    http,
    jobs::analyze::{Analyzer, HOLD, Settings, Stop},
    monitor::Monitor,
    outage::Outage,
    schedule::Schedule,
    slow::SlowJobs,
    sweeper::Sweeper,
};

/// How long giving back what was not finished may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A worker that is ready to run.
pub struct Worker {
    ctx: Ctx,
    analyzer: Arc<Analyzer>,
    monitor: Monitor,
    sweeper: Sweeper,
    schedule: Schedule,
    bringer: Bringer,
    server: Server,
    address: SocketAddr,
    stop: Stop,
    grace: Duration,
    registry: Registry,
}

impl Worker {
    /// Makes a worker and binds its listener. PostgreSQL, Redis and llm-service need not be there yet.
    ///
    /// # Errors
    /// When an option makes no sense or the listener's address is taken.
    pub fn build(config: &ServeConfig) -> anyhow::Result<Self> {
        let registry = telemetry::metrics_registry()?;
        let ctx = Ctx::new(&config.database, &config.redis, &config.cache, &registry)?;
        let llm = Llm::new(&config.llm, ctx.redis.clone(), &registry)?;
        let listen = SocketAddr::new(config.listen.worker_host, config.listen.worker_port);
        let (server, address) = http::listen(listen, ctx.clone(), registry.clone())?;
        // The address tells people which worker it is; the number, one process from the next at this address.
        let name = format!("{address}-{:08x}", rand::random::<u32>());
        let stop = Stop::default();
        let slow = SlowJobs::new(config.log_slow_job_ms);
        let settings = Settings {
            owner: name.clone(),
            concurrency: config.worker_concurrency,
            lease: Duration::from_secs(config.worker_lease_seconds),
            slow,
        };
        let database = Arc::new(Outage::new("PostgreSQL"));
        let analyzer = Arc::new(Analyzer::new(
            ctx.clone(),
            llm.clone(),
            settings,
            stop.clone(),
            Arc::clone(&database),
            &registry,
        )?);
        let answer = Duration::from_secs(config.llm.llm_timeout_seconds);
        let monitor = Monitor {
            ctx: ctx.clone(),
            analyzer: Arc::clone(&analyzer),
            name,
            concurrency: config.worker_concurrency,
            // Held, asked, held again for PostgreSQL; and the few seconds that single calls may take.
            patience: HOLD + answer + HOLD + Duration::from_secs(30),
            stop: stop.begun.clone(),
        };
        let max_followers = config.timelines.timeline_fanout_max_followers;
        Ok(Self {
            schedule: Schedule::new(ctx.clone(), Arc::clone(&database), slow, &registry)?,
            bringer: Bringer::new(ctx.clone(), max_followers, slow, &registry)?,
            sweeper: Sweeper::new(ctx.clone(), llm, database),
            grace: Duration::from_secs(config.worker_shutdown_seconds),
            ctx,
            analyzer,
            monitor,
            server,
            address,
            stop,
            registry,
        })
    }

    /// Where the listener is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has the log stored from now on, if there is something to store; its metrics are this worker's.
    ///
    /// # Errors
    /// When that cannot be set up.
    pub fn store_log(
        &self,
        buffer: Option<Buffer>,
        config: &ServeConfig,
    ) -> anyhow::Result<Option<Writing>> {
        let Some(buffer) = buffer else {
            return Ok(None);
        };
        let writer = logs::Writer::new(
            &config.database,
            config.log_store.log_store_days,
            buffer.dropped(),
            &self.registry,
        )?;
        Ok(Some(
            buffer.hand_to(move |lines, stop| writer.run(lines, stop))?,
        ))
    }

    /// Runs until `signal`; then takes nothing new, finishes what is under way if it can in time, and gives the rest
    /// back, so that another worker takes it at once.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run_until(self, signal: impl Future<Output = ()>) -> anyhow::Result<()> {
        let address = self.address;
        tracing::info!(%address, "the worker runs");
        let listener = self.server.handle();
        let server = tokio::spawn(self.server);
        let sweeping = tokio::spawn(self.sweeper.run(self.stop.begun.clone()));
        let computing = tokio::spawn(self.schedule.run(self.stop.begun.clone()));
        let bringing = tokio::spawn(self.bringer.run(self.stop.begun.clone()));
        let listening = tokio::spawn(self.monitor.run());
        let schema = tokio::spawn(domain::schema::watch(self.ctx.db.clone()));

        signal.await;
        tracing::info!("the worker stops");
        self.stop.begun.cancel();
        let ended = async {
            let _panicked = tokio::join!(sweeping, computing, bringing, listening);
            self.analyzer.idle().await;
        };
        tokio::pin!(ended);
        if tokio::time::timeout(self.grace, &mut ended).await.is_err() {
            tracing::warn!(
                seconds = self.grace.as_secs(),
                "not finished in time; giving the posts under way back"
            );
            self.stop.now.cancel();
            let _leases_end_anyway = tokio::time::timeout(LAST_WORDS, ended).await;
        }
        schema.abort();
        self.ctx.feed.settle().await;
        listener.stop(false).await;
        server.await??;
        tracing::info!("the worker has stopped");
        Ok(())
    }
}

/// Asks the worker at this address whether it is ready.
///
/// # Errors
/// When it is not, or does not answer.
pub async fn healthcheck(host: IpAddr, port: u16) -> anyhow::Result<()> {
    // "Every address" is one to listen on and none to ask.
    let host = match host {
        IpAddr::V4(any) if any.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(any) if any.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        host => host,
    };
    let url = format!("http://{}/readyz", SocketAddr::new(host, port));
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()?;
    let response = client
        .get(&url)
        .send()
        .await
        .map_err(|error| anyhow::anyhow!("no answer from {url}: {error}"))?;
    let status = response.status();
    anyhow::ensure!(status.is_success(), "{url} answered {status}");
    Ok(())
}
