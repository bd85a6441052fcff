//! What a test starts: a database, a Redis, the stand-in for the model, and workers, in this process or as programs.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use domain::{
    Ctx,
    analysis::Status,
    config::{CacheConfig, DatabaseConfig, RedisConfig, TimelineConfig},
    testing::{self, posts as given},
    users::User,
};
use secrecy::ExposeSecret as _;
use telemetry::{
    LogConfig, LogFormat, TraceConfig,
    store::{LogStore, LogStoreConfig},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::{
    config::{ListenConfig, ServeConfig},
    startup::Worker,
};

use crate::llm::{FakeLlm, Mood};

pub struct Stack {
    pub ctx: Ctx,
    pub author: User,
    pub llm: FakeLlm,
    pub config: ServeConfig,
}

impl Stack {
    pub async fn start(mood: Mood) -> Self {
        Self::start_with(mood, testing::redis().await).await
    }

    pub async fn start_with(mood: Mood, redis: RedisConfig) -> Self {
        let database = testing::database().await;
        let ctx = testing::replica(&database, &redis);
        let llm = FakeLlm::start(mood);
        Self {
            author: given::author(&ctx).await,
            ctx,
            config: config(database, redis, &llm),
            llm,
        }
    }

    /// A worker in this process.
    pub fn worker(&self) -> Running {
        let worker = Worker::build(&self.config).unwrap();
        let (address, stop) = (worker.address(), CancellationToken::new());
        let signal = stop.clone().cancelled_owned();
        Running {
            address,
            stop,
            task: tokio::spawn(worker.run_until(signal)),
        }
    }

    /// A worker that is a process of its own, to be killed; and its port.
    pub fn program(&self) -> (Program, u16) {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let mut command = self.command();
        command
            .env("WORKER_PORT", port.to_string())
            .env("LLM_URL", self.config.llm.llm_url.as_str())
            .env(
                "WORKER_CONCURRENCY",
                self.config.worker_concurrency.to_string(),
            )
            .env(
                "WORKER_LEASE_SECONDS",
                self.config.worker_lease_seconds.to_string(),
            );
        (Program(command.spawn().unwrap()), port)
    }

    /// The program with what every subcommand needs.
    pub fn command(&self) -> Command {
        let ServeConfig {
            database, redis, ..
        } = &self.config;
        let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
        command
            .env_clear()
            .env("DATABASE_URL", database.database_url.expose_secret())
            .env("REDIS_HOST", &redis.redis_host)
            .env("REDIS_PORT", redis.redis_port.to_string())
            .env("REDIS_PREFIX", &redis.redis_prefix)
            .stdout(Stdio::null());
        command
    }

    pub async fn write(&self, count: usize) {
        for n in 0..count {
            given::write(&self.ctx, &self.author, &format!("post {n}")).await;
        }
    }

    pub async fn done(&self) -> i64 {
        given::count(&self.ctx, Status::Done).await
    }

    /// Waits until `count` posts are judged and none waits.
    pub async fn judged(&self, count: i64) {
        testing::eventually("every post to be judged", async || {
            self.done().await == count && given::count(&self.ctx, Status::Pending).await == 0
        })
        .await;
    }

    /// The sum of a column over all posts.
    pub async fn failures(&self) -> i64 {
        sqlx::query_scalar("SELECT coalesce(sum(attempts), 0) FROM post_analysis")
            .fetch_one(&self.ctx.db)
            .await
            .unwrap()
    }

    /// How many posts somebody holds.
    pub async fn held(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM post_analysis WHERE status = 'pending' AND lease_owner IS NOT NULL",
        )
        .fetch_one(&self.ctx.db)
        .await
        .unwrap()
    }

    pub async fn someone_holds(&self, count: i64) {
        testing::eventually("the posts to be claimed", async || {
            self.held().await == count
        })
        .await;
    }
}

fn config(database: DatabaseConfig, redis: RedisConfig, llm: &FakeLlm) -> ServeConfig {
    ServeConfig {
        listen: ListenConfig {
            worker_host: Ipv4Addr::LOCALHOST.into(),
            worker_port: 0,
        },
        worker_concurrency: 4,
        worker_shutdown_seconds: 20,
        worker_lease_seconds: 10,
        log_slow_job_ms: 10_000,
        llm: testing::llm::at(llm.url()),
        database,
        redis,
        cache: CacheConfig { cache_active: true },
        timelines: TimelineConfig {
            timeline_fanout_max_followers: 10_000,
        },
        log: LogConfig {
            log_level: "info".into(),
            log_format: LogFormat::Pretty,
        },
        traces: TraceConfig::default(),
        log_store: LogStoreConfig {
            log_store: LogStore::Off,
            log_store_sample: 1.0,
            log_store_days: 14,
        },
    }
}

/// A worker in this process. Dropping it leaves it running until the test ends.
pub struct Running {
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Stops it the way SIGTERM does, and waits for its end.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        let url = format!("http://{}{path}", self.address);
        let response = client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The value of one series, written as /metrics writes it.
    pub async fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {series} in\n{text}"))
    }
}

/// A process that does not outlive the test.
pub struct Program(pub Child);

impl Program {
    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL; it may have ended already.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
