//! Records found again, and followed as they arrive.

use super::*;

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
        match reader.unwrap().next().await {
            Ok(page) => assert!(page.is_empty(), "{attack}"),
            Err(error) => assert!(attack.contains('\0'), "{attack}: {error}"),
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
