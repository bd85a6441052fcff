//! The feed's first page, rendered once per version however many replicas and readers there are.
//!
//! A version number lives in Redis and grows after every COMMIT that changes the feed, before the write is
//! answered. A reader asks for the number first and only then for the page of that number, so what it gets was
//! selected after every write that was answered before it asked. Readers that wait share the question (see [`crate::batch`]). Pages live in the process (by version) and in
//! Redis (for the other replicas); a short lock lets one replica run the SELECT of a version while the others wait.
//!
//! Holes, both bounded by the pages' lifetimes below: a process that dies between COMMIT and the new version, and
//! a Redis that comes back with an old version before this process could pay the bump it owes.

use std::{
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use deadpool_redis::redis::{self, Script};
use moka::future::Cache;

use crate::{
    Error, Result,
    batch::{self, Batch},
    cache::{CacheMetrics, Outcome},
    clock::Clock,
    config::CacheConfig,
    page::{Limit, Page},
    posts::PostView,
    redis::{Redis, RedisDown},
};

/// The label of this cache in `cache_requests_total`.
const NAME: &str = "feed";
/// The key of the version.
const VERSION: &str = "feed:ver";
/// How long a page lives in the process; versions pass so quickly that old ones are only weight.
const PAGE_IN_PROCESS: Duration = Duration::from_secs(2);
/// The same in Redis, in milliseconds; also the longest that a missed bump can show an old feed.
const PAGE_IN_REDIS_MS: u64 = 10_000;
/// How long one replica may keep the others waiting for its SELECT, in milliseconds.
const FILL_LOCK_MS: u64 = 500;
const FILL_POLL: Duration = Duration::from_millis(10);
/// Verdicts arrive in bursts and may be seen this much later; a new version for each would empty the cache.
const BATCH: Duration = Duration::from_millis(100);
/// Tries before a write is answered without its new version. A Redis that is gone refuses all of them at once; one
/// that stalls is waited for, a second at most, as the other replicas may be reading the old version all the while.
const BUMP_TRIES: usize = 4;
/// Bytes of pages kept in the process.
const CAPACITY: u64 = 32 << 20;

/// A rendered page of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// The body, ready to send.
    pub body: Bytes,
    /// Pass this as `before` for the next page; `None` on the last one.
    pub next: Option<i64>,
    /// Which version of the feed this is, for everybody's first page: as long as there is no newer one, whoever has it
    /// has what they would get. `None` where nobody knows.
    pub version: Option<u64>,
    packed: OnceLock<Bytes>,
}

impl FeedPage {
    pub(crate) fn new(body: Bytes, next: Option<i64>, version: Option<u64>) -> Self {
        Self {
            body,
            next,
            version,
            packed: OnceLock::new(),
        }
    }

    /// The body compressed by `pack`, which is done once for a page however many ask for it.
    pub fn packed(&self, pack: impl FnOnce(&[u8]) -> Vec<u8>) -> Bytes {
        self.packed.get_or_init(|| pack(&self.body).into()).clone()
    }

    /// As stored in Redis: eight bytes of `next` (0 for none, big endian), then the body.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.body.len());
        bytes.extend(self.next.unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn decode(bytes: Vec<u8>, version: u64) -> Option<Self> {
        let bytes = Bytes::from(bytes);
        let next = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
        let next = (next != 0).then_some(next);
        Some(Self::new(bytes.slice(8..), next, Some(version)))
    }
}

/// The cache of one process.
pub struct FeedCache {
    redis: Redis,
    active: bool,
    clock: Clock,
    metrics: CacheMetrics,
    pages: Cache<(u64, Limit), Arc<FeedPage>>,
    /// Readers who wait share the question for the version, so that a thread asks once per round trip, however many
    /// they are.
    versions: Batch<(), Result<u64, RedisDown>>,
    /// A bump failed and is being tried again; until then this process does not trust the version.
    owed: Arc<AtomicBool>,
    /// A batched bump is on its way.
    scheduled: Arc<AtomicBool>,
}

impl FeedCache {
    pub(crate) fn new(
        redis: Redis,
        config: &CacheConfig,
        clock: Clock,
        metrics: CacheMetrics,
    ) -> Self {
        let pages = Cache::builder()
            .max_capacity(CAPACITY)
            .weigher(|_, page: &Arc<FeedPage>| u32::try_from(page.body.len()).unwrap_or(u32::MAX))
            .time_to_live(PAGE_IN_PROCESS)
            .build();
        Self {
            versions: versions(redis.clone(), clock),
            redis,
            active: config.cache_active,
            clock,
            metrics,
            pages,
            owed: Arc::default(),
            scheduled: Arc::default(),
        }
    }

    /// The same cache for one thread of a server; see [`crate::Ctx::for_thread`].
    pub(crate) fn for_thread(&self) -> Self {
        Self {
            versions: versions(self.redis.clone(), self.clock),
            redis: self.redis.clone(),
            metrics: self.metrics.clone(),
            pages: self.pages.clone(),
            owed: Arc::clone(&self.owed),
            scheduled: Arc::clone(&self.scheduled),
            ..*self
        }
    }

    /// The page, from wherever it is nearest. `load` selects, `render` turns what was selected into the body;
    /// both run only when neither this process nor Redis has the page of this version.
    ///
    /// # Errors
    /// Those of `load`. Redis failing is none: the page is then loaded.
    pub(crate) async fn page<F>(
        &self,
        limit: Limit,
        render: fn(&[PostView]) -> Vec<u8>,
        load: impl Fn() -> F,
    ) -> Result<Arc<FeedPage>>
    where
        F: Future<Output = Result<Page<PostView>>>,
    {
        let select = async |version| {
            let page = load().await?;
            let body = render(&page.items).into();
            Ok(Arc::new(FeedPage::new(body, page.next, version)))
        };
        let version = if self.active && !self.owed.load(Ordering::Acquire) {
            self.versions.call(()).await?.ok()
        } else {
            None
        };
        let Some(version) = version else {
            self.metrics.count(NAME, Outcome::Bypass);
            return Box::pin(select(None)).await;
        };
        if let Some(page) = self.pages.get(&(version, limit)).await {
            self.metrics.count(NAME, Outcome::Hit);
            return Ok(page);
        }
        self.metrics.count(NAME, Outcome::Miss);
        // Boxed, so that what is seldom done is not part of every waiting reader.
        let fill = self.fill(version, limit, || select(Some(version)));
        Box::pin(self.pages.try_get_with((version, limit), fill))
            .await
            .map_err(|shared: Arc<Error>| Arc::try_unwrap(shared).unwrap_or_else(|e| e.shared()))
    }

    /// The page of `version` from Redis, from another replica that is selecting it, or selected here.
    async fn fill<F>(
        &self,
        version: u64,
        limit: Limit,
        select: impl Fn() -> F,
    ) -> Result<Arc<FeedPage>>
    where
        F: Future<Output = Result<Arc<FeedPage>>>,
    {
        let key = self.redis.key(&format!("feed:{version}:{}", limit.get()));
        let lock = format!("{key}:fill");
        let polls = FILL_LOCK_MS / u64::try_from(FILL_POLL.as_millis()).unwrap_or(1);
        for _ in 0..polls {
            match self.stored_or_locked(&key, &lock, version).await {
                Ok((Some(page), _)) => return Ok(Arc::new(page)),
                Ok((None, false)) => tokio::time::sleep(FILL_POLL).await,
                Ok((None, true)) | Err(_) => break,
            }
        }
        let page = select().await?;
        let _not_worth_failing = self
            .redis
            .optional(|mut connection| {
                let (key, bytes) = (&key, page.encode());
                async move {
                    redis::cmd("SET")
                        .arg(key)
                        .arg(bytes)
                        .arg("PX")
                        .arg(PAGE_IN_REDIS_MS)
                        .exec_async(&mut connection)
                        .await
                }
            })
            .await;
        Ok(page)
    }

    /// The stored page, and whether the lock to make it was ours for the taking.
    async fn stored_or_locked(
        &self,
        key: &str,
        lock: &str,
        version: u64,
    ) -> Result<(Option<FeedPage>, bool), RedisDown> {
        let (stored, locked): (Option<Vec<u8>>, Option<String>) = self
            .redis
            .optional(|mut connection| async move {
                redis::pipe()
                    .cmd("GET")
                    .arg(key)
                    .cmd("SET")
                    .arg(lock)
                    .arg(1)
                    .arg("NX")
                    .arg("PX")
                    .arg(FILL_LOCK_MS)
                    .query_async(&mut connection)
                    .await
            })
            .await?;
        let page = stored.and_then(|bytes| FeedPage::decode(bytes, version));
        Ok((page, locked.is_some()))
    }

    /// Makes every page so far old. Call it after COMMIT and before answering the write.
    ///
    /// Never fails: when Redis is down this process reads past the cache until a later try has gone through.
    /// A process that does not read the cache bumps too, for those that do.
    pub(crate) async fn bump(self: &Arc<Self>) {
        // Once it is known to be down, one try is enough.
        let known = self.owed.load(Ordering::Acquire);
        for _ in 0..if known { 1 } else { BUMP_TRIES } {
            if add_to_version(&self.redis, self.clock, 1).await.is_ok() {
                return;
            }
        }
        if self.owed.swap(true, Ordering::AcqRel) {
            return;
        }
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            while add_to_version(&cache.redis, cache.clock, 1).await.is_err() {
                tokio::time::sleep(BATCH).await;
            }
            cache.owed.store(false, Ordering::Release);
        });
    }

    /// Carries out a batched bump now, for a process that is about to end.
    pub async fn settle(self: &Arc<Self>) {
        if self.scheduled.swap(false, Ordering::AcqRel) {
            self.bump().await;
        }
    }

    /// [`Self::bump`] for changes that may be seen a little later: many within [`BATCH`] make one new version.
    pub(crate) fn bump_soon(self: &Arc<Self>) {
        if self.scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(BATCH).await;
            // Cleared first: a change that comes while the bump is under way must get one of its own.
            cache.scheduled.store(false, Ordering::Release);
            cache.bump().await;
        });
    }
}

/// The version that a page must have to be shown to whoever asks from now on.
async fn version(redis: &Redis, clock: Clock) -> Result<u64, RedisDown> {
    let key = redis.key(VERSION);
    let stored: Option<u64> = redis
        .optional(|mut connection| {
            let key = &key;
            async move {
                redis::cmd("GET")
                    .arg(key)
                    .query_async(&mut connection)
                    .await
            }
        })
        .await?;
    match stored {
        Some(version) => Ok(version),
        None => add_to_version(redis, clock, 0).await,
    }
}

fn versions(redis: Redis, clock: Clock) -> Batch<(), Result<u64, RedisDown>> {
    Batch::new(
        "feed.version",
        usize::MAX,
        batch::no_outage,
        move |readers: Vec<()>| {
            let redis = redis.clone();
            async move {
                let answer = version(&redis, clock).await;
                vec![answer; readers.len()]
            }
        },
    )
}

async fn add_to_version(redis: &Redis, clock: Clock, by: u64) -> Result<u64, RedisDown> {
    // A flushed Redis starts again at the microseconds since 1970, above every number used before, as no
    // stack writes a million times a second for years.
    static BUMP: LazyLock<Script> = LazyLock::new(|| {
        Script::new(
            "if redis.call('exists', KEYS[1]) == 0 then redis.call('set', KEYS[1], ARGV[1]) end \
             return redis.call('incrby', KEYS[1], ARGV[2])",
        )
    });
    let mut call = BUMP.key(redis.key(VERSION));
    call.arg(clock.now().timestamp_micros()).arg(by);
    redis
        .always(|mut connection| async move { call.invoke_async(&mut connection).await })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stored_page_comes_back_as_it_was(
            body: Vec<u8>, next in proptest::option::of(1_i64..i64::MAX)
        ) {
            let page = FeedPage::new(body.into(), next, Some(7));
            prop_assert_eq!(FeedPage::decode(page.encode(), 7), Some(page));
        }

        #[test]
        fn what_is_no_page_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
            prop_assert_eq!(FeedPage::decode(bytes, 7), None);
        }
    }
}
