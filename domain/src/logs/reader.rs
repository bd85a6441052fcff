//! Reading the long-term log: what is there, in the order of time, and then what arrives, as it arrives.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};

use super::{Conditions, Stored, queries};
use crate::{Result, config::DatabaseConfig, db};

/// The most records read at once.
const PAGE: i64 = 1_000;
/// The most that a writer can have given numbers and not yet made visible, times more writers than anybody has.
const UNDER_WAY: i64 = 64 * super::BATCH as i64;
/// After this time no batch is under way any more that was when it began.
const SETTLED: Duration = super::PATIENCE.saturating_mul(3);

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that meets the conditions.
    Oldest,
    /// So many before the end.
    Newest(u32),
}

/// Reads the records that meet its conditions, in pages, each in a transaction of its own: however many there are, no
/// table is held for long, and none fills the memory.
pub struct Reader {
    options: PgConnectOptions,
    connection: PgConnection,
    conditions: Conditions,
    /// The last record read.
    after: (DateTime<Utc>, i64),
    /// What may still become visible has higher numbers than this.
    floor: i64,
    /// Numbers above it that are not to be shown (again).
    seen: BTreeSet<i64>,
    /// The last numbers at earlier times, from which the floor rises.
    marks: VecDeque<(Instant, i64)>,
}

impl Reader {
    /// Connects and finds the start. Nothing is changed in the database, nor can be. Only to `follow` makes
    /// [`Reader::arrived`] answer.
    ///
    /// # Errors
    /// A sentence, when the database cannot be reached or was not migrated.
    pub async fn open(
        database: &DatabaseConfig,
        conditions: Conditions,
        start: Start,
        follow: bool,
    ) -> anyhow::Result<Self> {
        let options = db::options(database)?
            .disable_statement_logging()
            .application_name("linnet-log-reader")
            .options([
                ("default_transaction_read_only", "on"),
                ("statement_timeout", "60s"),
                // Which index serves depends on what is asked for.
                ("plan_cache_mode", "force_custom_plan"),
            ]);
        let mut connection = PgConnection::connect_with(&options)
            .await
            .context("cannot reach the database")?;
        let found = Self::find(&mut connection, &conditions, start, follow).await;
        let (after, floor, seen) = found.map_err(|error| {
            match super::code_of(&error).as_deref() {
                // undefined_table
                Some("42P01") => {
                    anyhow::anyhow!("the database has no log store yet: run `api migrate`")
                }
                _ => anyhow::Error::new(error).context("cannot read the log store"),
            }
        })?;
        Ok(Self {
            options,
            connection,
            conditions,
            after,
            floor,
            seen,
            marks: VecDeque::new(),
        })
    }

    async fn find(
        connection: &mut PgConnection,
        conditions: &Conditions,
        start: Start,
        follow: bool,
    ) -> sqlx::Result<((DateTime<Utc>, i64), i64, BTreeSet<i64>)> {
        let beginning = (conditions.since, 0);
        let last = queries::last_id(connection).await?.unwrap_or(0);
        let (mut floor, mut seen) = (i64::MAX, Vec::new());
        if follow {
            floor = (last - UNDER_WAY).max(0);
            // Those before the start are there already and have not arrived.
            seen = queries::ids_after(connection, floor).await?;
        }
        let after = match start {
            Start::Oldest => beginning,
            Start::Newest(count) => queries::before_newest(connection, conditions, count.into())
                .await?
                .unwrap_or(beginning),
        };
        Ok((after, floor, seen.into_iter().collect()))
    }

    /// The next records in the order of time; none when there are no more.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn next(&mut self) -> Result<Vec<Stored>> {
        let page = queries::page(&mut self.connection, &self.conditions, self.after, PAGE).await?;
        if let Some(last) = page.last() {
            self.after = (last.time, last.id);
        }
        self.remember(&page);
        Ok(page)
    }

    /// What has arrived since the reader was opened and was not read yet, in the order of time; records of one program may
    /// come some seconds after later ones of another, and none twice. Ask again when it is empty.
    ///
    /// # Errors
    /// When PostgreSQL fails; [`Reader::reconnect`] then, and nothing is missed.
    pub async fn arrived(&mut self) -> Result<Vec<Stored>> {
        self.raise_floor().await?;
        let seen: Vec<i64> = self.seen.iter().copied().collect();
        let connection = &mut self.connection;
        let page = queries::arrived(connection, &self.conditions, self.floor, &seen, PAGE).await?;
        self.remember(&page);
        Ok(page)
    }

    /// Connects again.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn reconnect(&mut self) -> Result<()> {
        self.connection = PgConnection::connect_with(&self.options).await?;
        Ok(())
    }

    /// The times of the oldest and the newest record of all, whatever the conditions; `None` when there is no record.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn reach(&mut self) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>> {
        Ok(queries::reach(&mut self.connection).await?)
    }

    fn remember(&mut self, page: &[Stored]) {
        let floor = self.floor;
        let ids = page.iter().map(|stored| stored.id);
        self.seen.extend(ids.filter(|id| *id > floor));
    }

    /// Numbers are given in their order and become visible in any; but what was under way some time ago has ended.
    async fn raise_floor(&mut self) -> Result<()> {
        let last = queries::last_id(&mut self.connection).await?.unwrap_or(0);
        self.marks.push_back((Instant::now(), last));
        while let Some((at, last)) = self.marks.front().copied()
            && at.elapsed() >= SETTLED
        {
            self.floor = self.floor.max(last);
            self.marks.pop_front();
        }
        self.seen = self.seen.split_off(&(self.floor + 1));
        Ok(())
    }
}
