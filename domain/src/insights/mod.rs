//! A person's own figures: how much they wrote, in what mood, about what, and what came back. Computed by the workers
//! for whoever wrote or was judged, at most every [`REST_MINUTES`] minutes each, and once a day for everybody who has
//! any, so that what came back is not older than that.

mod model;
mod queries;

pub use model::{Day, Insights, TopicCount, Totals};

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{Ctx, Error, Result, ids::UserId, schedules, users::User};

/// How many days are shown, in UTC, today among them.
pub const DAYS: u32 = 30;
/// How many topics are shown at most.
pub const TOPICS: i64 = 10;
/// The shortest time between two computations of one person's figures.
pub const REST_MINUTES: i32 = 10;
/// The longest.
const REFRESH_HOURS: i32 = 24;
/// How often the workers look who has written.
const EVERY: Duration = Duration::from_secs(10);
/// People computed in one transaction.
const BATCH: i64 = 200;
/// Transactions in one call.
const BATCHES: usize = 10;
/// Under this name in `schedules`.
const JOB: &str = "insights";

/// The caller's own figures. Who has none yet gets them computed here; who looks at old ones gets these, and the workers
/// are told to compute them anew.
///
/// # Errors
/// [`Error::NotFound`] when the account has just gone.
pub async fn get(ctx: &Ctx, caller: &User) -> Result<Insights> {
    let mut found = queries::find(&ctx.db, caller.id).await?;
    if found.is_none() {
        let mut tx = ctx.db.begin().await?;
        queries::compute(&mut tx, &[caller.id]).await?;
        tx.commit().await?;
        found = queries::find(&ctx.db, caller.id).await?;
    }
    let (computed_at, figures) = found.ok_or(Error::NotFound("user"))?;
    Ok(figures.shown(computed_at, ctx.clock.now().date_naive()))
}

/// Computes what is due, up to some thousand people; answers whether there was anybody. Any number of processes may do
/// it at once.
///
/// # Errors
/// Those of the database; what is not done stays due.
pub async fn recompute(ctx: &Ctx) -> Result<bool> {
    mark(ctx).await?;
    for batch in 0..BATCHES {
        let mut tx = ctx.db.begin().await?;
        schedules::take_time(&mut tx).await?;
        let due = queries::due(&mut tx, BATCH).await?;
        if due.is_empty() {
            tx.rollback().await?;
            return Ok(batch > 0);
        }
        queries::compute(&mut tx, &due).await?;
        queries::forget_gone(&mut tx, &due).await?;
        tx.commit().await?;
    }
    Ok(true)
}

/// Makes those due who have written or were judged since somebody last looked.
async fn mark(ctx: &Ctx) -> Result<()> {
    /// What was written in a transaction that was under way at the last look shows only now.
    const OVERLAP: Duration = Duration::from_secs(15);
    let mut tx = ctx.db.begin().await?;
    let Some(turn) = schedules::take(&mut tx, JOB, EVERY).await? else {
        tx.rollback().await?;
        return Ok(());
    };
    let since = turn
        .before
        .map_or(DateTime::<Utc>::UNIX_EPOCH, |before| before - OVERLAP);
    queries::mark(&mut tx, since).await?;
    tx.commit().await?;
    Ok(())
}

/// Forgets the figures of an account that is marked as deleted, as part of its deletion.
pub(crate) async fn remove(tx: &mut PgConnection, id: UserId) -> Result<()> {
    Ok(queries::forget_gone(tx, &[id]).await?)
}
