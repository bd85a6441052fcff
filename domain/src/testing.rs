//! Real services for tests: one private PostgreSQL and one private Redis per test binary, on free loopback ports, with
//! a database and a key prefix of its own for every test. They need Debian's `postgresql` and `redis-server` and
//! nothing that is running already, and they end with the test binary however it ends.

#![expect(
    clippy::expect_used,
    reason = "tests have nobody to report to but their own output"
)]

pub mod llm;
pub mod posts;
pub mod proxy;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus::Registry;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{
    Ctx,
    config::{CacheConfig, DatabaseConfig, RedisConfig},
    schema,
};

/// How long a service may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
const TEMPLATE: &str = "linnet_template";

static NAMES: AtomicU32 = AtomicU32::new(0);
static POSTGRES: LazyLock<Service> = LazyLock::new(start_postgres);
static TEMPLATE_READY: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
static REDIS: LazyLock<Service> = LazyLock::new(|| start_redis(free_port()));

/// A server process and the shell that ends it when this process has gone.
struct Service {
    port: u16,
    /// Its standard input is the leash: at its end of file the shell ends the server.
    shell: Child,
}

/// Runs `command`, and ends it and removes `folder` when this process ends in whatever way.
fn leash(folder: &Path, command: &[&str]) -> Child {
    let script = r#"folder=$1; shift; "$@" >"$folder/log" 2>&1 </dev/null & server=$!
        cat >/dev/null; kill -INT $server 2>/dev/null; wait $server; rm -rf "$folder""#;
    Command::new("sh")
        .args(["-c", script, "leash"])
        .arg(folder)
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("cannot start sh")
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("no free port on loopback")
        .port()
}

fn wait_for_port(port: u16, what: &str, folder: &Path) {
    let (address, start) = (
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        Instant::now(),
    );
    while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
        let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(
            start.elapsed() < PATIENCE,
            "{what} did not start: {}",
            log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn new_folder(what: &str) -> PathBuf {
    tempfile::Builder::new()
        .prefix(&format!("linnet-test-{what}-"))
        .tempdir()
        .expect("cannot make a temporary folder")
        .keep()
}

/// The newest PostgreSQL that Debian has installed, or the one on PATH.
fn postgres_program(name: &str) -> String {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    versions.sort_by_key(|path| {
        let version = path
            .file_name()
            .and_then(|name| name.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version.unwrap_or(0))
    });
    versions
        .iter()
        .map(|version| version.join("bin").join(name))
        .find(|program| program.exists())
        .map_or_else(|| name.to_owned(), |program| program.display().to_string())
}

fn run(program: &[&str]) {
    let output = Command::new(program[0])
        .args(&program[1..])
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "cannot run {}: {error}; `make test` installs it",
                program[0]
            )
        });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?} failed: {errors}");
}

fn start_postgres() -> Service {
    let (folder, port) = (new_folder("postgres"), free_port());
    let data = folder.join("data").display().to_string();
    let (initdb, postgres) = (postgres_program("initdb"), postgres_program("postgres"));
    // PostgreSQL refuses to run as root.
    let root = std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let user: &[&str] = if root {
        &[
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--init-groups",
        ]
    } else {
        &[]
    };
    if root {
        run(&["chown", "postgres", &folder.display().to_string()]);
    }
    let init: &[&str] = &[
        &initdb,
        "-D",
        &data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    ];
    run(&[user, init].concat());
    let port_text = port.to_string();
    let serve: &[&str] = &[
        &postgres,
        "-D",
        &data,
        "-p",
        &port_text,
        "-k",
        "",
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "fsync=off",
        "-c",
        "synchronous_commit=off",
        "-c",
        "full_page_writes=off",
        "-c",
        "max_connections=400",
        "-c",
        "autovacuum=off",
    ];
    let shell = leash(&folder, &[user, serve].concat());
    wait_for_port(port, "PostgreSQL", &folder);
    Service { port, shell }
}

fn start_redis(port: u16) -> Service {
    let folder = new_folder("redis");
    let port_text = port.to_string();
    let shell = leash(
        &folder,
        &[
            "redis-server",
            "--port",
            &port_text,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            "/",
        ],
    );
    wait_for_port(port, "Redis", &folder);
    Service { port, shell }
}

fn own_name(what: &str) -> String {
    format!("{what}_{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// An empty, migrated database of the test's own.
///
/// # Panics
/// When PostgreSQL cannot be started or asked.
pub async fn database() -> DatabaseConfig {
    database_like(TEMPLATE).await
}

/// A database of the test's own without anything in it.
///
/// # Panics
/// When PostgreSQL cannot be started or asked.
pub async fn bare_database() -> DatabaseConfig {
    database_like("template0").await
}

async fn database_like(template: &str) -> DatabaseConfig {
    let port = tokio::task::spawn_blocking(|| POSTGRES.port)
        .await
        .expect("PostgreSQL");
    let url = |name: &str| format!("postgres://postgres@127.0.0.1:{port}/{name}");
    let config = |name: &str| DatabaseConfig {
        database_url: url(name).into(),
        database_max_connections: 8,
        log_slow_query_ms: 250,
    };
    let execute = async |sql: String| {
        let start = Instant::now();
        // The port answers a little before the server does.
        let mut connection = loop {
            match PgConnection::connect(&url("postgres")).await {
                Ok(connection) => break connection,
                Err(error) => assert!(start.elapsed() < PATIENCE, "PostgreSQL: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        connection
            .execute(sqlx::AssertSqlSafe(sql))
            .await
            .expect("PostgreSQL");
        connection.close().await.expect("PostgreSQL");
    };
    TEMPLATE_READY
        .get_or_init(async || {
            execute(format!("CREATE DATABASE {TEMPLATE}")).await;
            schema::migrate(&config(TEMPLATE))
                .await
                .expect("the migrations");
        })
        .await;
    let name = own_name("test");
    execute(format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    config(&name)
}

fn redis_at(port: u16) -> RedisConfig {
    RedisConfig {
        redis_url: None,
        redis_host: "127.0.0.1".into(),
        redis_port: port,
        redis_prefix: own_name("test"),
    }
}

/// The shared Redis under a prefix of the test's own. Not for tests that flush it or end it.
///
/// # Panics
/// When Redis cannot be started.
pub async fn redis() -> RedisConfig {
    let port = tokio::task::spawn_blocking(|| REDIS.port)
        .await
        .expect("Redis");
    redis_at(port)
}

/// A Redis of the test's own, to flush, end and start again.
pub struct PrivateRedis {
    service: Option<Service>,
    /// How to reach it.
    pub config: RedisConfig,
}

impl PrivateRedis {
    /// Starts one.
    ///
    /// # Panics
    /// When Redis cannot be started.
    #[must_use]
    pub fn start() -> Self {
        let service = start_redis(free_port());
        Self {
            config: redis_at(service.port),
            service: Some(service),
        }
    }

    /// Ends it; what it held is lost.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) {
        if let Some(mut service) = self.service.take() {
            drop(service.shell.stdin.take());
            service.shell.wait().expect("Redis does not end");
        }
    }

    /// Starts it again, empty, at the same address.
    ///
    /// # Panics
    /// When Redis cannot be started.
    pub fn start_again(&mut self) {
        self.stop();
        self.service = Some(start_redis(self.config.redis_port));
    }

    /// Forgets everything, like an operator's FLUSHALL.
    ///
    /// # Panics
    /// When Redis does not take it.
    pub fn flush(&self) {
        assert_eq!(self.call("FLUSHALL"), "+OK");
    }

    /// How many keys it holds.
    ///
    /// # Panics
    /// When Redis does not answer.
    #[must_use]
    pub fn keys(&self) -> u64 {
        let answer = self.call("DBSIZE");
        answer[1..].parse().expect("a number")
    }

    /// Sends one command; answers the first line of what Redis says.
    fn call(&self, command: &str) -> String {
        let address = (Ipv4Addr::LOCALHOST, self.config.redis_port);
        let mut stream = TcpStream::connect(address).expect("Redis");
        write!(stream, "{command}\r\n").expect("Redis");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("Redis");
        line.trim_end().to_owned()
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A context like one replica's, on these services.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn replica(database: &DatabaseConfig, redis: &RedisConfig) -> Ctx {
    let cache = CacheConfig { cache_active: true };
    Ctx::new(database, redis, &cache, &Registry::new()).expect("a context")
}

/// A context on a database and a prefix of the test's own.
///
/// # Panics
/// When the services cannot be started.
pub async fn ctx() -> Ctx {
    replica(&database().await, &redis().await)
}

/// Asks `question` until it is true.
///
/// # Panics
/// When it is not within 30 s; `what` says what was waited for.
pub async fn eventually(what: &str, mut question: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !question().await {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "waited in vain: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
