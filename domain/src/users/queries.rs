//! Every SQL statement about `users`, but the ones that check a login (`auth/queries.rs`).

use sqlx::PgExecutor;

use super::User;
use crate::ids::UserId;

pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    username: &str,
    password_hash: &str,
) -> sqlx::Result<User> {
    sqlx::query_as!(
        User,
        r#"INSERT INTO users (username, password_hash) VALUES ($1, $2)
           RETURNING id AS "id: UserId", username"#,
        username,
        password_hash
    )
    .fetch_one(db)
    .await
}

/// The account, unless it blocks the viewer.
pub(super) async fn find(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    id: UserId,
) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"SELECT id AS "id: UserId", username FROM users
           WHERE id = $2 AND deleted_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = users.id AND blocked_id = $1)"#,
        viewer.map(|id| id.0),
        id.0
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn list(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<User>> {
    sqlx::query_as!(
        User,
        r#"SELECT id AS "id: UserId", username FROM users
           WHERE deleted_at IS NULL AND id < $2
               AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = users.id AND blocked_id = $1)
               AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $1 AND blocked_id = users.id)
           ORDER BY id DESC LIMIT $3"#,
        viewer.map(|id| id.0),
        before,
        limit
    )
    .fetch_all(db)
    .await
}

pub(super) async fn update(
    db: impl PgExecutor<'_>,
    id: UserId,
    username: Option<&str>,
    password_hash: Option<&str>,
) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"UPDATE users
           SET username = coalesce($2, username), password_hash = coalesce($3, password_hash), updated_at = now()
           WHERE id = $1 AND deleted_at IS NULL
           RETURNING id AS "id: UserId", username"#,
        id.0,
        username,
        password_hash
    )
    .fetch_optional(db)
    .await
}

/// Marks the account as deleted and forgets its password and what it said of itself.
pub(super) async fn delete(db: impl PgExecutor<'_>, id: UserId) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"UPDATE users SET deleted_at = now(), updated_at = now(), password_hash = '', display_name = '', bio = ''
           WHERE id = $1 AND deleted_at IS NULL
           RETURNING id AS "id: UserId", username"#,
        id.0
    )
    .fetch_optional(db)
    .await
}
