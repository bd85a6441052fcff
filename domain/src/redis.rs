//! The connection to Redis: one multiplexed connection that heals itself, a prefix for every key, a cap on every
//! wait, and a memory of Redis being down, so that an outage costs a request nothing but the first wait.
//!
//! What is stored there lives beside its owner: the feed's pages in `posts/cache.rs`, hints in `jobs.rs`, rate
//! limits in `rate_limits.rs`. Nothing in Redis is the truth of anything.

mod traced;

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion,
    PushInfo, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
};
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;

use crate::config::RedisConfig;
use traced::Traced;

/// The longest one call may take. Redis answers in well under a millisecond; a request that has waited this
/// long does better without.
const CALL_CAP: Duration = Duration::from_millis(250);
/// After a failed call, calls that can be done without are skipped for this long.
const REST: Duration = Duration::from_millis(500);

/// Redis did not answer in time, or with an error; callers go on without it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("Redis is not available: {0}")]
pub struct RedisDown(pub String);

/// A connection that hears what is published on a channel, until it is lost.
pub(crate) struct Subscription {
    connection: MultiplexedConnection,
    /// What Redis says unasked; of kind `Disconnection` when the connection is lost.
    pub pushes: mpsc::UnboundedReceiver<PushInfo>,
}

impl Subscription {
    /// Whether the connection is still one.
    pub async fn ping(&mut self) -> RedisResult<()> {
        deadpool_redis::redis::cmd("PING")
            .exec_async(&mut self.connection)
            .await
    }
}

/// A handle to Redis; clones share one connection.
#[derive(Clone)]
pub struct Redis {
    connection: Traced,
    config: RedisConfig,
    down_until: std::sync::Arc<AtomicU64>,
    epoch: Instant,
}

impl Redis {
    /// Makes a handle; the connection is opened by the first call, and Redis need not be there yet.
    ///
    /// # Errors
    /// When the address is not one of Redis.
    pub fn new(config: &RedisConfig) -> anyhow::Result<Self> {
        let connection = Self::manager(
            config,
            // One attempt, then the error: waiting for Redis is never worth a request's time, and the next
            // call starts the next attempt.
            ConnectionManagerConfig::new()
                .set_number_of_retries(0)
                .set_connection_timeout(Some(CALL_CAP))
                .set_response_timeout(Some(CALL_CAP)),
        )?;
        Ok(Self {
            connection: Traced::new(connection, &config.redis_prefix),
            config: config.clone(),
            down_until: std::sync::Arc::default(),
            epoch: Instant::now(),
        })
    }

    /// A connection of its own for long-lived users such as the job runner, which would rather wait out a stall
    /// of a few seconds than be torn down by it.
    ///
    /// # Errors
    /// When Redis cannot be reached now.
    pub async fn patient_connection(&self) -> anyhow::Result<ConnectionManager> {
        let mut connection = Self::manager(
            &self.config,
            ConnectionManagerConfig::new()
                .set_number_of_retries(3)
                .set_max_delay(Duration::from_secs(1))
                .set_connection_timeout(Some(Duration::from_secs(2)))
                .set_response_timeout(Some(Duration::from_secs(5))),
        )?;
        deadpool_redis::redis::cmd("PING")
            .exec_async(&mut connection)
            .await?;
        Ok(connection)
    }

    /// A connection of its own that is subscribed to a channel, for which the third version of the protocol is needed
    /// (Redis 6).
    ///
    /// # Errors
    /// When Redis cannot be reached now.
    pub(crate) async fn subscribe(&self, channel: &str) -> anyhow::Result<Subscription> {
        let info = Self::address(&self.config)?;
        let settings = info.redis_settings().clone();
        let info = info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
        let (tell, pushes) = mpsc::unbounded_channel();
        let patience = Some(Duration::from_secs(2));
        let options = AsyncConnectionConfig::new()
            .set_connection_timeout(patience)
            .set_response_timeout(patience)
            .set_push_sender(tell);
        let mut connection = Client::open(info)?
            .get_multiplexed_async_connection_with_config(&options)
            .await?;
        connection.subscribe(channel).await?;
        Ok(Subscription { connection, pushes })
    }

    fn address(config: &RedisConfig) -> anyhow::Result<ConnectionInfo> {
        Ok(match &config.redis_url {
            Some(url) => url
                .expose_secret()
                .into_connection_info()
                .map_err(|error| {
                    anyhow::anyhow!("REDIS_URL is not an address of Redis (redis://…): {error}")
                })?,
            None => (config.redis_host.as_str(), config.redis_port).into_connection_info()?,
        })
    }

    fn manager(
        config: &RedisConfig,
        options: ConnectionManagerConfig,
    ) -> anyhow::Result<ConnectionManager> {
        Ok(ConnectionManager::new_lazy_with_config(
            Client::open(Self::address(config)?)?,
            options,
        )?)
    }

    /// `name` under this stack's prefix.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.config.redis_prefix)
    }

    /// Runs a call that can be done without: not tried at all shortly after a failure.
    pub(crate) async fn optional<T, E: std::fmt::Display, F>(
        &self,
        call: impl FnOnce(Traced) -> F,
    ) -> Result<T, RedisDown>
    where
        F: Future<Output = Result<T, E>>,
    {
        if self.millis() < self.down_until.load(Ordering::Relaxed) {
            return Err(RedisDown("it failed a moment ago".into()));
        }
        self.always(call).await
    }

    /// Runs a call that is worth its wait even when Redis failed a moment ago.
    pub(crate) async fn always<T, E: std::fmt::Display, F>(
        &self,
        call: impl FnOnce(Traced) -> F,
    ) -> Result<T, RedisDown>
    where
        F: Future<Output = Result<T, E>>,
    {
        let failure = match tokio::time::timeout(CALL_CAP, call(self.connection.clone())).await {
            Ok(Ok(value)) => {
                self.down_until.store(0, Ordering::Relaxed);
                return Ok(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", CALL_CAP.as_millis()),
        };
        let rest = u64::try_from(REST.as_millis()).unwrap_or(u64::MAX);
        let until = self.millis() + rest;
        // Said once per outage and not once per request.
        if self.down_until.swap(until, Ordering::Relaxed) == 0 {
            tracing::warn!(error = %failure, "Redis does not answer; going on without it");
        }
        Err(RedisDown(failure))
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), RedisDown> {
        self.always(|mut connection| async move {
            deadpool_redis::redis::cmd("PING")
                .exec_async(&mut connection)
                .await
        })
        .await
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
