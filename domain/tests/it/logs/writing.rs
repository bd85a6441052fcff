//! Records written by several writers at once and through faults of PostgreSQL, and days that come and go.

use super::*;

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
async fn losses_are_said_once_a_minute_and_at_the_end() {
    let said = Statements::watch();
    let database = testing::database().await;
    let writer = Running::start(&database, 14);
    let losses = || -> Vec<String> {
        let warnings = said.warnings();
        warnings
            .into_iter()
            .filter(|words| words.contains("not stored but dropped"))
            .collect()
    };
    writer.dropped.inc_by(5);
    let mut first = Vec::new();
    testing::eventually("the loss to be said", async || {
        first = losses();
        !first.is_empty()
    })
    .await;
    assert!(
        first.len() == 1 && first[0].contains('5'),
        "how many: {first:?}"
    );

    // It looks five times a second; what is not said can only be waited for.
    writer.dropped.inc_by(2);
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!(losses(), [""; 0]);
    writer.finish().await;
    let last = losses();
    assert!(
        last.len() == 1 && last[0].contains('2'),
        "how many more: {last:?}"
    );
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
