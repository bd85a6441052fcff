//! Every SQL statement about `sessions`, and those about `users` that check a login.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::SessionView;
use crate::ids::UserId;

pub(super) struct Credentials {
    pub id: UserId,
    pub username: String,
    pub password_hash: String,
}

pub(super) async fn credentials(
    db: impl PgExecutor<'_>,
    username: &str,
) -> sqlx::Result<Option<Credentials>> {
    sqlx::query_as!(
        Credentials,
        r#"SELECT id AS "id: UserId", username, password_hash FROM users
           WHERE lower(username) = lower($1) AND deleted_at IS NULL"#,
        username
    )
    .fetch_optional(db)
    .await
}

/// Replaces a hash, unless the password has been changed meanwhile.
pub(super) async fn rehash(
    db: impl PgExecutor<'_>,
    id: UserId,
    old: &str,
    new: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        id.0,
        old,
        new
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Opens a session if the account still stands and still has the password that was just checked.
pub(super) async fn open_session(
    db: impl PgExecutor<'_>,
    session: Uuid,
    user: UserId,
    password_hash: &str,
    expires_at: DateTime<Utc>,
    user_agent: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO sessions (id, user_id, expires_at, user_agent)
         SELECT $1, id, $4, $5 FROM users WHERE id = $2 AND password_hash = $3 AND deleted_at IS NULL FOR SHARE",
        session,
        user.0,
        password_hash,
        expires_at,
        user_agent
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) struct SessionUser {
    pub session: Uuid,
    pub id: UserId,
    pub username: String,
    pub expires_at: DateTime<Utc>,
}

/// Whose these sessions are, those that were not ended; they may have expired.
pub(super) async fn session_users(
    db: impl PgExecutor<'_>,
    sessions: &[Uuid],
) -> sqlx::Result<Vec<SessionUser>> {
    sqlx::query_as!(
        SessionUser,
        r#"SELECT s.id AS session, u.id AS "id: UserId", u.username, s.expires_at
           FROM sessions s JOIN users u ON u.id = s.user_id
           WHERE s.id = ANY($1) AND u.deleted_at IS NULL"#,
        sessions
    )
    .fetch_all(db)
    .await
}

pub(super) async fn end_session(db: impl PgExecutor<'_>, session: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sessions WHERE id = $1", session)
        .execute(db)
        .await?;
    Ok(())
}

/// The newest sessions of an account that still count; `own` is the one that asks.
pub(super) async fn sessions(
    db: impl PgExecutor<'_>,
    user: UserId,
    own: Uuid,
    now: DateTime<Utc>,
    most: i64,
) -> sqlx::Result<Vec<SessionView>> {
    sqlx::query_as!(
        SessionView,
        r#"SELECT id, created_at, expires_at, user_agent, id = $2 AS "current!" FROM sessions
           WHERE user_id = $1 AND expires_at > $3 ORDER BY created_at DESC, id LIMIT $4"#,
        user.0,
        own,
        now,
        most
    )
    .fetch_all(db)
    .await
}

/// Ends a session of this account; answers whether there was one.
pub(super) async fn end_session_of(
    db: impl PgExecutor<'_>,
    user: UserId,
    session: Uuid,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM sessions WHERE id = $1 AND user_id = $2",
        session,
        user.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn end_all_sessions(db: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sessions WHERE user_id = $1", user.0)
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn purge_expired(
    db: impl PgExecutor<'_>,
    now: DateTime<Utc>,
    most: i64,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= $1 LIMIT $2)",
        now,
        most
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
