//! The long-term log: written by several writers at once, through faults of PostgreSQL, and read again.

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
async fn records_around_midnight_go_to_two_days_and_are_read_in_the_order_of_time() {
    let database = testing::database().await;
    let midnight = ago(1).and_hms_opt(0, 0, 0).unwrap().and_utc();
    let writer = Running::start(&database, 14);
    let micro = TimeDelta::microseconds(1);
    for (time, id) in [
        (midnight, "first of the day"),
        (midnight - micro, "last of the day before"),
        (midnight + micro, "second"),
        (midnight - TimeDelta::hours(1), "evening"),
    ] {
        writer.log(&Record::new(time, id));
    }
    writer.stores(4).await;
    assert_eq!(
        read(&database, everything(), Start::Oldest).await,
        [
            "evening",
            "last of the day before",
            "first of the day",
            "second"
        ]
    );
    let day: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "SELECT count(*) FROM log_records_{}",
        ago(2).format("%Y%m%d")
    )))
    .fetch_one(&pool(&database).await)
    .await
    .unwrap();
    assert_eq!(day, 2);
    // Tomorrow's table is there before tomorrow is.
    testing::eventually("tomorrow's table", async || {
        let tomorrow = now().date_naive() + Days::new(1);
        days(&database).await.contains(&tomorrow)
    })
    .await;
    assert_eq!(writer.dropped.get(), 0);
    writer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_need_the_same_day_at_once_share_one_table_and_lose_nothing() {
    let database = testing::database().await;
    let time = ago(3).and_hms_opt(12, 0, 0).unwrap().and_utc();
    let writers: Vec<_> = (0..8).map(|_| Running::start(&database, 14)).collect();
    for (number, writer) in writers.iter().enumerate() {
        for n in 0..100 {
            writer.log(&Record::new(time, format!("{number}-{n}")));
        }
    }
    for writer in writers {
        let dropped = writer.dropped.clone();
        writer.finish().await;
        assert_eq!(dropped.get(), 0);
    }
    let ids = read(&database, everything(), Start::Oldest).await;
    assert_eq!(ids.len(), 800);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 800);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_logged_before_and_while_postgresql_is_away_is_stored_when_it_is_back() {
    let database = testing::database().await;
    let (proxy, way) = Proxy::before(&database);
    let writer = Running::start(&way, 14);
    let log = |ids: std::ops::Range<u32>| {
        for n in ids {
            writer.log(&Record::new(now(), n.to_string()));
        }
    };
    log(0..10);
    writer.stores(10).await;

    log(10..20);
    proxy.cut();
    log(20..30);
    testing::eventually("the lag to be seen", async || writer.lag() > 1.5).await;
    proxy.open();
    writer.stores(30).await;

    // And when it says nothing at all.
    proxy.silence();
    log(30..5_000);
    testing::eventually("a try to be given up", async || writer.lag() > 5.0).await;
    proxy.open();
    writer.stores(5_000).await;
    assert_eq!(writer.dropped.get(), 0);
    writer.finish().await;
    let ids = read(&database, everything(), Start::Oldest).await;
    let numbers: BTreeSet<u32> = ids.iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(numbers, (0..5_000).collect());
}

#[tokio::test]
async fn a_stop_without_postgresql_says_what_is_lost_and_does_not_hang() {
    let database = testing::database().await;
    let (proxy, way) = Proxy::before(&database);
    proxy.cut();
    let writer = Running::start(&way, 14);
    for n in 0..2_500 {
        writer.log(&Record::new(now(), n.to_string()));
    }
    let dropped = writer.dropped.clone();
    writer.finish().await;
    assert_eq!(dropped.get(), 2_500);
}

#[tokio::test]
async fn days_that_are_too_old_are_dropped_whole() {
    let database = testing::database().await;
    let sql = pool(&database).await;
    for day in [0, 5, 7, 8, 9, 30] {
        sqlx::query("SELECT log_records_make_day($1)")
            .bind(ago(day))
            .execute(&sql)
            .await
            .unwrap();
    }
    let writers = [Running::start(&database, 7), Running::start(&database, 7)];
    let old = ago(9).and_hms_opt(12, 0, 0).unwrap().and_utc();
    writers[0].log(&Record::new(old, "old"));
    writers[1].log(&Record::new(now(), "new"));
    testing::eventually("the old days to go", async || {
        let days = days(&database).await;
        days.first() == Some(&ago(7)) && days.contains(&ago(5)) && days.contains(&ago(0))
    })
    .await;
    assert_eq!(read(&database, everything(), Start::Oldest).await, ["new"]);
    // A day that has gone from under a writer's feet is made again for a record of it.
    writers[0].log(&Record::new(old, "older than it should be"));
    writers[0].stores(2).await;
    assert_eq!(writers[0].dropped.get(), 0);
    for writer in writers {
        writer.finish().await;
    }
}

/// The database as a role of the test's own sees it, which may do what `grant` says.
async fn as_role(database: &DatabaseConfig, grant: &str) -> DatabaseConfig {
    let mut url = url::Url::parse(database.database_url.expose_secret()).unwrap();
    let role = format!("role_of_{}", url.path().trim_start_matches('/'));
    let sql = pool(database).await;
    for statement in [
        format!("CREATE ROLE {role} LOGIN"),
        format!("GRANT {grant} ON ALL TABLES IN SCHEMA public TO {role}"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&sql)
            .await
            .unwrap();
    }
    url.set_username(&role).unwrap();
    DatabaseConfig {
        database_url: url.to_string().into(),
        ..database.clone()
    }
}

#[tokio::test]
async fn a_role_that_may_make_no_tables_stores_records_and_forgets_days() {
    let database = testing::database().await;
    let app = as_role(&database, "SELECT, INSERT, DELETE").await;
    let sql = pool(&database).await;
    sqlx::query("SELECT log_records_make_day($1)")
        .bind(ago(20))
        .execute(&sql)
        .await
        .unwrap();
    assert!(
        sqlx::query("CREATE TABLE mine ()")
            .execute(&pool(&app).await)
            .await
            .is_err()
    );
    let writer = Running::start(&app, 14);
    writer.log(&Record::new(now(), "r-1"));
    writer.stores(1).await;
    testing::eventually("the old day to go", async || {
        !days(&database).await.contains(&ago(20))
    })
    .await;
    assert_eq!(read(&app, everything(), Start::Oldest).await, ["r-1"]);
    writer.finish().await;
    // It can neither make a table for any day it likes nor drop one that is young.
    for (statement, says) in [
        (
            "SELECT log_records_make_day(current_date - 400)",
            "no log record is of",
        ),
        (
            "SELECT log_records_make_day(current_date + 400)",
            "no log record is of",
        ),
        ("SELECT log_records_forget_day(0)", "a day at least"),
        ("SELECT log_records_forget_day(NULL)", "a day at least"),
    ] {
        let refused = sqlx::query(statement).execute(&pool(&app).await).await;
        assert!(
            refused.unwrap_err().to_string().contains(says),
            "{statement}"
        );
    }
}

#[tokio::test]
async fn a_role_that_may_only_read_has_no_tables_made_or_dropped() {
    let database = testing::database().await;
    let reader = as_role(&database, "SELECT").await;
    for statement in [
        "SELECT log_records_make_day(current_date)",
        "SELECT log_records_forget_day(1)",
    ] {
        let refused = sqlx::query(statement).execute(&pool(&reader).await).await;
        let refused = refused.unwrap_err();
        assert_eq!(
            refused
                .as_database_error()
                .and_then(|error| error.code())
                .as_deref(),
            Some("42501"),
            "{refused}"
        );
    }
    assert!(days(&database).await.is_empty());
}

#[tokio::test]
async fn records_that_postgresql_refuses_are_counted_and_do_not_stop_the_others() {
    let database = testing::database().await;
    let writer = Running::start(&database, 14);
    let record = Record::new(now() - TimeDelta::days(400), "a clock gone wrong");
    writer.log(&record);
    writer.lines.send("no record\n".into()).unwrap();
    testing::eventually("them to be counted", async || writer.dropped.get() == 2).await;
    writer.log(&Record::new(now(), "sound"));
    writer.stores(1).await;
    writer.finish().await;
}

/// Some records a second apart, each of which differs from the first in one respect.
fn different() -> Vec<Record> {
    let start = now() - TimeDelta::minutes(10);
    let mut records: Vec<_> = (0..6)
        .map(|n| Record::new(start + TimeDelta::seconds(n), format!("r-{n}")))
        .collect();
    records[1].level = 40;
    records[2].level = 50;
    records[3].service = "worker";
    records[4].route = Some("/api/posts/{id}");
    records[5].status = Some(503);
    records
}

#[tokio::test]
async fn records_are_found_by_each_condition_and_by_all_of_them() {
    let database = testing::database().await;
    let records = different();
    let writer = Running::start(&database, 14);
    for record in records.iter().rev() {
        writer.log(record);
    }
    writer.finish().await;
    let found = async |change: &dyn Fn(&mut Conditions)| {
        let mut conditions = everything();
        change(&mut conditions);
        read(&database, conditions, Start::Oldest).await
    };
    assert_eq!(
        found(&|_| {}).await,
        ["r-0", "r-1", "r-2", "r-3", "r-4", "r-5"]
    );
    assert_eq!(found(&|c| c.since = records[4].time).await, ["r-4", "r-5"]);
    assert_eq!(
        found(&|c| c.until = Some(records[2].time)).await,
        ["r-0", "r-1"]
    );
    assert_eq!(found(&|c| c.level = Level::Warn).await, ["r-1", "r-2"]);
    assert_eq!(found(&|c| c.level = Level::Error).await, ["r-2"]);
    assert_eq!(found(&|c| c.request_id = Some("r-4".into())).await, ["r-4"]);
    assert_eq!(found(&|c| c.service = Some("worker".into())).await, ["r-3"]);
    let route = |c: &mut Conditions| c.route = Some("/api/posts/{id}".into());
    assert_eq!(found(&route).await, ["r-4"]);
    for status in ["503", "5xx"] {
        assert_eq!(found(&|c| c.status = status.parse().ok()).await, ["r-5"]);
    }
    assert_eq!(found(&|c| c.status = "4xx".parse().ok()).await, [""; 0]);
    let both = |c: &mut Conditions| {
        c.level = Level::Warn;
        c.service = Some("worker".into());
    };
    assert_eq!(found(&both).await, [""; 0]);
    for attack in ["' OR true --", "r-1' OR '1'='1", "%", "\\", "r-\u{0}1"] {
        let mut conditions = everything();
        conditions.request_id = Some(attack.into());
        let reader = Reader::open(&database, conditions, Start::Oldest, false).await;
        // PostgreSQL has no character NUL and says so; everything else is a word that is not there.
        if let Ok(page) = reader.unwrap().next().await {
            assert!(page.is_empty(), "{attack}");
        }
    }
    for (start, ids) in [
        (Start::Newest(1), &["r-2"][..]),
        (Start::Newest(2), &["r-1", "r-2"]),
        (Start::Newest(9), &["r-1", "r-2"]),
    ] {
        let warnings = Conditions {
            level: Level::Warn,
            ..everything()
        };
        assert_eq!(read(&database, warnings, start).await, ids);
    }
}

#[tokio::test]
async fn pages_join_without_gap_or_overlap_even_where_times_are_the_same() {
    let database = testing::database().await;
    let writer = Running::start(&database, 14);
    let time = now() - TimeDelta::minutes(1);
    for n in 0..2_500 {
        // A hundred of each time.
        let time = time + TimeDelta::milliseconds(n / 100);
        writer.log(&Record::new(time, n.to_string()));
    }
    writer.finish().await;
    let ids = read(&database, everything(), Start::Oldest).await;
    let expected: Vec<_> = (0..2_500).map(|n| n.to_string()).collect();
    assert_eq!(ids, expected);
    let newest = read(&database, everything(), Start::Newest(1_234)).await;
    assert_eq!(newest, expected[2_500 - 1_234..]);
}

#[tokio::test]
async fn a_follower_sees_what_arrives_once_however_late_it_is() {
    let database = testing::database().await;
    let writer = Running::start(&database, 14);
    let start = now();
    writer.log(&Record::new(start, "there before"));
    writer.log(&Record::new(start, "the last before"));
    writer.stores(2).await;
    let mut reader = Reader::open(&database, everything(), Start::Newest(1), true)
        .await
        .unwrap();
    let ids = |page: &[domain::logs::Stored]| -> Vec<String> {
        page.iter()
            .map(|stored| request_id(&stored.record))
            .collect()
    };
    assert_eq!(ids(&reader.next().await.unwrap()), ["the last before"]);
    assert!(reader.next().await.unwrap().is_empty());
    assert!(reader.arrived().await.unwrap().is_empty());

    writer.log(&Record::new(now(), "new"));
    writer.stores(3).await;
    // Of a process that could not write for a while.
    writer.log(&Record::new(start - TimeDelta::minutes(5), "late"));
    writer.stores(4).await;
    assert_eq!(ids(&reader.arrived().await.unwrap()), ["late", "new"]);
    assert!(reader.arrived().await.unwrap().is_empty());

    // A batch whose numbers are lower than those seen, as its transaction ended later.
    let sql = pool(&database).await;
    let insert = "INSERT INTO log_records (time, level, service, record) VALUES (now(), 30, 'api', json_build_object('request_id', $1::text))";
    let mut slow = sql.begin().await.unwrap();
    sqlx::query(insert)
        .bind("slow")
        .execute(&mut *slow)
        .await
        .unwrap();
    sqlx::query(insert)
        .bind("quick")
        .execute(&sql)
        .await
        .unwrap();
    assert_eq!(ids(&reader.arrived().await.unwrap()), ["quick"]);
    slow.commit().await.unwrap();
    assert_eq!(ids(&reader.arrived().await.unwrap()), ["slow"]);
    reader.reconnect().await.unwrap();
    assert!(reader.arrived().await.unwrap().is_empty());
    writer.finish().await;
}

#[tokio::test]
async fn a_database_without_the_table_is_named_as_such() {
    let database = testing::database().await;
    sqlx::query("DROP TABLE log_records")
        .execute(&pool(&database).await)
        .await
        .unwrap();
    let refused = Reader::open(&database, everything(), Start::Oldest, false).await;
    let refused = format!("{:#}", refused.err().unwrap());
    assert!(refused.contains("api migrate"), "{refused}");
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
