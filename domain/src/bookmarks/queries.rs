//! Every SQL statement about `bookmarks`.

use sqlx::{PgConnection, PgExecutor};

use crate::ids::{PostId, UserId};

pub(super) async fn insert(db: impl PgExecutor<'_>, by: UserId, post: PostId) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO bookmarks (user_id, post_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        by.0,
        post.0
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn delete(db: impl PgExecutor<'_>, by: UserId, post: PostId) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM bookmarks WHERE user_id = $1 AND post_id = $2",
        by.0,
        post.0
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) struct Kept {
    pub id: i64,
    pub post: PostId,
}

/// Somebody's bookmarks below `before`, the newest first, of posts that they may still see: so a page is as long as its
/// limit until the last. Blocks are looked up post by post; as NOT EXISTS, PostgreSQL would go through all that the person
/// blocks for each.
pub(super) async fn list(
    db: impl PgExecutor<'_>,
    user: UserId,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Kept>> {
    sqlx::query_as!(
        Kept,
        r#"SELECT k.id, k.post_id AS "post: PostId"
           FROM bookmarks k
           JOIN posts p ON p.id = k.post_id AND p.deleted_at IS NULL
           WHERE k.user_id = $1 AND k.id < $2
               AND (SELECT true FROM blocks b WHERE b.blocker_id = $1 AND b.blocked_id = p.user_id LIMIT 1) IS NULL
               AND (SELECT true FROM blocks b WHERE b.blocker_id = p.user_id AND b.blocked_id = $1 LIMIT 1) IS NULL
           ORDER BY k.id DESC LIMIT $3"#,
        user.0,
        before,
        limit
    )
    .fetch_all(db)
    .await
}

pub(super) async fn remove_all(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM bookmarks WHERE user_id = $1", user.0)
        .execute(tx)
        .await?;
    Ok(())
}
