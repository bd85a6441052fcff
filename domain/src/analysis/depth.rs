//! The depth of the queue, counted by one process for all.
//!
//! Every API replica and every worker exports it, so that it is known as long as any of them runs. Counting reads every
//! row that waits: with 300,000 waiting it took a second, and eight replicas that each did it every five seconds kept a
//! core of PostgreSQL busy. So whoever finds no figures in Redis that are fresh counts, and the others take theirs.

use std::time::Duration;

use deadpool_redis::redis;
use serde::{Deserialize, Serialize};

use super::queries;
use crate::{Ctx, Result, redis::RedisDown};

/// How long figures serve for all: just under the five seconds after which everybody looks again.
const FRESH: Duration = Duration::from_millis(4_500);
/// Figures serve at least so many times as long as they took to count, so that counting takes up no more than a
/// twentieth of a core, however long the queue.
const REST: u32 = 20;
/// How long the others leave it to whoever began to count, should that one die.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many posts stand where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Depth {
    /// Without a verdict.
    pub pending: i64,
    /// Of these, those that a worker holds.
    pub leased: i64,
    /// Given up.
    pub dead: i64,
    /// With a verdict, waiting for another.
    pub stale: i64,
    /// How long the oldest of the pending ones has waited.
    pub oldest_seconds: f64,
}

/// The depth as somebody counted it at most 4.5 seconds ago, or twenty times as long as counting took; `None` while
/// another process counts. Without Redis everybody counts.
///
/// # Errors
/// When PostgreSQL is down.
pub(super) async fn current(ctx: &Ctx) -> Result<Option<Depth>> {
    match look(ctx).await {
        Ok(Look::Counted(depth)) => return Ok(Some(depth)),
        Ok(Look::BeingCounted) => return Ok(None),
        Ok(Look::Ours) | Err(RedisDown(_)) => {}
    }
    let start = tokio::time::Instant::now();
    let depth = queries::depth(&ctx.db).await?;
    let fresh = FRESH.max(start.elapsed() * REST);
    // Without Redis nobody else learns of it.
    let _untold = tell(ctx, &depth, fresh).await;
    Ok(Some(depth))
}

enum Look {
    Counted(Depth),
    BeingCounted,
    /// Nobody counts; we are to.
    Ours,
}

async fn look(ctx: &Ctx) -> Result<Look, RedisDown> {
    let (key, lock) = keys(ctx);
    let (stored, free): (Option<Vec<u8>>, bool) = ctx
        .redis
        .optional(|mut connection| async move {
            let stored: Option<Vec<u8>> = redis::cmd("GET")
                .arg(&key)
                .query_async(&mut connection)
                .await?;
            if stored.is_some() {
                return Ok((stored, false));
            }
            let taken: Option<()> = redis::cmd("SET")
                .arg(lock)
                .arg(1)
                .arg("NX")
                .arg("PX")
                .arg(millis(PATIENCE))
                .query_async(&mut connection)
                .await?;
            redis::RedisResult::Ok((None, taken.is_some()))
        })
        .await?;
    Ok(
        match stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            Some(depth) => Look::Counted(depth),
            None if free => Look::Ours,
            None => Look::BeingCounted,
        },
    )
}

async fn tell(ctx: &Ctx, depth: &Depth, fresh: Duration) -> Result<(), RedisDown> {
    let (key, lock) = keys(ctx);
    let bytes = serde_json::to_vec(depth).map_err(|error| RedisDown(error.to_string()))?;
    ctx.redis
        .optional(|mut connection| async move {
            redis::pipe()
                .cmd("SET")
                .arg(key)
                .arg(bytes)
                .arg("PX")
                .arg(millis(fresh))
                .del(lock)
                .exec_async(&mut connection)
                .await
        })
        .await
}

fn keys(ctx: &Ctx) -> (String, String) {
    (
        ctx.redis.key("queue:depth"),
        ctx.redis.key("queue:depth:counting"),
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
