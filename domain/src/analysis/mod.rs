//! The way of every post to its verdict: offered, claimed, judged, finished; or failed, put off, given up.
//!
//! PostgreSQL holds the state, so any number of workers may run these use cases at once, twice, or die in the middle
//! of one: a claim has a lease, a result is fenced by the revision of the text it belongs to, and the first one wins.
//!
//! A post that has a verdict can be marked as stale, to be judged again (`reanalysis.rs`). It goes the same way, behind
//! all that have none.

mod depth;
mod explanation;
mod model;
mod queries;
mod reanalysis;

pub(crate) use depth::Depth;
pub use explanation::explain;
pub(crate) use model::without_addresses;
pub use model::{AnalysisView, Polarity, Safety, Status, Verdict};
pub use reanalysis::{Condition, NameRule, Reanalysis, reanalyze};

use std::time::Duration;

use sqlx::{Postgres, Transaction};

use crate::{
    Ctx, Result,
    ids::{PostId, UserId},
    jobs::{AnalyzePost, MAX_HINTS},
    live::{self, Event},
};

/// Failures after which a post is given up (`dead`). With [`RETRY_BASE`] the last comes about four minutes after
/// the first.
pub const MAX_ATTEMPTS: i32 = 8;
/// The first wait after a failure, in seconds; doubled by each.
const RETRY_BASE: f64 = 2.0;
/// The first wait between two offers of one row, in seconds; doubled by each up to [`OFFER_CAP`].
const OFFER_BASE: f64 = 10.0;
/// The longest wait between two offers, in seconds; also the longest that a post goes unnoticed after Redis has
/// lost its hint.
const OFFER_CAP: f64 = 60.0;
/// Rows offered in one transaction.
const OFFER_BATCH: usize = 500;
/// Stale posts are offered while fewer hints than this wait, up to this many: what a new post may have to wait for.
/// With a look every tenth of a second they still come faster than a model on CPU takes them.
pub const STALE_HINTS: usize = 4;
/// The longest error text kept, in characters.
const ERROR_CHARACTERS: usize = 300;

/// A post that is ours to judge until the lease ends.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The text to judge.
    pub content: String,
    /// Since when its author has waited.
    pub pending_since: chrono::DateTime<chrono::Utc>,
}

/// What [`finish`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The first verdict on this text; its author waited so long.
    First(Duration),
    /// Another one in the place of an earlier.
    Again,
}

/// What a failure comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The post waits for another attempt.
    Waits,
    /// It was given up without a verdict.
    Dead,
    /// Judging it again was given up; its first verdict stays.
    Keeps,
}

/// What became of a post that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What comes of it.
    pub fate: Fate,
    /// Failures so far, of [`MAX_ATTEMPTS`].
    pub attempts: i32,
}

/// What [`offer_due`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Posts offered.
    pub count: usize,
    /// It ended for want of room, or because one call does not do more: others may be due.
    pub more: bool,
}

/// Offers posts that are due to the workers, those first that have been due longest, as far as the queue has room; and
/// a few stale ones ([`STALE_HINTS`]) when no other is due and hardly any hint waits. While another process is at it
/// this does nothing, so that together they do not fill the queue beyond its bound.
///
/// # Errors
/// When PostgreSQL or Redis is down; nothing is lost then, the rows stay due.
pub async fn offer_due(ctx: &Ctx) -> Result<Offered> {
    let away = |error: crate::redis::RedisDown| crate::Error::Unavailable {
        what: "Redis",
        why: error.to_string(),
        retry_after: Duration::from_secs(1),
    };
    let mut tx = ctx.db.begin().await?;
    if !queries::only_one_offers(&mut tx).await? {
        return Ok(Offered::default());
    }
    let room = ctx.jobs.room().await.map_err(away)?;
    let (due, more) = choose(&mut tx, room).await?;
    let jobs: Vec<AnalyzePost> = due.into_iter().map(offered_again).collect();
    let offered = Offered {
        count: jobs.len(),
        more,
    };
    if jobs.is_empty() {
        // Said and not left to the drop, which lets go of the lock some time after the next call.
        tx.rollback().await?;
        return Ok(offered);
    }
    let ids: Vec<PostId> = jobs.iter().map(|job| job.post_id).collect();
    queries::put_off(&mut tx, &ids, OFFER_BASE, OFFER_CAP).await?;
    // Pushed before COMMIT: if the push fails the rows stay due, and if COMMIT fails a hint too many is harmless.
    ctx.jobs.offer(&jobs).await.map_err(away)?;
    tx.commit().await?;
    Ok(offered)
}

/// A hint without the trace of the request that wrote the post; its id leads to it.
fn offered_again(due: queries::DueRow) -> AnalyzePost {
    AnalyzePost {
        post_id: due.post_id,
        revision: due.revision,
        request_id: due.request_id,
        traceparent: None,
    }
}

/// What to offer to a queue with so much `room`, and whether others may be due.
async fn choose(
    tx: &mut Transaction<'_, Postgres>,
    room: usize,
) -> Result<(Vec<queries::DueRow>, bool)> {
    let limit = room.min(OFFER_BATCH);
    if limit == 0 {
        return Ok((Vec::new(), true));
    }
    let fresh = queries::due(tx, i64::try_from(limit).unwrap_or(i64::MAX)).await?;
    if !fresh.is_empty() {
        let more = fresh.len() == limit;
        return Ok((fresh, more));
    }
    // Looked for without room for them too: who knows that they wait looks again soon, and no worker idles meanwhile.
    let mut stale = queries::due_stale(tx, STALE_HINTS as i64).await?;
    let more = !stale.is_empty();
    stale.truncate(STALE_HINTS.saturating_sub(MAX_HINTS - room));
    Ok((stale, more))
}

/// Claims a post for `owner`; `None` when there is nothing to do: it is judged and not stale, edited, deleted, or
/// someone's.
///
/// # Errors
/// When PostgreSQL is down.
#[tracing::instrument(name = "analysis.claim", level = "debug", skip_all)]
pub async fn claim(
    ctx: &Ctx,
    job: &AnalyzePost,
    owner: &str,
    lease: Duration,
) -> Result<Option<Claim>> {
    let row = queries::claim(&ctx.db, job, owner, lease.as_secs_f64()).await?;
    Ok(row.map(|row| Claim {
        content: row.content,
        pending_since: row.pending_since,
    }))
}

/// Makes the lease of a claimed post last longer; answers whether it is still `owner`'s. When it is not, the text
/// has changed or gone or somebody else judges it, and going on is a waste.
///
/// # Errors
/// When PostgreSQL is down.
pub async fn renew(ctx: &Ctx, job: &AnalyzePost, owner: &str, lease: Duration) -> Result<bool> {
    Ok(queries::renew(&ctx.db, job, owner, lease.as_secs_f64()).await?)
}

/// Writes the verdict, in the place of an earlier one if the post is stale. `None` when it came too late: there is a
/// verdict already, or the text has changed or gone, or the post is stale and not `owner`'s any more.
///
/// # Errors
/// When PostgreSQL is down.
#[tracing::instrument(name = "analysis.finish", level = "debug", skip_all)]
pub async fn finish(
    ctx: &Ctx,
    job: &AnalyzePost,
    owner: &str,
    verdict: &Verdict,
) -> Result<Option<Finished>> {
    let row = queries::finish(&ctx.db, job, owner, verdict).await?;
    if let Some(row) = &row {
        changed(ctx, job.post_id, row.author).await;
    }
    Ok(row.map(|row| match row.again {
        true => Finished::Again,
        false => Finished::First(Duration::from_secs_f64(row.seconds.max(0.0))),
    }))
}

/// Counts a failure of the model on this text. Answers what became of the post, or `None` when it is not `owner`'s
/// any more.
///
/// # Errors
/// When PostgreSQL is down.
#[tracing::instrument(name = "analysis.fail", level = "debug", skip_all)]
pub async fn fail(
    ctx: &Ctx,
    job: &AnalyzePost,
    owner: &str,
    error: &str,
) -> Result<Option<Failure>> {
    let error: String = error.chars().take(ERROR_CHARACTERS).collect();
    let row = queries::fail(&ctx.db, job, owner, &error, MAX_ATTEMPTS, RETRY_BASE).await?;
    if let Some(row) = &row
        && row.status == Status::Dead
    {
        changed(ctx, job.post_id, row.author).await;
    }
    Ok(row.map(|row| Failure {
        fate: match row.status {
            Status::Dead => Fate::Dead,
            _ if row.waits => Fate::Waits,
            _ => Fate::Keeps,
        },
        attempts: row.attempts,
    }))
}

/// What follows a COMMIT that changed what is shown of a post's analysis.
async fn changed(ctx: &Ctx, post: PostId, author: UserId) {
    ctx.feed.bump_soon();
    live::publish(ctx, &[Event::Analysis { post, author }]).await;
}

/// Gives a claimed post back because the model is away or the worker stops; that is no failure of the post's. It
/// is offered again after about `wait`.
///
/// # Errors
/// When PostgreSQL is down; the lease then ends by itself.
pub async fn release(
    ctx: &Ctx,
    job: &AnalyzePost,
    owner: &str,
    why: &str,
    wait: Duration,
) -> Result<()> {
    let why: String = why.chars().take(ERROR_CHARACTERS).collect();
    Ok(queries::release(&ctx.db, job, owner, &why, wait.as_secs_f64()).await?)
}

/// Gives every dead post another life; answers how many there were.
///
/// # Errors
/// When PostgreSQL is down.
pub async fn revive_dead(ctx: &Ctx) -> Result<u64> {
    let revived = queries::revive(&ctx.db).await?;
    if revived > 0 {
        ctx.feed.bump().await;
    }
    Ok(revived)
}

/// Brings the gauges of the queue up to date. Meant for every five seconds; one process counts for all (`depth.rs`).
///
/// # Errors
/// When PostgreSQL is down; the gauges keep what they had.
pub async fn observe(ctx: &Ctx) -> Result<()> {
    if let Some(depth) = depth::current(ctx).await? {
        ctx.jobs.observe(&depth);
    }
    Ok(())
}
