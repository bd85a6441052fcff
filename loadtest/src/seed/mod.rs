//! `loadtest seed`: people, follows and posts by the million, straight into Linnet's tables.
//!
//! It brings a database up to so many people and posts and counts what is there, so it can be ended at any moment and
//! called again, or called with more. Everything is written in steps, each a transaction of its own: posts with their
//! verdicts, topics, tags, likes and counts, people with whom they follow and their counts. The triggers that
//! would write what belongs to a row are off meanwhile (they cost more than the rows), so this module writes it
//! itself: a new table that hangs on posts or people needs a line here. Not written are fan-outs and
//! notifications: home timelines are made of such posts when they are first read, and nobody is told of them.
//!
//! The statements are not checked at compile time as the product's are. This harness is no part of it: it runs as
//! PostgreSQL's superuser, names tables of a schema of its own, and has tests that run it against the real migrations.
//!
//! # Layout
//!
//! - [`words`] what a post says, and who is how busy
//! - `people`, `posts` what is written in one step
//! - [`indexes`] the secondary indexes, dropped for large steps and made again as they were

pub mod indexes;
mod people;
mod posts;
pub mod words;

use std::str::FromStr as _;

use anyhow::{Context as _, bail};
use clap::Args;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions,
};

use crate::progress::Progress;

/// How many posts must be missing before the indexes are dropped for them: below that, making them again for what is
/// already there takes longer than keeping them.
const LARGE: i64 = 200_000;
/// Posts of one transaction.
const STEP: i64 = 25_000;
/// People of one transaction.
const PEOPLE_STEP: i64 = 5_000;
/// The password of every account that is made, unless another is asked for.
pub const PASSWORD: &str = "a password for measuring";

/// What `loadtest seed` is told.
#[derive(Clone, Debug, Args)]
pub struct SeedArgs {
    /// The database, as its superuser: postgres://user:password@host:port/database. Without it, that of the stack in
    /// --data.
    #[arg(long, env, hide_env_values = true)]
    pub database_url: Option<String>,
    /// The data folder of a running stack, whose database is meant when --database-url is not given.
    #[arg(long, env = "LINNET_DATA", default_value = ".linnet")]
    pub data: std::path::PathBuf,
    /// So many seeded accounts there shall be: seed1, seed2, …
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(i64).range(1..=10_000_000))]
    pub people: i64,
    /// So many posts there shall be, those included that are there already.
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..=1_000_000_000))]
    pub posts: i64,
    /// How many others a person follows, beside the three whom most people follow.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub follows: u32,
    /// Accounts with more followers are large, as the worker's TIMELINE_FANOUT_MAX_FOLLOWERS has it.
    #[arg(long, default_value_t = 10_000)]
    pub large_above: i32,
    /// The password of all accounts that are made.
    #[arg(long, default_value = PASSWORD)]
    pub password: String,
    /// For a database on another machine, or one that is not yours to fill: it is.
    #[arg(long)]
    pub i_own_this_host: bool,
    /// Say nothing but errors.
    #[arg(long)]
    pub quiet: bool,
}

impl SeedArgs {
    /// The arguments that mean "so many posts in this database", everything else as by default.
    #[must_use]
    pub fn new(database_url: String, people: i64, posts: i64) -> Self {
        Self {
            database_url: Some(database_url),
            data: ".linnet".into(),
            people,
            posts,
            follows: 10,
            large_above: 10_000,
            password: PASSWORD.to_owned(),
            i_own_this_host: false,
            quiet: false,
        }
    }
}

/// Brings the database up to what is asked for.
///
/// # Errors
/// When the database is not on this machine and nobody said that it may be filled, when it cannot be reached, or when it
/// is not Linnet's.
pub async fn run(args: &SeedArgs) -> anyhow::Result<()> {
    let url = match &args.database_url {
        Some(url) => url.clone(),
        None => crate::stack::database_url(&args.data).with_context(|| {
            format!(
                "there is no --database-url, and no stack's data in {}",
                args.data.display()
            )
        })?,
    };
    let options = options(&url, args.i_own_this_host)?;
    let mut db = PgConnection::connect_with(&options)
        .await
        .context("PostgreSQL does not take the connection: is it running, and are address and password right?")?;
    prepare(&mut db).await?;
    let mut progress = Progress::new(args.quiet);

    people::fill(&mut db, args, &mut progress).await?;
    people::mark_large(&mut db, args.large_above).await?;
    posts::fill(&mut db, args.posts, &mut progress).await?;
    indexes::restore(&mut db, &mut progress).await?;

    progress.say("gathering the planner's statistics");
    for table in ["users", "user_counts", "follows"]
        .iter()
        .chain(&indexes::TABLES)
    {
        // With VACUUM, or autovacuum would do it while somebody measures.
        db.execute(AssertSqlSafe(format!("VACUUM (ANALYZE) {table}")))
            .await?;
    }
    db.close().await?;
    Ok(())
}

/// Refuses what is not on this machine, unless told.
fn options(url: &str, own_this_host: bool) -> anyhow::Result<PgConnectOptions> {
    const WRONG: &str = "the database's address is not one of PostgreSQL: postgres://user:password@host:port/database";
    let parsed = url::Url::parse(url).context(WRONG)?;
    if !matches!(parsed.scheme(), "postgres" | "postgresql") {
        bail!(WRONG);
    }
    let options = PgConnectOptions::from_str(url).context(WRONG)?;
    let host = options.get_host();
    let is_here = options.get_socket().is_some()
        || host == "localhost"
        || host.starts_with('/')
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if !is_here && !own_this_host {
        bail!(
            "{host} is not this machine. Seeding writes millions of rows and turns triggers off. If the database is yours \
             to fill, say --i-own-this-host"
        );
    }
    Ok(options)
}

/// Settings of the session, and a look whether this is Linnet's database as this program knows it.
async fn prepare(db: &mut PgConnection) -> anyhow::Result<()> {
    db.execute("SET session_replication_role = replica")
        .await
        .context(
            "seeding needs a superuser of PostgreSQL, because triggers are off while rows are copied. Of a stack made by \
             `make up` it has the password: leave --database-url out",
        )?;
    let memory = maintenance_megabytes();
    // What a crash may lose is the last second, and the next run counts what is there.
    db.execute(AssertSqlSafe(format!(
        "SET synchronous_commit = off; SET maintenance_work_mem = '{memory}MB'; SET jit = off; SET lock_timeout = '30s'"
    )))
    .await?;
    let known: bool = sqlx::query_scalar(
        "SELECT to_regclass('public.post_topics') IS NOT NULL AND to_regclass('public.fanouts') IS NOT NULL",
    )
    .fetch_one(&mut *db)
    .await?;
    if !known {
        bail!(
            "this database has not Linnet's tables, or not all of them: run the migrations first (`make up`, or `api migrate`)"
        );
    }
    Ok(())
}

/// For building indexes: an eighth of the machine's memory, from 64 MB to 1 GB.
fn maintenance_megabytes() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .unwrap_or(0);
    (total / 1024 / 8).clamp(64, 1024)
}

/// The next number of a table's identity column, with the table closed to other writers until the transaction ends: so
/// that the numbers which follow are free.
async fn next_id(db: &mut PgConnection, table: &'static str) -> sqlx::Result<i64> {
    db.execute(AssertSqlSafe(format!(
        "LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"
    )))
    .await?;
    sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM {table}_id_seq"
    )))
    .fetch_one(db)
    .await
}

/// Tells the identity column that the numbers up to `last` are used.
async fn used(db: &mut PgConnection, table: &'static str, last: i64) -> sqlx::Result<()> {
    sqlx::query(AssertSqlSafe(format!(
        "SELECT setval('{table}_id_seq', $1)"
    )))
    .bind(last)
    .execute(db)
    .await?;
    Ok(())
}

/// Copies lines (PostgreSQL's text format) into a table; `columns` with the parentheses.
async fn copy(db: &mut PgConnection, into: &str, lines: String) -> anyhow::Result<u64> {
    if lines.is_empty() {
        return Ok(0);
    }
    let mut copy = db.copy_in_raw(&format!("COPY {into} FROM STDIN")).await?;
    copy.send(lines.into_bytes()).await?;
    copy.finish().await.with_context(|| {
        format!("PostgreSQL refuses rows for {into}; does this harness know the newest migration?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_filled_unless_told() {
        for here in [
            "postgres://postgres@127.0.0.1:5432/linnet",
            "postgres://postgres@localhost/linnet",
            "postgres://postgres@[::1]:5432/linnet",
        ] {
            assert!(options(here, false).is_ok(), "{here}");
        }
        let away = "postgres://postgres@db.example.org/linnet";
        let error = options(away, false).unwrap_err().to_string();
        assert!(
            error.contains("db.example.org") && error.contains("--i-own-this-host"),
            "{error}"
        );
        assert!(options(away, true).is_ok());
        // A second host in the query would be the one that is really meant.
        assert!(
            options(
                "postgres://postgres@127.0.0.1/linnet?host=db.example.org",
                false
            )
            .is_err()
        );
        assert!(options("https://127.0.0.1/", false).is_err());
    }
}
