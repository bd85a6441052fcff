//! Every SQL statement about `likes`. A trigger counts them.

use sqlx::{PgConnection, PgExecutor};

use crate::{
    ids::{PostId, UserId},
    profiles::{Person, PersonRow, select_people},
};

/// Likes a post that is there, is no repost, and has no block between its author and this person. Answers the author,
/// or `None` when there is nothing to like or it is liked already.
pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    by: UserId,
    post: PostId,
) -> sqlx::Result<Option<UserId>> {
    sqlx::query_scalar!(
        r#"INSERT INTO likes (post_id, user_id)
           SELECT p.id, $1
           FROM posts p JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL
           WHERE p.id = $2 AND p.deleted_at IS NULL AND p.repost_of IS NULL
               AND NOT EXISTS (SELECT FROM blocks b WHERE b.blocker_id = $1 AND b.blocked_id = p.user_id)
               AND NOT EXISTS (SELECT FROM blocks b WHERE b.blocker_id = p.user_id AND b.blocked_id = $1)
           ON CONFLICT DO NOTHING
           RETURNING (SELECT p.user_id FROM posts p WHERE p.id = post_id) AS "author!: UserId""#,
        by.0,
        post.0
    )
    .fetch_optional(db)
    .await
}

/// Answers whether there was a like.
pub(super) async fn delete(
    db: impl PgExecutor<'_>,
    by: UserId,
    post: PostId,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM likes WHERE post_id = $2 AND user_id = $1",
        by.0,
        post.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Who likes a post, below the number `before`, the newest accounts first.
pub(super) async fn people(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    post: PostId,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Person>> {
    let viewer_id = viewer.map(|id| id.0);
    let rows = select_people!(
        "likes l JOIN users u ON u.id = l.user_id AND u.deleted_at IS NULL
         WHERE l.post_id = $2 AND l.user_id < $3
             AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = u.id AND blocked_id = $1)
             AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $1 AND blocked_id = u.id)
         ORDER BY l.user_id DESC LIMIT $4",
        viewer_id,
        post.0,
        before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.seen_by(viewer)).collect())
}

/// Takes back every like of somebody.
pub(super) async fn remove_all(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM likes WHERE user_id = $1", user.0)
        .execute(tx)
        .await?;
    Ok(())
}
