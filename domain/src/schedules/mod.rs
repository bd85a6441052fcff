//! What the workers compute now and then: whose turn it is, however many of them there are. What is computed is its
//! own slice's matter.

mod queries;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// A turn to compute something; it counts when the transaction is committed.
pub(crate) struct Turn {
    /// When it was computed before, if ever.
    pub before: Option<DateTime<Utc>>,
}

/// Takes the turn at `job` for this transaction: unless another process is at it, or did it less than `every` ago.
pub(crate) async fn take(
    tx: &mut PgConnection,
    job: &'static str,
    every: Duration,
) -> sqlx::Result<Option<Turn>> {
    if !queries::lock(tx, job).await? {
        return Ok(None);
    }
    let taken = queries::take(tx, job, every.as_secs_f64()).await?;
    Ok(taken.map(|before| Turn { before }))
}

/// Lets each statement of this transaction take a minute: nobody waits for what is computed now and then.
pub(crate) async fn take_time(tx: &mut PgConnection) -> sqlx::Result<()> {
    queries::take_time(tx).await
}
