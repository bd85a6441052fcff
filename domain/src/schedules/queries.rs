//! Every SQL statement about `schedules`, but the one that reads a time along with what was computed then.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Whether this transaction is now the only one at `job`.
pub(super) async fn lock(tx: &mut PgConnection, job: &str) -> sqlx::Result<bool> {
    /// Any number that no other pair of locks in this database begins with: "schd" in ASCII.
    const SCHEDULES: i32 = 0x7363_6864;
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock($1, hashtext($2)) AS "ours!""#,
        SCHEDULES,
        job
    )
    .fetch_one(tx)
    .await
}

pub(super) async fn take_time(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('statement_timeout', '60s', true) AS timeout")
        .fetch_one(tx)
        .await?;
    Ok(())
}

/// Writes down that `job` runs now, if it last did at least `seconds` ago; answers when that was.
pub(super) async fn take(
    tx: &mut PgConnection,
    job: &str,
    seconds: f64,
) -> sqlx::Result<Option<Option<DateTime<Utc>>>> {
    // The inner SELECT reads the row as it was before this statement.
    sqlx::query_scalar!(
        "INSERT INTO schedules AS s (job, ran_at) VALUES ($1, now())
         ON CONFLICT (job) DO UPDATE SET ran_at = excluded.ran_at
         WHERE s.ran_at <= now() - make_interval(secs => $2)
         RETURNING (SELECT ran_at FROM schedules WHERE job = $1) AS before",
        job,
        seconds
    )
    .fetch_optional(tx)
    .await
}
