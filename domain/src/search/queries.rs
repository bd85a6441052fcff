//! Every SQL statement of the search. The expressions are those of the indexes in migration 0011, letter by letter.

use sqlx::PgConnection;

use super::{HALF_LIFE_DAYS, PersonCursor, RANKED, model::Ranked};
use crate::ids::UserId;

/// Whether the words can be looked for; and how this transaction's statements are run. Each is planned for its own
/// words: the plan for a rare word reads half of all posts for a common one, and the other way round. And each on one
/// core, so that one caller does not take those of the others.
pub(super) async fn prepare(tx: &mut PgConnection, text: &str) -> sqlx::Result<bool> {
    // querytree() is what an index can be asked for; of nothing it is empty, of a negation alone "T".
    let row = sqlx::query!(
        r#"SELECT querytree(websearch_to_tsquery('simple', $1)) NOT IN ('', 'T') AS "searchable!",
                  set_config('plan_cache_mode', 'force_custom_plan', true) AS plan,
                  set_config('max_parallel_workers_per_gather', '0', true) AS parallel"#,
        text
    )
    .fetch_one(tx)
    .await?;
    Ok(row.searchable)
}

/// The next hits below `after`, of the newest [`RANKED`] up to its `top`. A score is the logarithm of the rank, to which
/// time adds one for each half-life: so it stays what it is while time goes by, and pages fit together.
pub(super) async fn posts(
    tx: &mut PgConnection,
    viewer: Option<UserId>,
    text: &str,
    after: &Ranked,
    limit: i64,
) -> sqlx::Result<Vec<Ranked>> {
    sqlx::query_as!(
        Ranked,
        r#"WITH hits AS MATERIALIZED (
               SELECT newest.id,
                      ln(greatest(ts_rank_cd(to_tsvector('simple', newest.content),
                                             websearch_to_tsquery('simple', $2), 1), 1e-6)::float8) / ln(2::float8)
                      + extract(epoch FROM newest.created_at)::float8 / (86400 * $3::float8) AS score
               FROM (SELECT p.id, p.content, p.created_at
                     FROM posts p
                     WHERE to_tsvector('simple', content) @@ websearch_to_tsquery('simple', $2)
                       AND p.deleted_at IS NULL AND p.repost_of IS NULL AND p.id <= $4
                       AND p.user_id NOT IN (SELECT blocked_id FROM blocks WHERE blocker_id = $1
                                             UNION ALL SELECT blocker_id FROM blocks WHERE blocked_id = $1
                                             UNION ALL SELECT muted_id FROM mutes WHERE muter_id = $1)
                     ORDER BY p.id DESC LIMIT $5) AS newest)
           SELECT score AS "score!", id AS "id!", (SELECT max(id) FROM hits) AS "top!"
           FROM hits
           WHERE score < $6 OR (score = $6 AND id < $7)
           ORDER BY score DESC, id DESC LIMIT $8"#,
        viewer as Option<UserId>,
        text,
        HALF_LIFE_DAYS,
        after.top,
        RANKED,
        after.score,
        after.id,
        limit
    )
    .fetch_all(tx)
    .await
}

/// What stands behind every name that begins with `prefix`: names are ASCII without a `~`.
fn above(prefix: &str) -> String {
    format!("{prefix}~")
}

/// People whose name begins with `prefix` and comes after `after`, by name.
pub(super) async fn named(
    tx: &mut PgConnection,
    viewer: Option<UserId>,
    prefix: &str,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<(UserId, PersonCursor)>> {
    let rows = sqlx::query!(
        r#"SELECT u.id AS "id: UserId", lower(u.username) AS "name!"
           FROM users u
           WHERE u.deleted_at IS NULL
             AND lower(u.username) ~>=~ $2 AND lower(u.username) ~<~ $3 AND lower(u.username) ~>~ $4
             AND u.id NOT IN (SELECT blocked_id FROM blocks WHERE blocker_id = $1
                              UNION ALL SELECT blocker_id FROM blocks WHERE blocked_id = $1)
           ORDER BY lower(u.username) USING ~<~ LIMIT $5"#,
        viewer as Option<UserId>,
        prefix,
        above(prefix),
        after,
        limit
    )
    .fetch_all(tx)
    .await?;
    let hits = rows.into_iter();
    Ok(hits
        .map(|row| (row.id, PersonCursor::Named { name: row.name }))
        .collect())
}

/// People with these words about them, but those of [`named`]; of the newest [`RANKED`] accounts that fit, the next
/// below `after`.
pub(super) async fn described(
    tx: &mut PgConnection,
    viewer: Option<UserId>,
    text: &str,
    prefix: Option<&str>,
    after: &Ranked,
    limit: i64,
) -> sqlx::Result<Vec<(UserId, PersonCursor)>> {
    let hits = sqlx::query_as!(
        Ranked,
        r#"WITH hits AS MATERIALIZED (
               SELECT newest.id,
                      ts_rank_cd(setweight(to_tsvector('simple', newest.username || ' ' || newest.display_name), 'A')
                                 || setweight(to_tsvector('simple', newest.bio), 'D'),
                                 websearch_to_tsquery('simple', $2))::float8 AS score
               FROM (SELECT u.id, u.username, u.display_name, u.bio
                     FROM users u
                     WHERE to_tsvector('simple', username || ' ' || display_name || ' ' || bio)
                           @@ websearch_to_tsquery('simple', $2)
                       AND u.deleted_at IS NULL AND u.id <= $3
                       AND ($4::text IS NULL OR NOT (lower(u.username) ~>=~ $4 AND lower(u.username) ~<~ $5))
                       AND u.id NOT IN (SELECT blocked_id FROM blocks WHERE blocker_id = $1
                                        UNION ALL SELECT blocker_id FROM blocks WHERE blocked_id = $1)
                     ORDER BY u.id DESC LIMIT $6) AS newest)
           SELECT score AS "score!", id AS "id!", (SELECT max(id) FROM hits) AS "top!"
           FROM hits
           WHERE score < $7 OR (score = $7 AND id < $8)
           ORDER BY score DESC, id DESC LIMIT $9"#,
        viewer as Option<UserId>,
        text,
        after.top,
        prefix,
        prefix.map(above),
        RANKED,
        after.score,
        after.id,
        limit
    )
    .fetch_all(tx)
    .await?;
    let hits = hits.into_iter();
    Ok(hits
        .map(|hit| (UserId(hit.id), PersonCursor::Ranked(hit)))
        .collect())
}
