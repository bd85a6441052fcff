//! The SQL of the schema's level. What a migration does stands in `migrations/`.

use sqlx::{PgConnection, PgPool};

/// What a database says of its schema.
pub(super) struct Level {
    /// How many of the asked migrations it has.
    pub known: i64,
    /// The newest that it has.
    pub newest: Option<i64>,
    /// The newest that a program must know to work with it.
    pub floor: Option<i64>,
}

pub(super) async fn level(db: &PgPool, migrations: &[i64]) -> sqlx::Result<Level> {
    sqlx::query_as!(
        Level,
        r#"SELECT count(*) FILTER (WHERE version = ANY ($1)) AS "known!", max(version) AS newest,
                  (SELECT level FROM schema_floor) AS floor
           FROM _sqlx_migrations WHERE success"#,
        migrations
    )
    .fetch_one(db)
    .await
}

/// How long a statement of this connection may wait for a lock, in PostgreSQL's words; `0` is for ever.
pub(super) async fn wait_for_locks(db: &mut PgConnection, time: &str) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('lock_timeout', $1, false)", time)
        .fetch_one(db)
        .await?;
    Ok(())
}
