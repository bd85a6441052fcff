//! Every SQL statement about home timelines. They are written for plans that do not know the values
//! (`docs/decisions.md`): what a viewer follows is looked up account by account, never read as a whole where a page is
//! read, so that a page costs the same whether one follows ten people or five thousand.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::ids::{PostId, UserId};

/// What [`visible`] has found.
pub(super) struct Looked {
    /// Entries that the viewer may and wants to see, newest first; at most as many as asked for.
    pub ids: Vec<PostId>,
    /// The oldest entry that was looked at, if as many were as may be at once.
    pub lowest: Option<i64>,
}

/// Looks at the newest `window` entries below `before` and not below `end` among `listed`, the viewer's own and those
/// of the large accounts that the viewer follows; answers the first `limit` that the viewer may and wants to see now.
pub(super) async fn visible(
    db: impl PgExecutor<'_>,
    viewer: UserId,
    listed: &[i64],
    (before, end): (i64, i64),
    window: i64,
    limit: i64,
) -> sqlx::Result<Looked> {
    sqlx::query_as!(
        Looked,
        r#"WITH hidden AS MATERIALIZED (
               SELECT blocked_id AS id FROM blocks WHERE blocker_id = $1
               UNION ALL SELECT muted_id FROM mutes WHERE muter_id = $1
           ), examined AS MATERIALIZED (
               SELECT id FROM (
                   SELECT unnest($2::bigint[]) AS id
                   UNION
                   (SELECT own.id FROM posts own
                    WHERE own.user_id = $1 AND own.deleted_at IS NULL AND own.id < $3 AND own.id >= $4
                    ORDER BY own.id DESC LIMIT $5)
                   UNION
                   SELECT theirs.id FROM user_counts c
                   CROSS JOIN LATERAL (
                       SELECT l.id FROM posts l
                       WHERE l.user_id = c.user_id AND l.deleted_at IS NULL AND l.id < $3 AND l.id >= $4
                       ORDER BY l.id DESC LIMIT $5) theirs
                   WHERE c.is_large
                     AND (SELECT true FROM follows f WHERE f.follower_id = $1 AND f.followed_id = c.user_id LIMIT 1)
               ) entries ORDER BY id DESC LIMIT $5
           )
           SELECT ARRAY(
               SELECT x.id FROM (SELECT id FROM examined ORDER BY id DESC OFFSET 0) x
               JOIN posts e ON e.id = x.id
               JOIN posts p ON p.id = coalesce(e.repost_of, e.id)
               LEFT JOIN posts answered ON answered.id = e.reply_to
               WHERE e.deleted_at IS NULL AND p.deleted_at IS NULL
                 AND (e.user_id = $1
                      OR (SELECT true FROM follows f WHERE f.follower_id = $1 AND f.followed_id = e.user_id LIMIT 1))
                 -- Half a conversation is of interest only to those who follow the other half.
                 AND (e.reply_to IS NULL OR e.user_id = $1 OR answered.user_id IN ($1, e.user_id)
                      OR (SELECT true FROM follows f
                          WHERE f.follower_id = $1 AND f.followed_id = answered.user_id LIMIT 1))
                 AND e.user_id NOT IN (SELECT id FROM hidden) AND p.user_id NOT IN (SELECT id FROM hidden)
                 -- One by one: a popular account may be blocked by very many.
                 AND (SELECT true FROM blocks b WHERE b.blocker_id = e.user_id AND b.blocked_id = $1 LIMIT 1) IS NULL
                 AND (SELECT true FROM blocks b WHERE b.blocker_id = p.user_id AND b.blocked_id = $1 LIMIT 1) IS NULL
               ORDER BY x.id DESC LIMIT $6) AS "ids!: Vec<PostId>",
               (SELECT CASE WHEN count(*) = $5 THEN min(id) END FROM examined) AS lowest"#,
        viewer.0,
        listed,
        before,
        end,
        window,
        limit
    )
    .fetch_one(db)
    .await
}

/// The newest `count` entries below `before` of the accounts that `viewer` follows, without large ones; newest first.
///
/// Who follows many finds enough among everybody's newest `recent` posts. Otherwise a few are taken of each account, by
/// which it is known how new an entry must be to be among the first `count`, and then the rest above that bar.
pub(super) async fn pull(
    db: impl PgExecutor<'_>,
    viewer: UserId,
    before: i64,
    count: i64,
    recent: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"WITH followed AS MATERIALIZED (
               SELECT f.followed_id AS id FROM follows f
               WHERE f.follower_id = $1 AND f.followed_id NOT IN (SELECT c.user_id FROM user_counts c WHERE c.is_large)
           ), many AS MATERIALIZED (
               SELECT count(*) AS followed FROM followed
           ), recent AS MATERIALIZED (
               SELECT r.id FROM (
                   SELECT p.id, p.user_id FROM posts p WHERE p.deleted_at IS NULL AND p.id < $2
                   ORDER BY p.id DESC LIMIT (SELECT CASE WHEN followed >= 500 THEN $4::bigint ELSE 0 END FROM many)) r
               -- IS TRUE keeps this a look into a hash and no join.
               WHERE (r.user_id IN (SELECT id FROM followed)) IS TRUE
               ORDER BY r.id DESC LIMIT $3
           ), enough AS MATERIALIZED (
               SELECT count(*) >= $3 AS is_so FROM recent
           ), firsts AS MATERIALIZED (
               SELECT followed.id AS user_id, p.id FROM followed
               CROSS JOIN LATERAL (
                   SELECT id FROM posts
                   WHERE user_id = followed.id AND deleted_at IS NULL AND id < $2
                   ORDER BY id DESC LIMIT (SELECT 2 * $3 / greatest(followed, 1) + 3 FROM many)) p
               WHERE NOT (SELECT is_so FROM enough)
           ), bar AS MATERIALIZED (
               SELECT coalesce((SELECT id FROM firsts ORDER BY id DESC OFFSET $3 - 1 LIMIT 1), 0) AS id
           )
           SELECT id AS "id!" FROM (
               SELECT id FROM recent WHERE (SELECT is_so FROM enough)
               UNION ALL
               SELECT p.id FROM (
                   SELECT user_id FROM firsts WHERE id >= (SELECT id FROM bar) GROUP BY user_id) a
               CROSS JOIN LATERAL (
                   SELECT id FROM posts
                   WHERE user_id = a.user_id AND deleted_at IS NULL AND id < $2 AND id >= (SELECT id FROM bar)
                   ORDER BY id DESC LIMIT $3) p
           ) entries ORDER BY id DESC LIMIT $3"#,
        viewer.0,
        before,
        count,
        recent
    )
    .fetch_all(db)
    .await
}

/// A post that waits to be brought to its readers.
pub(super) struct Waiting {
    pub id: PostId,
    pub author: UserId,
    pub created_at: DateTime<Utc>,
    /// Whom it answers, unless itself an answer to its own author.
    pub answered: Option<UserId>,
    /// Whose post it shows, when it is a repost.
    pub original: Option<UserId>,
    pub is_deleted: bool,
    pub is_large: bool,
    /// It has more followers than are written to, and nobody has said so yet.
    pub has_grown: bool,
}

/// How a transaction begins that calls [`take`]. That statement is planned once, when next to nothing waits, and a plan
/// for a table of one page reads all of it again for every post: with 300,000 waiting after an outage, for a minute.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL enable_seqscan = off";

/// Takes posts out of those that wait, the oldest first: at most `posts`, and so many that they have about `pushes`
/// followers together, but one at least. Several workers take different ones.
pub(super) async fn take(
    db: impl PgExecutor<'_>,
    posts: i64,
    pushes: i64,
    max_followers: i32,
) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        r#"WITH next AS MATERIALIZED (
               SELECT post_id FROM fanouts ORDER BY post_id LIMIT $1 FOR UPDATE SKIP LOCKED
           ), seen AS (
               SELECT p.id, p.user_id, p.created_at, p.deleted_at IS NOT NULL AS is_deleted,
                      nullif(answered.user_id, p.user_id) AS answered, original.user_id AS original,
                      coalesce(c.is_large, false) AS is_large,
                      coalesce(c.followers > $3 AND NOT c.is_large, false) AS has_grown,
                      CASE WHEN c.is_large OR c.followers > $3 THEN 0 ELSE coalesce(c.followers, 0) END AS weight
               FROM next
               JOIN posts p ON p.id = next.post_id
               LEFT JOIN posts answered ON answered.id = p.reply_to
               LEFT JOIN posts original ON original.id = p.repost_of
               LEFT JOIN user_counts c ON c.user_id = p.user_id
           ), weighed AS (
               SELECT *, sum(weight) OVER (ORDER BY id) - weight AS weight_before FROM seen
           ), taken AS MATERIALIZED (
               SELECT * FROM weighed WHERE weight_before < $2::bigint
           ), gone AS (
               DELETE FROM fanouts WHERE post_id = ANY (ARRAY(SELECT id FROM taken))
           )
           SELECT id AS "id: PostId", user_id AS "author: UserId", created_at, answered AS "answered: UserId",
                  original AS "original: UserId", is_deleted AS "is_deleted!", is_large AS "is_large!", has_grown AS "has_grown!"
           FROM taken"#,
        posts,
        pushes,
        max_followers
    )
    .fetch_all(db)
    .await
}

/// Who reads what an author writes, or what an author writes to somebody.
pub(super) struct Readers {
    pub author: UserId,
    pub answered: Option<UserId>,
    pub followers: Vec<i64>,
}

/// The followers of each author; where somebody is answered, only those who follow or are that person.
pub(super) async fn readers(
    db: impl PgExecutor<'_>,
    authors: &[UserId],
    answered: &[Option<UserId>],
) -> sqlx::Result<Vec<Readers>> {
    sqlx::query_as!(
        Readers,
        r#"SELECT w.author AS "author!: UserId", w.answered AS "answered: UserId", ARRAY(
               SELECT f.follower_id FROM follows f
               WHERE f.followed_id = w.author
                 AND (w.answered IS NULL OR f.follower_id = w.answered
                      OR (SELECT true FROM follows g
                          WHERE g.follower_id = f.follower_id AND g.followed_id = w.answered LIMIT 1))
           ) AS "followers!"
           FROM unnest($1::bigint[], $2::bigint[]) AS w (author, answered)"#,
        authors as &[UserId],
        answered as &[Option<UserId>]
    )
    .fetch_all(db)
    .await
}

/// Marks accounts as too large to write to their followers' timelines; they are locked in one order, as follows do.
pub(super) async fn mark_large(db: impl PgExecutor<'_>, accounts: &[UserId]) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH locked AS (
             SELECT user_id FROM user_counts WHERE user_id = ANY($1) ORDER BY user_id FOR UPDATE
         )
         UPDATE user_counts c SET is_large = true FROM locked WHERE c.user_id = locked.user_id",
        accounts as &[UserId]
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How many posts wait, counted up to `most`.
pub(super) async fn waiting(db: impl PgExecutor<'_>, most: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (SELECT FROM fanouts LIMIT $1) w"#,
        most
    )
    .fetch_one(db)
    .await
}
