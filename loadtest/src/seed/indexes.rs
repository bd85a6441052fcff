//! The secondary indexes of the tables that grow by millions: dropped before a large step and made again afterwards, as
//! they were found. What was dropped is kept in a table of the schema `loadtest`, in the same transaction as the drop,
//! so that a run which was killed loses none: the next one makes them.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::progress::Progress;

pub(super) const TABLES: [&str; 6] = [
    "posts",
    "post_analysis",
    "post_counts",
    "post_topics",
    "post_tags",
    "likes",
];

/// Drops what no constraint needs. An index with something about it that this module could not give back (a place of
/// its own, a part in replication or clustering) stays.
///
/// # Errors
/// Those of the database.
pub async fn drop(db: &mut PgConnection, progress: &mut Progress) -> anyhow::Result<()> {
    let mut transaction = db.begin().await?;
    transaction
        .execute(
            "CREATE SCHEMA IF NOT EXISTS loadtest;
             CREATE TABLE IF NOT EXISTS loadtest.dropped_indexes (
                 name       text PRIMARY KEY,
                 definition text NOT NULL,
                 -- ALTER INDEX and COMMENT statements for what the definition does not say.
                 settings   text NOT NULL
             )",
        )
        .await?;
    let names: Vec<String> = sqlx::query_scalar(
        "INSERT INTO loadtest.dropped_indexes (name, definition, settings)
         SELECT format('%I.%I', n.nspname, c.relname), pg_get_indexdef(c.oid),
             coalesce((SELECT string_agg(format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s;',
                                                n.nspname, c.relname, a.attnum, a.attstattarget), ' ')
                       FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0), '')
             || coalesce(format('COMMENT ON INDEX %I.%I IS %L;', n.nspname, c.relname, obj_description(c.oid)), '')
         FROM pg_index i
         JOIN pg_class c ON c.oid = i.indexrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE i.indrelid = ANY (ARRAY(SELECT to_regclass('public.' || t) FROM unnest($1::text[]) t)::regclass[])
           AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid)
           AND i.indisvalid AND NOT i.indisclustered AND NOT i.indisreplident AND c.reltablespace = 0
         RETURNING name",
    )
    .bind(TABLES.map(String::from).to_vec())
    .fetch_all(&mut *transaction)
    .await?;
    for name in &names {
        transaction
            .execute(AssertSqlSafe(format!("DROP INDEX {name}")))
            .await?;
    }
    transaction.commit().await?;
    if !names.is_empty() {
        progress.say(&format!(
            "{} indexes are dropped meanwhile; reading is slow until they are made again",
            names.len()
        ));
    }
    Ok(())
}

/// Makes what this or an earlier run has dropped, and removes the list.
///
/// # Errors
/// Those of the database; what is not made yet stays on the list.
pub async fn restore(db: &mut PgConnection, progress: &mut Progress) -> anyhow::Result<()> {
    let is_there: bool =
        sqlx::query_scalar("SELECT to_regclass('loadtest.dropped_indexes') IS NOT NULL")
            .fetch_one(&mut *db)
            .await?;
    if !is_there {
        return Ok(());
    }
    let dropped: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT name, definition, settings FROM loadtest.dropped_indexes ORDER BY name",
    )
    .fetch_all(&mut *db)
    .await?;
    for (place, (name, definition, settings)) in dropped.iter().enumerate() {
        progress.say(&format!(
            "making index {} of {}: {name}",
            place + 1,
            dropped.len()
        ));
        let mut transaction = db.begin().await?;
        let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(name)
            .fetch_one(&mut *transaction)
            .await?;
        if !exists {
            transaction
                .execute(AssertSqlSafe(definition.clone()))
                .await?;
            if !settings.is_empty() {
                transaction.execute(AssertSqlSafe(settings.clone())).await?;
            }
        }
        sqlx::query("DELETE FROM loadtest.dropped_indexes WHERE name = $1")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    // Not CASCADE: what somebody else has put there stays, and the message says what it is.
    db.execute("DROP TABLE loadtest.dropped_indexes").await?;
    db.execute("DROP SCHEMA loadtest").await?;
    Ok(())
}
