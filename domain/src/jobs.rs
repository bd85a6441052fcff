//! Hints: short messages in Redis that tell a worker which post to look at now. They hold ids and revisions, never
//! text, and losing one costs time and nothing else, because `post_analysis` in PostgreSQL is the truth and the
//! sweeper offers again what is due.
//!
//! The queue is apalis-redis'. It stops every worker when a backlog nears 8,000 (its fetch script unpacks the whole
//! backlog onto Lua's stack), so nobody pushes past [`MAX_HINTS`], and workers call [`Jobs::drain_scheduled`]. It also
//! keeps every job it has done for ever, 535 bytes each; workers call [`Jobs::forget_done`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use apalis_redis::{Config, RedisTask, queries::push_tasks};
use deadpool_redis::redis::{self, Script};
use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use serde::{Deserialize, Serialize};

use crate::{
    analysis::Depth,
    ids::PostId,
    redis::{Redis, RedisDown},
    trace,
};

/// The queue's name, also its label in metrics.
pub const ANALYZE: &str = "analyze";
/// The most hints waiting at once. Half of what is safe, since replicas look at the depth only now and then.
pub const MAX_HINTS: usize = 2_000;
/// How old a look at the depth may be: at 5,000 posts a second, 500 hints too many per replica.
const DEPTH_AGE: Duration = Duration::from_millis(100);
/// Jobs forgotten in one call, which keeps Redis' only thread busy for about a millisecond.
pub const FORGET_BATCH: usize = 500;

/// "Look at this revision of this post." Programs of two versions read each other's hints while one replaces the other, so
/// a field that is new is one that may be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyzePost {
    /// Which post.
    pub post_id: PostId,
    /// Which of its texts; a hint for an earlier one finds nothing to claim.
    pub revision: i32,
    /// The request that wrote the text, for log lines.
    pub request_id: String,
    /// The span that wrote it, as a W3C `traceparent`, when it belongs to a trace. A hint that is offered again has none:
    /// PostgreSQL does not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl AnalyzePost {
    /// A hint from within the request that wrote the text.
    pub(crate) fn new(post_id: PostId, revision: i32, request_id: String) -> Self {
        Self {
            post_id,
            revision,
            request_id,
            traceparent: trace::traceparent(),
        }
    }
}

struct Metrics {
    enqueued: IntCounterVec,
    skipped: IntCounterVec,
    depth: IntGaugeVec,
    oldest: Gauge,
}

/// The producer's side of the queue; clones share one state.
#[derive(Clone)]
pub struct Jobs {
    redis: Redis,
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    depth: Arc<Mutex<Option<(Instant, usize)>>>,
    drain: Arc<Script>,
    forget: Arc<Script>,
}

impl Jobs {
    pub(crate) fn new(redis: Redis, registry: &Registry) -> anyhow::Result<Self> {
        let enqueued = IntCounterVec::new(
            Opts::new("jobs_enqueued_total", "Hints pushed by this process"),
            &["queue"],
        )?;
        let skipped = IntCounterVec::new(
            Opts::new(
                "job_hints_skipped_total",
                "Hints left to the sweeper, by reason: full (enough are waiting) or down (Redis)",
            ),
            &["queue", "reason"],
        )?;
        let depth = IntGaugeVec::new(
            Opts::new(
                "job_queue_depth",
                "Posts by state of their analysis, from PostgreSQL: pending, leased (of these, held by a worker), dead, \
                 stale (judged, waiting to be judged again); the same in every process",
            ),
            &["queue", "state"],
        )?;
        let oldest = GaugeVec::new(
            Opts::new(
                "job_queue_oldest_seconds",
                "Age of the post that has waited longest, from PostgreSQL; the same in every process",
            ),
            &["queue"],
        )?;
        registry.register(Box::new(enqueued.clone()))?;
        registry.register(Box::new(skipped.clone()))?;
        registry.register(Box::new(depth.clone()))?;
        registry.register(Box::new(oldest.clone()))?;
        // Series that exist from the start, so that rates and alerts have something to stand on.
        enqueued.with_label_values(&[ANALYZE]);
        for reason in ["full", "down"] {
            skipped.with_label_values(&[ANALYZE, reason]);
        }
        let config = Config::default()
            .queue(redis.key(ANALYZE))
            .batch_size(1)
            .heartbeat_interval(Duration::from_secs(5))
            .missed_heartbeats(3)
            .emit_events(false);
        Ok(Self {
            redis,
            config: Arc::new(config),
            metrics: Arc::new(Metrics {
                enqueued,
                skipped,
                depth,
                oldest: oldest.with_label_values(&[ANALYZE]),
            }),
            depth: Arc::default(),
            drain: Arc::new(Script::new(
                "local due = redis.call('zrangebyscore', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 1000) \
                 if #due > 0 then \
                   redis.call('rpush', KEYS[2], unpack(due)) \
                   redis.call('zrem', KEYS[1], unpack(due)) \
                 end return #due",
            )),
            forget: Arc::new(Script::new(
                "local ids = redis.call('spop', KEYS[1], ARGV[1]) \
                 if #ids == 0 then return 0 end \
                 redis.call('hdel', KEYS[2], unpack(ids)) \
                 for i, id in ipairs(ids) do ids[i] = KEYS[3] .. ':' .. id end \
                 redis.call('del', unpack(ids)) return #ids",
            )),
        })
    }

    /// The queue's settings, for the runner.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many hints may still be pushed.
    ///
    /// # Errors
    /// When Redis is down.
    pub async fn room(&self) -> Result<usize, RedisDown> {
        let (scheduled, active): (usize, usize) = self
            .redis
            .optional(|mut connection| async move {
                redis::pipe()
                    .zcard(self.config.scheduled_jobs_set())
                    .llen(self.config.active_jobs_list())
                    .query_async(&mut connection)
                    .await
            })
            .await?;
        let depth = scheduled + active;
        *self.depth.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), depth));
        Ok(MAX_HINTS.saturating_sub(depth))
    }

    /// Pushes hints if Redis answers and as far as there is room; the sweeper will offer the other posts.
    pub(crate) async fn hint(&self, mut jobs: Vec<AnalyzePost>) {
        let known = *self.depth.lock().unwrap_or_else(PoisonError::into_inner);
        let room = match known {
            Some((at, depth)) if at.elapsed() < DEPTH_AGE => Ok(MAX_HINTS.saturating_sub(depth)),
            _ => self.room().await,
        };
        let skip = |reason, count| {
            let skipped = &self.metrics.skipped;
            skipped
                .with_label_values(&[ANALYZE, reason])
                .inc_by(count as u64);
        };
        let Ok(room) = room else {
            return skip("down", jobs.len());
        };
        skip("full", jobs.len().saturating_sub(room));
        jobs.truncate(room);
        if self.offer(&jobs).await.is_err() {
            skip("down", jobs.len());
        }
    }

    /// Pushes many hints in one call. Mind [`Jobs::room`].
    ///
    /// # Errors
    /// When Redis is down; some or none may have been pushed.
    pub async fn offer(&self, jobs: &[AnalyzePost]) -> Result<(), RedisDown> {
        let tasks: Vec<RedisTask> = jobs
            .iter()
            .map(|job| serde_json::to_vec(job).map(RedisTask::new))
            .collect::<Result<_, _>>()
            .map_err(|error| RedisDown(error.to_string()))?;
        if tasks.is_empty() {
            return Ok(());
        }
        let config = Arc::clone(&self.config);
        self.redis
            .optional(
                |mut connection| async move { push_tasks(&mut connection, &config, &tasks).await },
            )
            .await?;
        self.metrics
            .enqueued
            .with_label_values(&[ANALYZE])
            .inc_by(jobs.len() as u64);
        Ok(())
    }

    /// Moves hints that are due, at most 1,000, from the set where every push puts them to the list that workers
    /// take from; returns how many. Workers call this at their start and every second.
    ///
    /// # Errors
    /// When Redis is down.
    pub async fn drain_scheduled(
        &self,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<usize, RedisDown> {
        let mut call = self.drain.key(self.config.scheduled_jobs_set());
        call.key(self.config.active_jobs_list())
            .arg(now.timestamp());
        self.redis
            .optional(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await
    }

    /// Deletes what is kept of at most [`FORGET_BATCH`] jobs that were done, and of as many that the queue gave up
    /// (a hint that cannot be read, after 25 tries); returns how many. Whether a post was judged is PostgreSQL's to
    /// remember.
    ///
    /// # Errors
    /// When Redis is down.
    pub async fn forget_done(&self) -> Result<usize, RedisDown> {
        let mut forgotten = 0;
        for ended in [self.config.done_jobs_set(), self.config.dead_jobs_set()] {
            let mut call = self.forget.key(ended);
            call.key(self.config.job_data_hash())
                .key(self.config.job_meta_hash())
                .arg(FORGET_BATCH);
            let batch: usize = self
                .redis
                .optional(|mut connection| async move { call.invoke_async(&mut connection).await })
                .await?;
            forgotten += batch;
        }
        Ok(forgotten)
    }

    /// Sets the gauges.
    pub(crate) fn observe(&self, depth: &Depth) {
        for (state, count) in [
            ("pending", depth.pending),
            ("leased", depth.leased),
            ("dead", depth.dead),
            ("stale", depth.stale),
        ] {
            self.metrics
                .depth
                .with_label_values(&[ANALYZE, state])
                .set(count);
        }
        self.metrics.oldest.set(depth.oldest_seconds);
    }
}
