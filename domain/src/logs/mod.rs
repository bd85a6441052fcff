//! The long-term log: log records written to PostgreSQL (here) and read again (`reader.rs`). Which records those are, and how
//! they get here without anybody waiting, is not known here: they come as bunyan lines.

mod model;
mod queries;
mod reader;

pub use model::{Conditions, Level, Moment, Statuses, Stored};
pub use reader::{Reader, Start};

use std::{
    collections::BTreeSet,
    fmt::Display,
    future::Future,
    time::{Duration, Instant},
};

use chrono::{DateTime, Days, NaiveDate, Utc};
use model::Row;
use prometheus::{Gauge, IntCounter, Registry};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::{MissedTickBehavior, timeout};

use crate::{clock::Clock, config::DatabaseConfig, db};

/// How often the writer looks for records.
const LOOK: Duration = Duration::from_millis(200);
/// The longest that a record waits for others to be written with.
const GATHER: Duration = Duration::from_secs(1);
/// So many records are written without waiting for more, and never more at once.
const BATCH: usize = 2_000;
/// The most batches between two looks at the rest of the world.
const IN_A_ROW: usize = 10;
/// How long PostgreSQL may take for a connection and a batch, or for a day's table. One that has vanished without a word is
/// given up then.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first wait after a failure; doubled by each that follows.
const FIRST_REST: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// Between two looks after the days' tables.
const KEEP_HOUSE: Duration = Duration::from_secs(600);
/// Between two words about records that were dropped.
const SAY: Duration = Duration::from_secs(60);

struct Metrics {
    stored: IntCounter,
    dropped: IntCounter,
    lag: Gauge,
}

impl Metrics {
    fn new(dropped: IntCounter, registry: &Registry) -> anyhow::Result<Self> {
        let stored = IntCounter::new(
            "log_records_stored_total",
            "Log records that this process has stored",
        )?;
        let lag = Gauge::new(
            "log_store_lag_seconds",
            "Age of the oldest log record that this process has yet to store",
        )?;
        registry.register(Box::new(stored.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        registry.register(Box::new(lag.clone()))?;
        Ok(Self {
            stored,
            dropped,
            lag,
        })
    }
}

/// Writes log records in batches over one connection of its own. While PostgreSQL is away it holds one batch and tries
/// again; what comes meanwhile is the buffer's to hold or drop.
pub struct Writer {
    options: PgConnectOptions,
    keep_days: i32,
    clock: Clock,
    metrics: Metrics,
    batch: Batch,
    link: Option<Link>,
    kept_house: Option<Instant>,
    /// When to try again, and how long to wait after the next failure.
    rest: (Instant, Duration),
    /// Since when records cannot be stored, and why.
    away: Option<(Instant, String)>,
    /// Why records were refused since that was last said, how many were dropped by then, and when that was.
    refusal: Option<String>,
    said: (u64, Option<Instant>),
}

impl Writer {
    /// A writer that has not connected yet. `dropped` counts what the buffer before it has no room for; it is registered
    /// here, beside `log_records_stored_total` and `log_store_lag_seconds`. Days that ended more than `keep_days` days
    /// ago are dropped.
    ///
    /// # Errors
    /// When `DATABASE_URL` is not an address of PostgreSQL or the registry holds one of the metrics.
    pub fn new(
        database: &DatabaseConfig,
        keep_days: u16,
        dropped: IntCounter,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let options = db::options(database)?
            // The log of writing the log would have no end, and a second of it says nothing.
            .disable_statement_logging()
            .application_name("linnet-log-store")
            .options([
                ("client_min_messages", "error"),
                ("statement_timeout", "5s"),
                ("lock_timeout", "3s"),
            ]);
        Ok(Self {
            options,
            keep_days: keep_days.into(),
            clock: Clock::System,
            metrics: Metrics::new(dropped, registry)?,
            batch: Batch::default(),
            link: None,
            kept_house: None,
            rest: (Instant::now(), FIRST_REST),
            away: None,
            refusal: None,
            said: (0, None),
        })
    }

    /// Writes until `stop`, and then what there still is. `lines` gives what waits now, as bunyan lines, and `None` when
    /// that is all for the moment. No failure ends it.
    pub async fn run(mut self, mut lines: impl Iterator<Item = String>, stop: impl Future) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                _ = &mut stop => break,
            }
            self.batch.fill(&mut lines, &self.metrics.dropped);
            for _ in 0..IN_A_ROW {
                if !self.is_due() || !self.write().await {
                    break;
                }
                self.batch.fill(&mut lines, &self.metrics.dropped);
            }
            self.keep_house().await;
            self.metrics.lag.set(self.lag());
            self.say_losses(false);
        }
        loop {
            self.batch.fill(&mut lines, &self.metrics.dropped);
            if self.batch.rows == 0 || !self.write().await {
                break;
            }
        }
        let left = self.batch.rows + lines.count();
        self.metrics
            .dropped
            .inc_by(u64::try_from(left).unwrap_or(u64::MAX));
        self.say_losses(true);
    }

    fn is_due(&self) -> bool {
        let waited = self.batch.began.map(|began| began.elapsed());
        let is_time = self.batch.rows >= BATCH || waited.is_some_and(|waited| waited >= GATHER);
        is_time && Instant::now() >= self.rest.0
    }

    /// Seconds; two looks of one record may find another time in between, which is no lag.
    fn lag(&self) -> f64 {
        let oldest = self.batch.oldest;
        oldest.map_or(0.0, |oldest| {
            (self.clock.now() - oldest).as_seconds_f64().max(0.0)
        })
    }

    /// Writes the batch; answers whether to go on.
    async fn write(&mut self) -> bool {
        let rows = u64::try_from(self.batch.rows).unwrap_or(u64::MAX);
        match timeout(PATIENCE, self.store()).await {
            Ok(Ok(stored)) => self.metrics.stored.inc_by(stored),
            // Trying again would not help, and the records that follow are sound.
            Ok(Err(error)) if is_refusal(&error) => {
                self.metrics.dropped.inc_by(rows);
                self.refusal = Some(error.to_string());
            }
            Ok(Err(error)) => return self.failed(&error),
            Err(_) => return self.failed(&"no answer in time"),
        }
        self.batch = Batch::default();
        self.rest.1 = FIRST_REST;
        if let Some((since, _)) = self.away.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(outage.seconds = seconds, "log records are stored again");
        }
        true
    }

    async fn store(&mut self) -> sqlx::Result<u64> {
        let link = match &mut self.link {
            Some(link) => link,
            none => none.insert(Link::open(&self.options).await?),
        };
        link.make(&self.batch.days).await?;
        match queries::copy(&mut link.connection, &self.batch.text).await {
            // Another writer, told to keep less, has dropped a day that had been there.
            Err(error) if code_of(&error).as_deref() == Some(NO_PARTITION) => {
                link.days.clear();
                link.make(&self.batch.days).await?;
                queries::copy(&mut link.connection, &self.batch.text).await
            }
            outcome => outcome,
        }
    }

    fn failed(&mut self, error: &dyn Display) -> bool {
        // What it was told last is not known any more.
        self.link = None;
        let rest = self.rest.1.mul_f64(rand::random_range(0.75..1.25));
        self.rest = (Instant::now() + rest, (self.rest.1 * 2).min(LONGEST_REST));
        if self.away.is_none() {
            self.away = Some((Instant::now(), error.to_string()));
            tracing::warn!(%error, "log records cannot be stored; trying again until they can");
        }
        false
    }

    /// Makes tomorrow's table before it is needed and drops those that are too old. Records are stored whether this
    /// works or not.
    async fn keep_house(&mut self) {
        let is_recent = |at: Instant| at.elapsed() < KEEP_HOUSE;
        if self.link.is_none() || self.kept_house.is_some_and(is_recent) {
            return;
        }
        self.kept_house = Some(Instant::now());
        loop {
            match timeout(PATIENCE, self.forget()).await {
                Ok(Ok(Some(day))) => tracing::info!(%day, "a day's log records are dropped"),
                Ok(Ok(None)) => return,
                Ok(Err(error)) => {
                    return tracing::warn!(%error, "the log store's tables are not in order");
                }
                Err(_) => {
                    self.link = None;
                    return tracing::warn!("the log store's tables are not in order: no answer");
                }
            }
        }
    }

    async fn forget(&mut self) -> sqlx::Result<Option<NaiveDate>> {
        let today = self.clock.now().date_naive();
        let days = [Some(today), today.checked_add_days(Days::new(1))];
        let Some(link) = &mut self.link else {
            return Ok(None);
        };
        link.make(&days.into_iter().flatten().collect()).await?;
        queries::forget_day(&mut link.connection, self.keep_days).await
    }

    /// Says how many records have been dropped since that was last said, once a minute or at the `end`.
    fn say_losses(&mut self, end: bool) {
        let (known, at) = self.said;
        let lost = self.metrics.dropped.get().saturating_sub(known);
        if lost == 0 || !end && at.is_some_and(|at| at.elapsed() < SAY) {
            return;
        }
        let why = self.refusal.take();
        let away = self.away.as_ref().map(|(_, why)| why.clone());
        let why = why
            .or(away)
            .unwrap_or_else(|| "the store does not keep up".into());
        tracing::warn!(
            records = lost,
            why,
            "log records are not stored but dropped"
        );
        self.said = (known + lost, Some(Instant::now()));
    }
}

/// PostgreSQL's words for a row of a day that has no table (`check_violation`).
const NO_PARTITION: &str = "23514";

fn code_of(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// Whether PostgreSQL does not take these very rows, whenever they come: classes 22 (data), 23 (constraints) and 54
/// (limits, such as that of an index' entry). Everything else passes: it comes back, or somebody runs the migrations.
fn is_refusal(error: &sqlx::Error) -> bool {
    let classes = ["22", "23", "54"];
    code_of(error).is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}

/// A connection, and what is known of the database behind it.
struct Link {
    connection: PgConnection,
    /// The days that have tables.
    days: BTreeSet<NaiveDate>,
}

impl Link {
    async fn open(options: &PgConnectOptions) -> sqlx::Result<Self> {
        Ok(Self {
            connection: PgConnection::connect_with(options).await?,
            days: BTreeSet::new(),
        })
    }

    async fn make(&mut self, days: &BTreeSet<NaiveDate>) -> sqlx::Result<()> {
        for day in days {
            if !self.days.contains(day) {
                queries::make_day(&mut self.connection, *day).await?;
                self.days.insert(*day);
            }
        }
        Ok(())
    }
}

/// What is written together.
#[derive(Default)]
struct Batch {
    /// Rows as COPY reads them.
    text: String,
    rows: usize,
    days: BTreeSet<NaiveDate>,
    /// The first record's time, and when it came here.
    oldest: Option<DateTime<Utc>>,
    began: Option<Instant>,
}

impl Batch {
    fn fill(&mut self, lines: &mut impl Iterator<Item = String>, dropped: &IntCounter) {
        while self.rows < BATCH {
            let Some(line) = lines.next() else { return };
            let Some(row) = Row::read(&line) else {
                dropped.inc();
                continue;
            };
            row.write(&mut self.text);
            self.rows += 1;
            self.days.insert(row.time.date_naive());
            self.oldest.get_or_insert(row.time);
            self.began.get_or_insert_with(Instant::now);
        }
    }
}
