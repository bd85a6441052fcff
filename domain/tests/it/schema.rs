//! Migrations of databases that are older, newer, too new, in use, or somebody else's.

use std::borrow::Cow;

use domain::{
    config::DatabaseConfig,
    db,
    schema::{self, Fit, Migrated},
    testing,
};
use sqlx::{
    Connection as _, Executor as _, PgConnection, PgPool, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

/// A program that knows these migrations.
fn program(migrations: &[(i64, &'static str)]) -> Migrator {
    let migration = |&(version, sql): &(i64, &'static str)| {
        Migration::new(
            version,
            Cow::Borrowed("of a test"),
            MigrationType::Simple,
            sql.into_sql_str(),
            sql.starts_with("-- no-transaction"),
        )
    };
    Migrator::with_migrations(migrations.iter().map(migration).collect())
}

async fn migrate(
    database: &DatabaseConfig,
    migrations: &[(i64, &'static str)],
) -> anyhow::Result<Migrated> {
    schema::migrate_with(&program(migrations), database).await
}

async fn refusal(database: &DatabaseConfig, migrations: &[(i64, &'static str)]) -> String {
    let refusal = migrate(database, migrations).await.err().unwrap();
    format!("{refusal:#}")
}

async fn sql(database: &DatabaseConfig) -> PgPool {
    db::pool(database).unwrap()
}

const FLOOR: (i64, &str) = (
    1,
    "CREATE TABLE schema_floor (level bigint NOT NULL); INSERT INTO schema_floor VALUES (1)",
);
const ADDS: (i64, &str) = (2, "CREATE TABLE swallows (id bigint)");
const MORE: (i64, &str) = (3, "CREATE TABLE summers (id bigint)");
const TAKES: (i64, &str) = (4, "DROP TABLE swallows; UPDATE schema_floor SET level = 3");

#[tokio::test]
async fn the_migrated_database_is_the_one_that_the_program_was_made_for() {
    let bare = testing::bare_database().await;
    assert_eq!(schema::fit(&sql(&bare).await).await.unwrap(), Fit::Older);
    let done = schema::migrate(&bare).await.unwrap();
    assert_eq!(done.newer, 0);
    assert_eq!(schema::fit(&sql(&bare).await).await.unwrap(), Fit::Exact);
    assert_eq!(schema::migrate(&bare).await.unwrap(), done);
}

#[tokio::test]
async fn a_program_of_before_lives_with_what_was_added_and_not_with_what_was_taken_away() {
    let database = testing::bare_database().await;
    migrate(&database, &[FLOOR, ADDS]).await.unwrap();
    migrate(&database, &[FLOOR, ADDS, MORE, TAKES])
        .await
        .unwrap();
    // Rolled back by one: it knows that the swallows go.
    let back = migrate(&database, &[FLOOR, ADDS, MORE]).await.unwrap();
    assert_eq!(back, Migrated { known: 3, newer: 1 });
    // And by two: it reads them.
    let too_far = refusal(&database, &[FLOOR, ADDS]).await;
    assert!(
        too_far.contains("wants a program that knows migration 3, and this one knows 2"),
        "{too_far}"
    );
}

#[tokio::test]
async fn another_lines_database_is_refused() {
    let database = testing::bare_database().await;
    migrate(&database, &[FLOOR, ADDS, TAKES]).await.unwrap();
    let foreign = refusal(&database, &[FLOOR, MORE, (5, "SELECT 1")]).await;
    assert!(foreign.contains("has migration 2, which"), "{foreign}");
    let altered = refusal(&database, &[FLOOR, (2, "SELECT 2"), TAKES]).await;
    assert!(altered.contains("has been modified"), "{altered}");
}

#[tokio::test]
async fn a_migration_waits_for_who_uses_the_table_without_holding_up_the_others_for_long() {
    let database = testing::bare_database().await;
    migrate(&database, &[FLOOR, ADDS]).await.unwrap();
    // A backup, say: it reads the table until it has ended.
    let url = secrecy::ExposeSecret::expose_secret(&database.database_url).to_owned();
    let mut backup = PgConnection::connect(&url).await.unwrap();
    backup
        .execute("BEGIN; SELECT * FROM swallows")
        .await
        .unwrap();

    let pool = sql(&database).await;
    let waiting = async |pool: &PgPool| -> bool {
        let query = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'swallows'::regclass";
        sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
    };
    let altering = [
        FLOOR,
        ADDS,
        (3, "ALTER TABLE swallows ADD COLUMN name text"),
    ];
    let migrating = migrate(&database, &altering);
    let watching = async {
        testing::eventually("the migration to wait", async || waiting(&pool).await).await;
        // Whoever comes after it waits behind it, and is let through when it gives way.
        sqlx::query("SELECT count(*) FROM swallows")
            .execute(&pool)
            .await
            .unwrap();
        assert!(!waiting(&pool).await);
        backup.execute("COMMIT").await.unwrap();
    };
    let (done, ()) = tokio::join!(migrating, watching);
    done.unwrap();
    sqlx::query("SELECT name FROM swallows")
        .execute(&pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_index_is_built_outside_a_transaction_where_the_file_says_so() {
    let database = testing::bare_database().await;
    let index = "-- no-transaction\nCREATE INDEX CONCURRENTLY swallows_idx ON swallows (id)";
    migrate(&database, &[FLOOR, ADDS, (3, index)])
        .await
        .unwrap();
    let valid: bool = sqlx::query_scalar(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'swallows_idx'::regclass",
    )
    .fetch_one(&sql(&database).await)
    .await
    .unwrap();
    assert!(valid);
}
