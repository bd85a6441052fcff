//! The long-term log: what its tests begin with. How it is written is in `writing.rs`, how it is read in `reading.rs`; and
//! what the log says of slow statements.

mod reading;
mod writing;

use std::{
    collections::BTreeSet,
    sync::mpsc::{Sender, channel},
};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use domain::{
    clock::Clock,
    config::DatabaseConfig,
    db,
    logs::{Conditions, Level, Reader, Start, Writer},
    testing::{self, proxy::Proxy},
};
use prometheus::{IntCounter, Registry, proto::Metric};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::statements::Statements;

/// A writer at work, and the records that it is given.
struct Running {
    lines: Sender<String>,
    dropped: IntCounter,
    registry: Registry,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(database: &DatabaseConfig, keep_days: u16) -> Self {
        let (lines, waiting) = channel();
        let dropped = IntCounter::new("log_records_dropped_total", "dropped").unwrap();
        let registry = Registry::new();
        let writer = Writer::new(database, keep_days, dropped.clone(), &registry).unwrap();
        let (stop, told) = oneshot::channel();
        let lines_now = std::iter::from_fn(move || waiting.try_recv().ok());
        Self {
            lines,
            dropped,
            registry,
            stop,
            task: tokio::spawn(writer.run(lines_now, told)),
        }
    }

    fn log(&self, record: &Record) {
        self.lines.send(record.line()).unwrap();
    }

    fn metric(&self, name: &str) -> Metric {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.unwrap().get_metric()[0].clone()
    }

    fn stored(&self) -> f64 {
        let stored = self.metric("log_records_stored_total");
        stored.get_counter().get_value()
    }

    fn lag(&self) -> f64 {
        self.metric("log_store_lag_seconds").get_gauge().get_value()
    }

    async fn stores(&self, count: u32) {
        testing::eventually("the records to be stored", async || {
            self.stored() == f64::from(count)
        })
        .await;
    }

    /// Stops it, after it has written what it was given.
    async fn finish(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}

/// A record to be.
#[derive(Clone)]
struct Record {
    time: DateTime<Utc>,
    level: u8,
    service: &'static str,
    request_id: String,
    route: Option<&'static str>,
    status: Option<u16>,
}

impl Record {
    fn new(time: DateTime<Utc>, request_id: impl Into<String>) -> Self {
        Self {
            time,
            level: 30,
            service: "api",
            request_id: request_id.into(),
            route: None,
            status: None,
        }
    }

    fn line(&self) -> String {
        let mut line = serde_json::json!({
            "v": 0, "name": self.service, "hostname": "h", "pid": 1, "level": self.level, "time": self.time, "target": "t",
            "msg": "words\twith \\ and \u{0}", "request_id": self.request_id,
        });
        if let Some(route) = self.route {
            line["http.route"] = route.into();
        }
        if let Some(status) = self.status {
            line["http.status"] = status.into();
        }
        format!("{line}\n")
    }
}

fn now() -> DateTime<Utc> {
    Clock::System.now()
}

fn everything() -> Conditions {
    Conditions {
        since: DateTime::UNIX_EPOCH,
        until: None,
        level: Level::Trace,
        request_id: None,
        service: None,
        route: None,
        status: None,
    }
}

async fn pool(database: &DatabaseConfig) -> PgPool {
    db::pool(database).unwrap()
}

/// The request ids of what is there, in the order in which they are read.
async fn read(database: &DatabaseConfig, conditions: Conditions, start: Start) -> Vec<String> {
    let mut reader = Reader::open(database, conditions, start, false)
        .await
        .unwrap();
    let mut ids = Vec::new();
    loop {
        let page = reader.next().await.unwrap();
        if page.is_empty() {
            return ids;
        }
        ids.extend(page.iter().map(|stored| request_id(&stored.record)));
    }
}

fn request_id(record: &str) -> String {
    let record: serde_json::Value = serde_json::from_str(record).unwrap();
    record["request_id"].as_str().unwrap().to_owned()
}

/// The days that have a table.
async fn days(database: &DatabaseConfig) -> BTreeSet<NaiveDate> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = 'log_records'::regclass",
    )
    .fetch_all(&pool(database).await)
    .await
    .unwrap();
    let day = |name: &String| {
        let digits = name.strip_prefix("log_records_").unwrap();
        NaiveDate::parse_from_str(digits, "%Y%m%d").unwrap()
    };
    names.iter().map(day).collect()
}

fn ago(days: u64) -> NaiveDate {
    now().date_naive() - Days::new(days)
}

#[tokio::test]
async fn a_slow_statement_is_named_without_its_values() {
    let mut database = testing::database().await;
    let slow = async |database: &DatabaseConfig| {
        let statements = Statements::watch();
        sqlx::query("SELECT pg_sleep(0.05) FROM posts RIGHT JOIN (SELECT $1::text) x ON true")
            .bind("a secret word")
            .fetch_all(&pool(database).await)
            .await
            .unwrap();
        statements.warnings()
    };
    database.log_slow_query_ms = 20;
    let warnings = slow(&database).await;
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    assert!(
        warning.contains("pg_sleep") && warning.contains("$1"),
        "{warning}"
    );
    assert!(
        warning.contains("20ms") && !warning.contains("secret"),
        "{warning}"
    );
    for patient in [60_000, 0] {
        database.log_slow_query_ms = patient;
        assert_eq!(slow(&database).await, [""; 0]);
    }
}
