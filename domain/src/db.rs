//! The connection pool to PostgreSQL and its gauges. SQL lives in each feature's `queries.rs`, migrations in `schema`.

use std::{
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use prometheus::{
    IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use secrecy::ExposeSecret as _;
use sqlx::{
    ConnectOptions as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::config::DatabaseConfig;

/// Makes the pool; connections are opened when they are needed, and PostgreSQL need not be there yet.
///
/// # Errors
/// When `DATABASE_URL` is not an address of PostgreSQL.
pub fn pool(config: &DatabaseConfig) -> anyhow::Result<PgPool> {
    // A statement that runs this long is a fault; better one failed request than a pool of stuck ones.
    let options = options(config)?.options([
        ("statement_timeout", "10s"),
        ("lock_timeout", "5s"),
        // A page of posts joins eight tables: planning it takes six times as long as running it, and with the values in
        // hand PostgreSQL finds no better plan than without.
        ("plan_cache_mode", "force_generic_plan"),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(config.database_max_connections)
        .acquire_timeout(Duration::from_secs(3))
        .connect_lazy_with(options))
}

/// How to connect, without limits to how long a statement may take.
///
/// # Errors
/// When `DATABASE_URL` is not an address of PostgreSQL.
pub(crate) fn options(config: &DatabaseConfig) -> anyhow::Result<PgConnectOptions> {
    const WRONG: &str =
        "DATABASE_URL is not an address of PostgreSQL (postgres://user:password@host/database)";
    let url = config.database_url.expose_secret();
    // sqlx takes any scheme for its own.
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    anyhow::ensure!(matches!(scheme, Some("postgres" | "postgresql")), WRONG);
    // The statement stands in the log as it is in the source, with $1 for a value.
    let slow = match config.log_slow_query_ms {
        0 => Duration::MAX,
        slow => Duration::from_millis(slow),
    };
    Ok(PgConnectOptions::from_str(url)
        .context(WRONG)?
        .log_slow_statements(log::LevelFilter::Warn, slow))
}

/// The pools of one process, all alike, as its gauges see them: `db_pool_connections{state="active|idle"}` and
/// `db_pool_connections_max`, summed when scraped.
#[derive(Clone)]
pub(crate) struct Pools {
    config: DatabaseConfig,
    opened: Arc<Mutex<Vec<PgPool>>>,
}

impl Pools {
    /// # Errors
    /// When the registry holds the gauges already.
    pub(crate) fn new(config: &DatabaseConfig, registry: &Registry) -> anyhow::Result<Self> {
        let pools = Self {
            config: config.clone(),
            opened: Arc::default(),
        };
        registry.register(Box::new(PoolMetrics {
            pools: pools.clone(),
            connections: IntGaugeVec::new(
                Opts::new("db_pool_connections", "Connections to PostgreSQL by state"),
                &["state"],
            )?,
            max: IntGauge::new(
                "db_pool_connections_max",
                "The most connections the process opens",
            )?,
        }))?;
        Ok(pools)
    }

    /// One more pool.
    ///
    /// # Errors
    /// As [`pool`].
    pub(crate) fn open(&self) -> anyhow::Result<PgPool> {
        let pool = pool(&self.config)?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.push(pool.clone());
        Ok(pool)
    }
}

struct PoolMetrics {
    pools: Pools,
    connections: IntGaugeVec,
    max: IntGauge,
}

impl Collector for PoolMetrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.connections.desc(), self.max.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (mut idle, mut open, mut max) = (0, 0, 0);
        let opened = &self.pools.opened;
        for pool in &*opened.lock().unwrap_or_else(PoisonError::into_inner) {
            idle += i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
            open += i64::from(pool.size());
            max += i64::from(pool.options().get_max_connections());
        }
        self.connections.with_label_values(&["idle"]).set(idle);
        self.connections
            .with_label_values(&["active"])
            .set(open - idle);
        self.max.set(max);
        [self.connections.collect(), self.max.collect()].concat()
    }
}
