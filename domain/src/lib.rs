//! The microblog itself: who may do what, what is stored and where, and what happens to a post. No HTTP here, and
//! no web framework: the API, and later other dialects and pages, are thin layers over these use cases.
//!
//! # Layout
//!
//! A feature is a folder with fixed file names: `mod.rs` (use cases, which own the transaction), `model.rs` (types,
//! parsed and never validated later), `queries.rs` (every SQL statement of the feature) and `cache.rs` where it is
//! cached.
//!
//! | feature | what |
//! |---|---|
//! | [`posts`] | writing, reading, the feed and its cache; answers and reposts |
//! | [`likes`] | who likes which post |
//! | [`bookmarks`] | posts that people keep for themselves |
//! | [`analysis`] | the state machine that brings every post its verdict |
//! | [`users`] | accounts |
//! | [`profiles`] | what people say of themselves |
//! | [`relations`] | following, blocking, muting |
//! | [`notifications`] | what others did that concerns oneself |
//! | [`search`] | finding posts by their words and people by their names |
//! | [`trends`] | what the last hours are about, and the posts about it |
//! | [`insights`] | a person's own figures |
//! | [`exports`] | all that is stored of a person, for that person |
//! | [`auth`] | passwords, tokens, sessions |
//! | [`live`] | events for whoever is looking |
//! | [`timelines`] | home: what those write whom one follows |
//! | [`logs`] | the programs' log records, stored for long and read again |
//!
//! Around them: `batch` (calls that share a round trip); [`error`], [`ids`], [`page`], [`clock`], [`config`]; [`db`] and [`redis`] (connections), [`cache`]
//! (what caches count), [`jobs`] (hints for the workers), [`rate_limits`], [`llm`] (the client of the language
//! model), [`readiness`] (of the probes), [`schema`] (migrations); `schedules` (whose turn it is to compute
//! what is computed now and then); `trace` (what goes along with work to the next program); `testing` behind its feature.

pub mod analysis;
pub mod auth;
mod batch;
pub mod bookmarks;
pub mod cache;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod exports;
pub mod ids;
pub mod insights;
pub mod jobs;
pub mod likes;
pub mod live;
pub mod llm;
pub mod logs;
pub mod notifications;
pub mod page;
pub mod posts;
pub mod profiles;
pub mod rate_limits;
pub mod readiness;
pub mod redis;
pub mod relations;
mod schedules;
pub mod schema;
pub mod search;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timelines;
mod trace;
pub mod trends;
pub mod users;

use std::{future::Future, sync::Arc};

use prometheus::Registry;
use sqlx::PgPool;
use tracing::Instrument as _;

pub use error::{Error, Result};

use crate::{
    auth::Passwords,
    cache::CacheMetrics,
    clock::Clock,
    config::{CacheConfig, DatabaseConfig, RedisConfig},
    jobs::Jobs,
    posts::cache::FeedCache,
    redis::Redis,
    timelines::HomeLists,
};

/// What every use case works with; cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    /// The truth.
    pub db: PgPool,
    /// Cache, hints, rate limits.
    pub redis: Redis,
    /// The feed's pages.
    pub feed: Arc<FeedCache>,
    /// Home timelines' lists.
    pub home: Arc<HomeLists>,
    /// Hints for the workers.
    pub jobs: Jobs,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// The time.
    pub clock: Clock,
    exports: exports::Exporter,
    pools: db::Pools,
    sessions: Arc<auth::Lookups>,
    limits: Arc<relations::Limits>,
    posts: Arc<posts::Together>,
}

impl Ctx {
    /// Puts the parts together and registers their metrics. Nothing is connected yet: a program may start before
    /// its database.
    ///
    /// # Errors
    /// When an address cannot be read or a metric is registered twice.
    pub fn new(
        database: &DatabaseConfig,
        redis: &RedisConfig,
        cache: &CacheConfig,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let pools = db::Pools::new(database, registry)?;
        let db = pools.open()?;
        let redis = Redis::new(redis)?;
        let clock = Clock::System;
        let metrics = CacheMetrics::new(registry)?;
        let home = HomeLists::new(redis.clone(), cache, metrics.clone());
        let feed = Arc::new(FeedCache::new(redis.clone(), cache, clock, metrics));
        let jobs = Jobs::new(redis.clone(), registry)?;
        Ok(Self {
            home: Arc::new(home),
            passwords: Passwords::new()?,
            exports: exports::Exporter::new(db.clone())?,
            sessions: Arc::new(auth::lookups(db.clone())),
            limits: Arc::new(relations::limits(db.clone())),
            posts: Arc::new(posts::Together::new(
                db.clone(),
                Arc::clone(&feed),
                jobs.clone(),
            )),
            feed,
            jobs,
            db,
            redis,
            clock,
            pools,
        })
    }

    /// The same with connections to PostgreSQL of its own, for one thread of a server whose threads each have a
    /// runtime. A connection lives in the runtime that opened it, and a thread that has nothing left to do ends its
    /// own at a stop: what the others still have under way must not depend on it. For the same reason, and because it
    /// spares waking one thread from another, calls are shared ([`batch`]) within a thread only.
    ///
    /// # Errors
    /// Never, when [`Ctx::new`] took the same address.
    pub fn for_thread(&self) -> anyhow::Result<Self> {
        let db = self.pools.open()?;
        let feed = Arc::new(self.feed.for_thread());
        let posts = posts::Together::new(db.clone(), Arc::clone(&feed), self.jobs.clone());
        Ok(Self {
            sessions: Arc::new(auth::lookups(db.clone())),
            limits: Arc::new(relations::limits(db.clone())),
            posts: Arc::new(posts),
            feed,
            db,
            ..self.clone()
        })
    }
}

/// Runs `work` to its end even when the caller stops waiting. A client that hangs up between COMMIT and what must
/// follow it (the feed's new version, the hint) would otherwise leave the others with a stale feed.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(result) => result,
        Err(panicked) => Err(Error::internal(panicked)),
    }
}
