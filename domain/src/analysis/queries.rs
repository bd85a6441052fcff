//! Every SQL statement about `post_analysis`; those that choose what is judged again are in `queries/reanalysis.rs`. The
//! state machine is drawn in migrations 0004 and 0005; a row waits for a verdict when it is pending, or done and stale.

pub(super) mod reanalysis;

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool, Postgres, Transaction};

use super::{Depth, Verdict, model::Status};
use crate::{
    ids::{PostId, UserId},
    jobs::AnalyzePost,
};

/// A post to be offered.
pub(super) struct DueRow {
    pub post_id: PostId,
    pub revision: i32,
    pub request_id: String,
}

pub(super) struct ClaimedRow {
    pub content: String,
    pub pending_since: DateTime<Utc>,
}

pub(super) struct FinishedRow {
    pub author: UserId,
    pub again: bool,
    pub seconds: f64,
}

pub(super) struct FailedRow {
    pub author: UserId,
    pub status: Status,
    pub attempts: i32,
    pub waits: bool,
}

pub(super) struct ExplainedRow {
    pub author: UserId,
    pub content: String,
    pub revision: i32,
    pub status: Option<Status>,
    pub explanation: Option<String>,
}

/// Whether this transaction is now the only one that offers; the others need not wait, the rows are looked after.
/// One at a time, since each looks how much room the queue has before it fills it.
pub(super) async fn only_one_offers(tx: &mut Transaction<'_, Postgres>) -> sqlx::Result<bool> {
    /// Any number that nothing else in this database locks: "linnet" in ASCII.
    const OFFERING: i64 = 0x6c69_6e6e_6574;
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock($1) AS "ours!""#,
        OFFERING
    )
    .fetch_one(&mut **tx)
    .await
}

/// Rows that are due, locked until the transaction ends; what another sweeper has locked is passed over.
pub(super) async fn due(
    tx: &mut Transaction<'_, Postgres>,
    limit: i64,
) -> sqlx::Result<Vec<DueRow>> {
    sqlx::query_as!(
        DueRow,
        r#"SELECT a.post_id AS "post_id: PostId", a.revision, p.request_id
           FROM post_analysis a JOIN posts p ON p.id = a.post_id
           WHERE a.status = 'pending' AND a.next_enqueue_at <= now()
           ORDER BY a.next_enqueue_at
           LIMIT $1
           FOR UPDATE OF a SKIP LOCKED"#,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}

/// The same of stale rows.
pub(super) async fn due_stale(
    tx: &mut Transaction<'_, Postgres>,
    limit: i64,
) -> sqlx::Result<Vec<DueRow>> {
    sqlx::query_as!(
        DueRow,
        r#"SELECT a.post_id AS "post_id: PostId", a.revision, p.request_id
           FROM post_analysis a JOIN posts p ON p.id = a.post_id
           WHERE a.stale_since IS NOT NULL AND a.next_enqueue_at <= now()
           ORDER BY a.next_enqueue_at
           LIMIT $1
           FOR UPDATE OF a SKIP LOCKED"#,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}

/// Puts the next offer of these rows off: `base` seconds doubled with each offer up to `cap`, a quarter of jitter
/// either way.
pub(super) async fn put_off(
    tx: &mut Transaction<'_, Postgres>,
    ids: &[PostId],
    base: f64,
    cap: f64,
) -> sqlx::Result<()> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "UPDATE post_analysis
         SET offers = offers + 1,
             next_enqueue_at = now()
                 + make_interval(secs => least($2 * 2 ^ least(offers, 20), $3) * (0.75 + random() / 2))
         WHERE post_id = ANY($1)",
        &ids,
        base,
        cap
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes the row if it waits for this very revision and nobody holds it. It is due again when the lease ends, so
/// that a worker's death is noticed then and not at the next offer of a long back-off.
pub(super) async fn claim(
    db: &PgPool,
    job: &AnalyzePost,
    owner: &str,
    lease_seconds: f64,
) -> sqlx::Result<Option<ClaimedRow>> {
    sqlx::query_as!(
        ClaimedRow,
        "UPDATE post_analysis a
         SET lease_owner = $3, lease_until = now() + make_interval(secs => $4),
             next_enqueue_at = now() + make_interval(secs => $4)
         FROM posts p
         WHERE a.post_id = $1 AND p.id = a.post_id AND p.deleted_at IS NULL
           AND a.revision = $2 AND p.revision = a.revision
           AND (a.status = 'pending' OR a.stale_since IS NOT NULL)
           AND (a.lease_until IS NULL OR a.lease_until < now())
         RETURNING p.content, a.pending_since",
        job.post_id.0,
        job.revision,
        owner,
        lease_seconds
    )
    .fetch_optional(db)
    .await
}

/// Makes the lease last longer; answers whether it is still `owner`'s.
pub(super) async fn renew(
    db: &PgPool,
    job: &AnalyzePost,
    owner: &str,
    lease_seconds: f64,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE post_analysis
         SET lease_until = now() + make_interval(secs => $4),
             next_enqueue_at = now() + make_interval(secs => $4)
         WHERE post_id = $1 AND revision = $2 AND lease_owner = $3
           AND (status = 'pending' OR stale_since IS NOT NULL)",
        job.post_id.0,
        job.revision,
        owner,
        lease_seconds
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes the verdict if the row waits for one on this text; answers whether there was one before, and the seconds
/// since the text was written. What comes late for a first verdict is as good as any other; for a second it may be
/// the answer of the model that is to be replaced, so only the holder of the lease may write it.
pub(super) async fn finish(
    db: &PgPool,
    job: &AnalyzePost,
    owner: &str,
    verdict: &Verdict,
) -> sqlx::Result<Option<FinishedRow>> {
    sqlx::query_as!(
        FinishedRow,
        r#"UPDATE post_analysis
           SET status = 'done', finished_at = now(), lease_owner = NULL, lease_until = NULL, error = NULL,
               stale_since = NULL,
               polarity = $3, score = $4, confidence = $5, safety = $6, topics = $7, explanation = $8,
               model = $9, prompt_version = $10, tokens = $11
           WHERE post_id = $1 AND revision = $2
             AND (status = 'pending' OR stale_since IS NOT NULL AND lease_owner = $12)
           -- The inner SELECT reads the row as it was before this statement.
           RETURNING (SELECT p.user_id FROM posts p WHERE p.id = $1) AS "author!: UserId",
                     (SELECT b.status = 'done' FROM post_analysis b WHERE b.post_id = $1) AS "again!",
                     extract(epoch FROM now() - pending_since)::float8 AS "seconds!""#,
        job.post_id.0,
        job.revision,
        verdict.polarity.as_str(),
        verdict.score,
        verdict.confidence,
        verdict.safety.as_str(),
        &verdict.topics,
        verdict.explanation,
        verdict.model,
        verdict.prompt_version,
        verdict.tokens,
        owner
    )
    .fetch_optional(db)
    .await
}

/// Counts a failure: the row waits `base` seconds doubled with each, a quarter of jitter either way, and after
/// `max_attempts` is dead, or stale no more. Only the holder of the lease may. The lease becomes nobody's until the wait is over: a
/// second hint for the row, which may be waiting already, must not cut it short.
pub(super) async fn fail(
    db: &PgPool,
    job: &AnalyzePost,
    owner: &str,
    error: &str,
    max_attempts: i32,
    base: f64,
) -> sqlx::Result<Option<FailedRow>> {
    sqlx::query_as!(
        FailedRow,
        r#"UPDATE post_analysis
           SET attempts = attempts + 1, error = $4, lease_owner = NULL,
               status = CASE WHEN status = 'pending' AND attempts + 1 >= $5 THEN 'dead' ELSE status END,
               stale_since = CASE WHEN attempts + 1 >= $5 THEN NULL ELSE stale_since END,
               lease_until = now() + make_interval(secs => $6 * 2 ^ attempts * jitter),
               next_enqueue_at = now() + make_interval(secs => $6 * 2 ^ attempts * jitter)
           FROM (SELECT 0.75 + random() / 2 AS jitter) AS chance
           WHERE post_id = $1 AND revision = $2 AND lease_owner = $3
           AND (status = 'pending' OR stale_since IS NOT NULL)
           RETURNING (SELECT p.user_id FROM posts p WHERE p.id = $1) AS "author!: UserId",
                     status AS "status: Status", attempts,
                     (status = 'pending' OR stale_since IS NOT NULL) AS "waits!""#,
        job.post_id.0,
        job.revision,
        owner,
        error,
        max_attempts,
        base
    )
    .fetch_optional(db)
    .await
}

/// Gives the lease back without counting a failure; the row is due again after `seconds`.
pub(super) async fn release(
    db: &PgPool,
    job: &AnalyzePost,
    owner: &str,
    why: &str,
    seconds: f64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE post_analysis
         SET lease_owner = NULL, lease_until = NULL, error = $4, offers = 0,
             next_enqueue_at = now() + make_interval(secs => $5 * (0.75 + random() / 2))
         WHERE post_id = $1 AND revision = $2 AND lease_owner = $3
           AND (status = 'pending' OR stale_since IS NOT NULL)",
        job.post_id.0,
        job.revision,
        owner,
        why,
        seconds
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives every dead row another life; answers how many.
pub(super) async fn revive(db: &PgPool) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "UPDATE post_analysis
         SET status = 'pending', attempts = 0, offers = 0, next_enqueue_at = now(), lease_until = NULL
         WHERE status = 'dead'"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// The depth of the queue. One partial index answers each part; asked in one go, with `status IN (…)`, PostgreSQL
/// would read the whole table, which keeps every verdict there ever was. What is pending is read once for three figures.
pub(super) async fn depth(db: impl PgExecutor<'_>) -> sqlx::Result<Depth> {
    sqlx::query_as!(
        Depth,
        r#"SELECT
             p.pending AS "pending!",
             p.leased AS "leased!",
             (SELECT count(*) FROM post_analysis WHERE status = 'dead') AS "dead!",
             (SELECT count(*) FROM post_analysis WHERE stale_since IS NOT NULL) AS "stale!",
             coalesce(extract(epoch FROM now() - p.oldest), 0)::float8 AS "oldest_seconds!"
           FROM (SELECT count(*) AS pending,
                        count(*) FILTER (WHERE lease_owner IS NOT NULL AND lease_until > now()) AS leased,
                        min(pending_since) AS oldest
                 FROM post_analysis WHERE status = 'pending') AS p"#
    )
    .fetch_one(db)
    .await
}

/// What is known of a post that is to be explained.
pub(super) async fn explained(db: &PgPool, id: PostId) -> sqlx::Result<Option<ExplainedRow>> {
    sqlx::query_as!(
        ExplainedRow,
        r#"SELECT p.user_id AS "author: UserId", p.content, p.revision, a.status AS "status?: Status", a.explanation AS "explanation?"
           FROM posts p
           JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL
           LEFT JOIN post_analysis a ON a.post_id = p.id AND a.revision = p.revision
           WHERE p.id = $1 AND p.deleted_at IS NULL"#,
        id.0
    )
    .fetch_optional(db)
    .await
}

/// Puts an explained verdict in the place of one on the same text without explanation; answers whether there was one.
/// The whole of it, for an explanation belongs to its verdict, and the model may be another one by now.
pub(super) async fn explain(
    db: &PgPool,
    id: PostId,
    revision: i32,
    verdict: &Verdict,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE post_analysis
         SET polarity = $3, score = $4, confidence = $5, safety = $6, topics = $7, explanation = $8,
             model = $9, prompt_version = $10, tokens = $11
         WHERE post_id = $1 AND revision = $2 AND status = 'done' AND explanation = ''",
        id.0,
        revision,
        verdict.polarity.as_str(),
        verdict.score,
        verdict.confidence,
        verdict.safety.as_str(),
        &verdict.topics,
        verdict.explanation,
        verdict.model,
        verdict.prompt_version,
        verdict.tokens
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
