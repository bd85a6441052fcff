//! Replicas of the API in this process, on a database and a Redis prefix of the test's own.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::mpsc,
    thread,
    time::Duration,
};

use api::{config::ServeConfig, startup::Application};
use domain::{
    Ctx,
    analysis::{self, Failure, Fate, MAX_ATTEMPTS, Polarity, Safety, Verdict},
    auth::{AppEnv, AuthConfig},
    config::{CacheConfig, LlmConfig, PostsConfig},
    ids::PostId,
    jobs::AnalyzePost,
    rate_limits::RateLimitConfig,
    testing::{self, posts as given},
};
use serde_json::json;
use sqlx::PgPool;
use telemetry::{
    LogConfig, LogFormat, TraceConfig,
    store::{LogStore, LogStoreConfig},
};
use tokio::sync::oneshot;

use crate::client::{Client, http};

/// What every member's password is.
pub const PASSWORD: &str = "correct horse battery";
/// What signs the tokens.
pub const JWT_SECRET: &str = "q8Zt1vXw93LkYb7Rj2Nf5Hs0Pd6Gm4Ca";
/// An address where nobody listens: port 1 is reserved.
pub const NOBODY: &str = "127.0.0.1:1";

/// What a model may say of a harmless post.
pub fn verdict() -> Verdict {
    Verdict {
        polarity: Polarity::Positive,
        score: 0.75,
        confidence: 0.5,
        safety: Safety::Ok,
        topics: vec!["mood".into()],
        explanation: String::new(),
        model: "test-model".into(),
        prompt_version: "1".into(),
        tokens: 7,
    }
}

/// The hint for what a post says now.
async fn hint(worker: &Ctx, post: i64) -> AnalyzePost {
    let revision = sqlx::query_scalar("SELECT revision FROM posts WHERE id = $1")
        .bind(post)
        .fetch_one(&worker.db);
    AnalyzePost {
        post_id: PostId(post),
        revision: revision.await.expect("a post"),
        request_id: "test".into(),
        traceparent: None,
    }
}

/// One running replica; dropping it stops it.
struct Replica {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Replica {
    fn start(config: ServeConfig) -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let application = Application::build(&config).expect("a replica");
                tell.send(application.address()).expect("a test that waits");
                let stopped = async {
                    // An error means that the test has gone, which ends the replica as well.
                    let _either_way = stopped.await;
                };
                application.run_until(stopped).await.expect("a replica");
            });
        });
        Self {
            address: told.recv().expect("a replica that starts"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

/// Some replicas of the API that share a database and a Redis.
pub struct TestApp {
    /// How each replica was started.
    pub config: ServeConfig,
    replicas: Vec<Replica>,
    http: reqwest::Client,
}

impl TestApp {
    /// So many replicas, set up as in production.
    pub async fn start(replicas: usize) -> Self {
        Self::with(replicas, |_| {}).await
    }

    /// The same with other options.
    pub async fn with(replicas: usize, change: impl FnOnce(&mut ServeConfig)) -> Self {
        let mut config = ServeConfig {
            api_host: Ipv4Addr::LOCALHOST.into(),
            api_port: 0,
            api_workers: 2,
            api_shutdown_seconds: 1,
            api_live_streams: 10_000,
            api_live_streams_per_caller: 20,
            trusted_proxies: vec![],
            database: testing::database().await,
            redis: testing::redis().await,
            auth: AuthConfig {
                jwt_secret: Some(JWT_SECRET.into()),
                jwt_secret_previous: None,
                app_env: AppEnv::Production,
            },
            posts: PostsConfig {
                content_max_characters: 500,
            },
            cache: CacheConfig { cache_active: true },
            rate_limits: RateLimitConfig {
                rate_limiter: false,
                rate_limit_auth: "60/60".parse().expect("a quota"),
                rate_limit_writes: "300/60".parse().expect("a quota"),
                rate_limit_reads: "3000/60".parse().expect("a quota"),
            },
            llm: LlmConfig {
                llm_timeout_seconds: 5,
                ..testing::llm::at(format!("http://{NOBODY}").parse().expect("a URL"))
            },
            log: LogConfig {
                log_level: "off".into(),
                log_format: LogFormat::Json,
            },
            traces: TraceConfig::default(),
            log_store: LogStoreConfig {
                log_store: LogStore::Off,
                log_store_sample: 1.0,
                log_store_days: 14,
            },
        };
        change(&mut config);
        Self {
            replicas: (0..replicas)
                .map(|_| Replica::start(config.clone()))
                .collect(),
            config,
            http: http(),
        }
    }

    /// Believes the forwarding headers of this machine, as a replica behind NGINX does.
    pub fn behind_a_proxy(config: &mut ServeConfig) {
        config.trusted_proxies = vec![IpAddr::V4(Ipv4Addr::LOCALHOST).into()];
    }

    /// Somebody who is not logged in, talking to a replica.
    pub fn client(&self, replica: usize) -> Client {
        Client::new(self.http.clone(), self.replicas[replica].address)
    }

    /// Somebody who has just signed up and logged in, at the first replica.
    pub async fn member(&self, username: &str) -> Client {
        let mut client = self.client(0);
        let credentials = json!({"username": username, "password": PASSWORD});
        let created = client.post("/api/user/signup", credentials).await.ok(201);
        client.login(username, PASSWORD).await.ok(200);
        client.id = created["User created"][0]["id"].as_i64().expect("an id");
        client
    }

    /// The same person, talking to another replica.
    pub fn elsewhere(&self, person: &Client, replica: usize) -> Client {
        let mut client = person.clone();
        client.address = self.replicas[replica].address;
        client
    }

    /// The database, for what no caller of the API can see or do.
    pub async fn sql(&self) -> PgPool {
        domain::db::pool(&self.config.database).expect("a pool")
    }

    /// The domain on the same services, for what a worker does.
    pub fn worker(&self) -> Ctx {
        testing::replica(&self.config.database, &self.config.redis)
    }

    /// Tells somebody of something, as the deed itself does.
    pub async fn tell(&self, to: i64, actor: i64, kind: &str, post: Option<i64>) {
        sqlx::query(
            "INSERT INTO notifications (user_id, actor_id, kind, post_id) VALUES ($1, $2, $3, $4)",
        )
        .bind(to)
        .bind(actor)
        .bind(kind)
        .bind(post)
        .execute(&self.sql().await)
        .await
        .expect("a notification");
    }

    /// Gives a post its verdict, as a worker does.
    pub async fn judge(&self, post: i64, verdict: &Verdict) {
        let worker = self.worker();
        let job = hint(&worker, post).await;
        let lease = Duration::from_secs(10);
        let claim = analysis::claim(&worker, &job, "a", lease).await;
        assert!(claim.expect("a database").is_some(), "nothing to judge");
        let finished = analysis::finish(&worker, &job, "a", verdict).await;
        assert!(finished.expect("a database").is_some(), "judged already");
    }

    /// Fails on a post until it is given up.
    pub async fn give_up(&self, post: i64, why: &str) {
        let worker = self.worker();
        let job = hint(&worker, post).await;
        for _ in 0..MAX_ATTEMPTS {
            let lease = Duration::from_secs(10);
            let claim = analysis::claim(&worker, &job, "a", lease).await;
            assert!(claim.expect("a database").is_some(), "nothing to judge");
            let failed = analysis::fail(&worker, &job, "a", why).await;
            if let Some(Failure { fate, .. }) = failed.expect("a database")
                && fate == Fate::Dead
            {
                return;
            }
            given::make_due(&worker).await;
        }
        panic!("it was not given up");
    }

    /// Stops a replica and waits until it has gone, at most `most`.
    pub async fn stop(&mut self, replica: usize, most: Duration) {
        let mut replica = self.replicas.remove(replica);
        drop(replica.stop.take());
        let thread = replica.thread.take().expect("a thread");
        let gone = tokio::task::spawn_blocking(move || thread.join());
        let gone = tokio::time::timeout(most, gone).await;
        gone.expect("a stop in time")
            .expect("a join")
            .expect("no panic");
    }
}
