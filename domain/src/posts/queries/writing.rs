//! The SQL statements that write `posts` and what belongs to them. Triggers write the analysis, the fan-out, the counts
//! and the history (migrations 0004, 0008, 0010).

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use crate::{
    ids::{PostId, UserId},
    posts::{
        PostText, ReplyTo,
        model::{NAMED_MAX, Named},
        together::Draft,
    },
};

pub(in crate::posts) struct Inserted {
    pub id: PostId,
    pub revision: i32,
    pub display_name: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// One statement and so one transaction: the trigger writes the analysis row within it.
pub(in crate::posts) async fn insert(
    db: impl PgExecutor<'_>,
    author: UserId,
    text: &PostText,
    request_id: &str,
) -> sqlx::Result<Inserted> {
    sqlx::query_as!(
        Inserted,
        r#"INSERT INTO posts (user_id, content, request_id) VALUES ($1, $2, $3)
           RETURNING id AS "id: PostId", revision, created_at, updated_at,
               (SELECT display_name FROM users u WHERE u.id = user_id) AS "display_name!""#,
        author.0,
        text.as_str(),
        request_id
    )
    .fetch_one(db)
    .await
}

/// Posts that arrived together, in one statement and so in one transaction: answered in the order given, which is the
/// order of their numbers.
pub(in crate::posts) async fn insert_all(
    db: impl PgExecutor<'_>,
    drafts: &[Draft],
) -> sqlx::Result<Vec<Inserted>> {
    let authors: Vec<i64> = drafts.iter().map(|draft| draft.author.0).collect();
    let texts: Vec<&str> = drafts.iter().map(|draft| draft.text.as_str()).collect();
    let requests: Vec<&str> = drafts
        .iter()
        .map(|draft| draft.request_id.as_str())
        .collect();
    let mut rows = sqlx::query_as!(
        Inserted,
        r#"INSERT INTO posts (user_id, content, request_id)
           SELECT draft.user_id, draft.content, draft.request_id
           FROM unnest($1::bigint[], $2::text[], $3::text[]) WITH ORDINALITY
               AS draft (user_id, content, request_id, place)
           ORDER BY draft.place
           RETURNING id AS "id: PostId", revision, created_at, updated_at,
               (SELECT display_name FROM users u WHERE u.id = user_id) AS "display_name!""#,
        &authors,
        &texts as &[&str],
        &requests as &[&str]
    )
    .fetch_all(db)
    .await?;
    // Numbers are drawn in the order of the drafts; in which order the rows come back is not promised.
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

pub(in crate::posts) struct Answer {
    pub row: Inserted,
    pub to: ReplyTo,
    pub thread_id: PostId,
}

/// Writes an answer to a post that is there, is no repost, and has no block between its author and this one;
/// otherwise `None`.
pub(in crate::posts) async fn insert_answer(
    db: impl PgExecutor<'_>,
    author: UserId,
    text: &PostText,
    to: PostId,
    request_id: &str,
) -> sqlx::Result<Option<Answer>> {
    let row = sqlx::query!(
        r#"WITH answered AS (
               SELECT p.id, coalesce(p.thread_id, p.id) AS thread_id, p.user_id, u.username
               FROM posts p JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL
               WHERE p.id = $4 AND p.deleted_at IS NULL AND p.repost_of IS NULL
                   AND NOT EXISTS (SELECT FROM blocks b WHERE b.blocker_id = $1 AND b.blocked_id = p.user_id)
                   AND NOT EXISTS (SELECT FROM blocks b WHERE b.blocker_id = p.user_id AND b.blocked_id = $1)),
           written AS (
               INSERT INTO posts (user_id, content, request_id, reply_to, thread_id)
               SELECT $1, $2, $3, id, thread_id FROM answered
               RETURNING id, revision, created_at, updated_at)
           SELECT w.id AS "id: PostId", w.revision, w.created_at, w.updated_at,
               (SELECT display_name FROM users WHERE id = $1) AS "display_name!",
               a.thread_id AS "thread_id!: PostId", a.user_id AS "to_user_id: UserId", a.username AS to_username
           FROM written w, answered a"#,
        author.0,
        text.as_str(),
        request_id,
        to.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Answer {
        row: Inserted {
            id: row.id,
            revision: row.revision,
            display_name: row.display_name,
            created_at: row.created_at,
            updated_at: row.updated_at,
        },
        to: ReplyTo {
            post_id: to,
            user_id: row.to_user_id,
            username: row.to_username,
        },
        thread_id: row.thread_id,
    }))
}

/// Makes what is stored of a post's mentions and tags what `named` says: of the people those who exist and have no
/// block between them and the author, the first [`NAMED_MAX`]. Answers who was not mentioned before.
pub(in crate::posts) async fn set_named(
    tx: &mut PgConnection,
    id: PostId,
    author: UserId,
    named: &Named,
) -> sqlx::Result<Vec<UserId>> {
    sqlx::query_scalar!(
        r#"WITH mentioned AS (
               SELECT u.id FROM unnest($3::text[]) WITH ORDINALITY AS written (name, place)
               JOIN users u ON lower(u.username) = written.name AND u.deleted_at IS NULL
               WHERE NOT EXISTS (SELECT FROM blocks b WHERE b.blocker_id = $2 AND b.blocked_id = u.id)
                   AND NOT EXISTS (SELECT FROM blocks b WHERE b.blocker_id = u.id AND b.blocked_id = $2)
               ORDER BY written.place LIMIT $5),
           unmentioned AS (
               DELETE FROM post_mentions WHERE post_id = $1 AND user_id NOT IN (SELECT id FROM mentioned)),
           untagged AS (
               DELETE FROM post_tags WHERE post_id = $1 AND tag <> ALL ($4)),
           tagged AS (
               INSERT INTO post_tags (tag, post_id) SELECT tag, $1 FROM unnest($4::text[]) AS tag
               ON CONFLICT DO NOTHING)
           INSERT INTO post_mentions (post_id, user_id) SELECT $1, id FROM mentioned
           ON CONFLICT DO NOTHING RETURNING user_id AS "user_id: UserId""#,
        id.0,
        author.0,
        &named.people,
        &named.tags,
        NAMED_MAX as i64
    )
    .fetch_all(tx)
    .await
}

pub(in crate::posts) struct Updated {
    pub revision: i32,
    /// Whose post it answers.
    pub answered: Option<UserId>,
}

/// Changes the author's own post. The trigger resets the analysis if the text is
/// another one.
pub(in crate::posts) async fn update(
    db: impl PgExecutor<'_>,
    id: PostId,
    author: UserId,
    text: &PostText,
    request_id: &str,
) -> sqlx::Result<Option<Updated>> {
    sqlx::query_as!(
        Updated,
        r#"UPDATE posts SET content = $3, request_id = $4
           WHERE id = $1 AND user_id = $2 AND repost_of IS NULL AND deleted_at IS NULL
           RETURNING revision, (SELECT a.user_id FROM posts a WHERE a.id = posts.reply_to) AS "answered: UserId""#,
        id.0,
        author.0,
        text.as_str(),
        request_id
    )
    .fetch_optional(db)
    .await
}

/// Marks the author's own post as deleted; answers whether there was one.
pub(in crate::posts) async fn delete(
    db: impl PgExecutor<'_>,
    id: PostId,
    author: UserId,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE posts SET deleted_at = now()
         WHERE id = $1 AND user_id = $2 AND repost_of IS NULL AND deleted_at IS NULL",
        id.0,
        author.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Locks the counts that the removal of an account changes: of its posts, of what it has answered or reposted, and of
/// what it likes. In one order, so that two accounts that go at once wait in one line.
pub(in crate::posts) async fn hold_counts_around(
    tx: &mut PgConnection,
    author: UserId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT post_id FROM post_counts
         WHERE post_id IN (SELECT unnest(ARRAY[id, reply_to, repost_of]) FROM posts
                           WHERE user_id = $1 AND deleted_at IS NULL
                           UNION ALL SELECT post_id FROM likes WHERE user_id = $1)
         ORDER BY post_id FOR UPDATE",
        author.0
    )
    .fetch_all(tx)
    .await?;
    Ok(())
}

/// Marks every post of an author as deleted.
pub(in crate::posts) async fn delete_all_of(
    tx: &mut PgConnection,
    author: UserId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE posts SET deleted_at = now() WHERE user_id = $1 AND deleted_at IS NULL",
        author.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Reposts a post that is there, is no repost itself, and has no block between its author and this person. Answers the
/// author, or `None` when there is nothing to repost or it is reposted already.
pub(in crate::posts) async fn repost(
    db: impl PgExecutor<'_>,
    by: UserId,
    id: PostId,
) -> sqlx::Result<Option<UserId>> {
    // The lock keeps a deletion waiting, which would otherwise leave behind a repost that it did not see.
    sqlx::query_scalar!(
        r#"INSERT INTO posts (user_id, content, repost_of)
           SELECT $1, '', p.id
           FROM posts p JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL
           WHERE p.id = $2 AND p.deleted_at IS NULL AND p.repost_of IS NULL
               AND NOT EXISTS (SELECT FROM blocks b WHERE b.blocker_id = $1 AND b.blocked_id = p.user_id)
               AND NOT EXISTS (SELECT FROM blocks b WHERE b.blocker_id = p.user_id AND b.blocked_id = $1)
           FOR SHARE OF p
           ON CONFLICT (repost_of, user_id) WHERE repost_of IS NOT NULL AND deleted_at IS NULL DO NOTHING
           RETURNING (SELECT o.user_id FROM posts o WHERE o.id = posts.repost_of) AS "author!: UserId""#,
        by.0,
        id.0
    )
    .fetch_optional(db)
    .await
}

/// Takes a repost back; answers whether there was one.
pub(in crate::posts) async fn unrepost(
    db: impl PgExecutor<'_>,
    by: UserId,
    id: PostId,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE posts SET deleted_at = now() WHERE user_id = $1 AND repost_of = $2 AND deleted_at IS NULL",
        by.0,
        id.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
