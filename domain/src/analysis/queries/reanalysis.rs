//! The SQL that chooses which posts are judged again, and marks them as stale.

use sqlx::PgPool;

use crate::analysis::reanalysis::Filter;

/// Posts between two numbers.
pub struct MatchingRow {
    /// Whose verdict meets every condition.
    pub matched: i64,
    /// Of these, how many are stale already.
    pub waiting: i64,
}

/// The number of the newest post, 0 if there is none.
pub async fn newest(db: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT coalesce(max(post_id), 0) AS "newest!" FROM post_analysis"#)
        .fetch_one(db)
        .await
}

/// A statement about the posts with a number above `$1` and not above `$2` whose verdict meets `$filter`.
macro_rules! of_matching {
    ($query:ident!($($row:ident,)? $head:literal + _ + $tail:literal), $from:ident, $to:ident, $filter:ident $(, $more:expr)*) => {
        sqlx::$query!(
            $($row,)?
            $head + "FROM post_analysis a JOIN posts p ON p.id = a.post_id
             WHERE a.post_id > $1 AND a.post_id <= $2 AND a.status = 'done' AND p.deleted_at IS NULL
               AND a.model = ALL($3) AND a.model <> ALL($4)
               AND coalesce(a.prompt_version, '') = ALL($5) AND coalesce(a.prompt_version, '') <> ALL($6)
               AND ($7::timestamptz IS NULL OR a.finished_at < $7) AND a.safety = ALL($8) " + $tail,
            $from,
            $to,
            &$filter.models,
            &$filter.other_models,
            &$filter.prompt_versions,
            &$filter.other_prompt_versions,
            $filter.before,
            &$filter.safeties
            $(, $more)*
        )
    };
}

/// How many match, and how many of these are stale already.
pub async fn count_matching(
    db: &PgPool,
    from: i64,
    to: i64,
    filter: &Filter,
) -> sqlx::Result<MatchingRow> {
    of_matching!(
        query_as!(
            MatchingRow,
            r#"SELECT count(*) AS "matched!", count(a.stale_since) AS "waiting!" "# + _ + ""
        ),
        from,
        to,
        filter
    )
    .fetch_one(db)
    .await
}

/// Marks at most `limit` of those that match as stale, due at once; answers how many. The posts are locked as well, or
/// one that is deleted in the same moment would keep its mark for ever. Rows that somebody else has locked are passed
/// over: the order in which others lock these two is not ours.
pub async fn mark_stale(
    db: &PgPool,
    from: i64,
    to: i64,
    filter: &Filter,
    limit: i64,
) -> sqlx::Result<u64> {
    let done = of_matching!(
        query!(
            "WITH chosen AS MATERIALIZED (SELECT a.post_id "
                + _
                + "AND a.stale_since IS NULL ORDER BY a.post_id DESC LIMIT $9
                FOR UPDATE OF a SKIP LOCKED FOR SHARE OF p SKIP LOCKED)
             UPDATE post_analysis a
             SET stale_since = now(), attempts = 0, offers = 0, next_enqueue_at = now(), lease_owner = NULL,
                 lease_until = NULL, error = NULL
             FROM chosen WHERE a.post_id = chosen.post_id"
        ),
        from,
        to,
        filter,
        limit
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
