//! The database's schema: which migrations a database has, which ones this program knows, whether the two go together,
//! and how one is brought to the other. The migrations themselves are in `migrations/`, the rules for them in
//! `docs/operations.md`.

mod queries;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, bail};
use sqlx::{
    Connection as _, PgConnection, PgPool,
    migrate::{Migrate as _, MigrateError, Migrator},
};

use crate::{config::DatabaseConfig, db, error::Result};

/// The migrations, in the program, so that `api migrate` needs no files beside it.
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// How long a migration may wait for a lock. While it waits everybody else waits behind it, and requests give up after
/// five seconds.
const LOCK_PATIENCE: &str = "2s";
/// How often a migration is tried whose lock somebody else holds (a backup, a long report), and how long between.
const TRIES: u32 = 15;
const PAUSE: Duration = Duration::from_secs(4);
/// How often it is looked whether schema and program go together, until they do.
const LOOK: Duration = Duration::from_secs(5);

/// How a database's schema and this program go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is the one that the program was made for.
    Exact,
    /// It has migrations that the program does not know and can live with, as after a rollback.
    Newer,
    /// It lacks migrations that the program needs.
    Older,
    /// A migration has taken away what the program needs.
    TooNew,
}

impl Fit {
    /// Whether the program works with it.
    #[must_use]
    pub fn works(self) -> bool {
        matches!(self, Self::Exact | Self::Newer)
    }

    /// `ok`, `newer`, `older` or `too new`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "ok",
            Self::Newer => "newer",
            Self::Older => "older",
            Self::TooNew => "too new",
        }
    }

    /// `known` of the program's `own` migrations are in the database, whose newest is `newest` and which wants programs
    /// that know at least `floor`.
    fn of(level: &queries::Level, own: &[i64]) -> Self {
        let last = own.last().copied().unwrap_or(0);
        if usize::try_from(level.known) != Ok(own.len()) {
            Self::Older
        } else if level.floor.is_some_and(|floor| floor > last) {
            Self::TooNew
        } else if level.newest.is_some_and(|newest| newest > last) {
            Self::Newer
        } else {
            Self::Exact
        }
    }
}

/// The numbers of the migrations that this program knows, in order.
fn own() -> Vec<i64> {
    let mut own: Vec<i64> = MIGRATIONS.iter().map(|one| one.version).collect();
    own.sort_unstable();
    own
}

/// How the database and this program go together.
///
/// # Errors
/// When the database does not answer.
pub async fn fit(db: &PgPool) -> Result<Fit> {
    let own = own();
    match queries::level(db, &own).await {
        Ok(level) => Ok(Fit::of(&level, &own)),
        Err(error) if is_code(&error, UNDEFINED_TABLE) => Ok(Fit::Older),
        Err(error) => Err(error.into()),
    }
}

/// Says in the log when the database and this program do not go together, or only just; returns when they do.
pub async fn watch(db: PgPool) {
    let mut said = None;
    loop {
        let fit = fit(&db).await.ok();
        if fit != said {
            match fit {
                Some(Fit::Older) => tracing::warn!(
                    "the database lacks migrations that this program needs: not ready before `api migrate` has run"
                ),
                Some(Fit::TooNew) => tracing::error!(
                    "a migration has taken away what this program needs: start a newer one, or restore a backup"
                ),
                Some(Fit::Newer) => tracing::warn!(
                    "the database has migrations that this program does not know and can live with"
                ),
                // That PostgreSQL does not answer is said elsewhere.
                Some(Fit::Exact) | None => {}
            }
            said = fit;
        }
        if fit.is_some_and(Fit::works) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What a migration has found and done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// How many migrations this program knows; the database has all of them.
    pub known: usize,
    /// How many the database has beside them, from a newer program.
    pub newer: usize,
}

/// Runs the migrations that have not run yet, in order.
///
/// # Errors
/// When PostgreSQL cannot be reached, a migration fails or does not get its lock (none is left half done, but for one
/// that runs outside a transaction), or the database is one that this program cannot live with.
pub async fn migrate(config: &DatabaseConfig) -> anyhow::Result<Migrated> {
    migrate_with(&MIGRATIONS, config).await
}

/// The same with other migrations, such as those of another version.
///
/// # Errors
/// The same.
pub async fn migrate_with(known: &Migrator, config: &DatabaseConfig) -> anyhow::Result<Migrated> {
    // Without the pool's time limits: an index on a large table takes its time.
    let mut connection = PgConnection::connect_with(&db::options(config)?)
        .await
        .context("cannot reach the database to migrate it")?;
    let applied = applied(&mut connection).await?;
    let last = known.iter().map(|one| one.version).max().unwrap_or(0);
    let strange = applied.iter().filter(|one| !known.version_exists(**one));
    let (newer, foreign): (Vec<i64>, Vec<i64>) = strange.copied().partition(|one| *one > last);
    if let Some(foreign) = foreign.first() {
        bail!(
            "the database has migration {foreign}, which this program does not know though it knows later ones: it was \
             made by a program of another line"
        );
    }
    if !newer.is_empty() {
        refuse_too_new(config, last).await?;
    }
    let mut migrator = Migrator::with_migrations(known.iter().cloned().collect());
    migrator.set_ignore_missing(true);
    for migration in known.iter() {
        if applied.contains(&migration.version) {
            continue;
        }
        // What is built without closing the table waits for those who read it, and holds nobody up.
        let patience = if migration.no_tx { "0" } else { LOCK_PATIENCE };
        queries::wait_for_locks(&mut connection, patience).await?;
        run_to(&migrator, migration.version, &mut connection).await?;
    }
    migrator
        .run(&mut connection)
        .await
        .context("cannot migrate the database")?;
    connection.close().await?;
    Ok(Migrated {
        known: known.iter().count(),
        newer: newer.len(),
    })
}

async fn applied(connection: &mut PgConnection) -> anyhow::Result<BTreeSet<i64>> {
    match connection.list_applied_migrations("_sqlx_migrations").await {
        Ok(applied) => Ok(applied.iter().map(|one| one.version).collect()),
        // An empty database.
        Err(MigrateError::Execute(error)) if is_code(&error, UNDEFINED_TABLE) => {
            Ok(BTreeSet::new())
        }
        Err(error) => Err(error).context("cannot read which migrations the database has"),
    }
}

async fn refuse_too_new(config: &DatabaseConfig, last: i64) -> anyhow::Result<()> {
    let db = db::pool(config)?;
    let level = queries::level(&db, &[]).await;
    db.close().await;
    let floor = level
        .context("cannot read what the database asks of programs")?
        .floor;
    if let Some(floor) = floor.filter(|floor| *floor > last) {
        bail!(
            "the database wants a program that knows migration {floor}, and this one knows {last}: a migration has taken \
             away what it needs. Start a newer program, or restore a backup"
        );
    }
    Ok(())
}

/// Runs one migration; again, when it did not get its lock.
async fn run_to(
    migrator: &Migrator,
    version: i64,
    connection: &mut PgConnection,
) -> anyhow::Result<()> {
    let mut tries = 0;
    loop {
        let Err(error) = migrator.run_to(version, &mut *connection).await else {
            return Ok(());
        };
        tries += 1;
        if !is_lock_timeout(&error) {
            return Err(error).context("cannot migrate the database");
        }
        if tries == TRIES {
            return Err(error).with_context(|| {
                format!(
                    "migration {version} did not get its lock in {TRIES} tries of {LOCK_PATIENCE}: something (a backup, a \
                     long report) uses a table of it. Nothing was changed; try again when that has ended"
                )
            });
        }
        tracing::info!(version, "a table of the migration is in use: trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

// <https://www.postgresql.org/docs/15/errcodes-appendix.html>
const UNDEFINED_TABLE: &str = "42P01";
const LOCK_NOT_AVAILABLE: &str = "55P03";

fn is_code(error: &sqlx::Error, code: &str) -> bool {
    let fault = error.as_database_error().and_then(|fault| fault.code());
    fault.is_some_and(|found| found == code)
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            is_code(error, LOCK_NOT_AVAILABLE)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fit, queries::Level};

    #[test]
    fn a_schema_fits_is_newer_lacks_something_or_has_lost_something() {
        let own = [1, 2, 4];
        for (known, newest, floor, fit) in [
            (3, Some(4), Some(1), Fit::Exact),
            (3, Some(4), Some(4), Fit::Exact),
            (3, Some(5), Some(4), Fit::Newer),
            (3, Some(6), Some(5), Fit::TooNew),
            (2, Some(2), Some(1), Fit::Older),
            // A hole below what is newer: something is missing, whatever else there is.
            (2, Some(9), Some(1), Fit::Older),
            (0, None, None, Fit::Older),
        ] {
            let level = Level {
                known,
                newest,
                floor,
            };
            assert_eq!(Fit::of(&level, &own), fit, "{known} {newest:?} {floor:?}");
        }
    }
}
