//! Every SQL statement about `log_records`.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::{Conditions, Stored};

/// Writes rows in the text format of COPY, columns as in `Row::write`; answers how many.
pub(super) async fn copy(connection: &mut PgConnection, rows: &str) -> sqlx::Result<u64> {
    let mut copy = connection
        .copy_in_raw(
            "COPY log_records (time, level, service, request_id, route, status, record) FROM STDIN",
        )
        .await?;
    copy.send(rows.as_bytes()).await?;
    copy.finish().await
}

/// Makes the table of a day, unless there is one.
pub(super) async fn make_day(connection: &mut PgConnection, day: NaiveDate) -> sqlx::Result<()> {
    sqlx::query!("SELECT log_records_make_day($1)::text AS made", day)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Drops the oldest day's table if that day ended at least `keep_days` days ago; answers which.
pub(super) async fn forget_day(
    connection: &mut PgConnection,
    keep_days: i32,
) -> sqlx::Result<Option<NaiveDate>> {
    sqlx::query_scalar!("SELECT log_records_forget_day($1)", keep_days)
        .fetch_one(connection)
        .await
}

/// The records after this one, the oldest first.
pub(super) async fn page(
    connection: &mut PgConnection,
    conditions: &Conditions,
    (time, id): (DateTime<Utc>, i64),
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    let (lowest, highest) = conditions.statuses();
    sqlx::query_as!(
        Stored,
        r#"SELECT id, time, record::text AS "record!" FROM log_records
           WHERE time >= $1 AND (time, id) > ($1, $2) AND ($3::timestamptz IS NULL OR time < $3) AND level >= $4
             AND ($5::text IS NULL OR request_id = $5) AND ($6::text IS NULL OR service = $6)
             AND ($7::text IS NULL OR route = $7) AND ($8::smallint IS NULL OR status BETWEEN $8 AND $9)
           ORDER BY time, id LIMIT $10"#,
        time,
        id,
        conditions.until,
        conditions.level as i16,
        conditions.request_id.as_deref(),
        conditions.service.as_deref(),
        conditions.route.as_deref(),
        lowest,
        highest,
        limit
    )
    .fetch_all(connection)
    .await
}

/// The record before the newest `count`, if there are more.
pub(super) async fn before_newest(
    connection: &mut PgConnection,
    conditions: &Conditions,
    count: i64,
) -> sqlx::Result<Option<(DateTime<Utc>, i64)>> {
    let (lowest, highest) = conditions.statuses();
    let found = sqlx::query!(
        "SELECT time, id FROM log_records
         WHERE time >= $1 AND ($2::timestamptz IS NULL OR time < $2) AND level >= $3
           AND ($4::text IS NULL OR request_id = $4) AND ($5::text IS NULL OR service = $5)
           AND ($6::text IS NULL OR route = $6) AND ($7::smallint IS NULL OR status BETWEEN $7 AND $8)
         ORDER BY time DESC, id DESC OFFSET $9 LIMIT 1",
        conditions.since,
        conditions.until,
        conditions.level as i16,
        conditions.request_id.as_deref(),
        conditions.service.as_deref(),
        conditions.route.as_deref(),
        lowest,
        highest,
        count
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|row| (row.time, row.id)))
}

/// The records that arrived after this one, but for those in `seen`; the oldest first.
pub(super) async fn arrived(
    connection: &mut PgConnection,
    conditions: &Conditions,
    after: i64,
    seen: &[i64],
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    let (lowest, highest) = conditions.statuses();
    sqlx::query_as!(
        Stored,
        r#"SELECT id, time, record::text AS "record!" FROM log_records
           WHERE id > $1 AND id <> ALL ($2) AND time >= $3 AND ($4::timestamptz IS NULL OR time < $4) AND level >= $5
             AND ($6::text IS NULL OR request_id = $6) AND ($7::text IS NULL OR service = $7)
             AND ($8::text IS NULL OR route = $8) AND ($9::smallint IS NULL OR status BETWEEN $9 AND $10)
           ORDER BY time, id LIMIT $11"#,
        after,
        seen,
        conditions.since,
        conditions.until,
        conditions.level as i16,
        conditions.request_id.as_deref(),
        conditions.service.as_deref(),
        conditions.route.as_deref(),
        lowest,
        highest,
        limit
    )
    .fetch_all(connection)
    .await
}

/// The numbers of all records after this one.
pub(super) async fn ids_after(connection: &mut PgConnection, id: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!("SELECT id FROM log_records WHERE id > $1", id)
        .fetch_all(connection)
        .await
}

/// The number of the record that arrived last.
pub(super) async fn last_id(connection: &mut PgConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("SELECT max(id) FROM log_records")
        .fetch_one(connection)
        .await
}

/// The times of the oldest and the newest record.
pub(super) async fn reach(
    connection: &mut PgConnection,
) -> sqlx::Result<Option<(DateTime<Utc>, DateTime<Utc>)>> {
    let row = sqlx::query!("SELECT min(time), max(time) FROM log_records")
        .fetch_one(connection)
        .await?;
    Ok(row.min.zip(row.max))
}
