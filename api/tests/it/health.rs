//! The probes, and what callers are told while PostgreSQL is away.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::json;

use crate::app::{NOBODY, TestApp};

#[tokio::test]
async fn a_replica_is_alive_and_ready() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    assert_eq!(
        nobody.get("/livez").await.ok(200),
        json!({"status": "alive"})
    );
    let ready = nobody.get("/readyz").await.ok(200);
    assert_eq!(
        ready,
        json!({"status": "ready", "postgresql": "ok", "schema": "ok", "redis": "ok"})
    );
}

#[tokio::test]
async fn a_replica_is_ready_for_a_newer_schema_but_not_for_one_that_it_cannot_live_with() {
    let app = TestApp::start(1).await;
    let (nobody, sql) = (app.client(0), app.sql().await);
    let ready = async |status: u16, schema: &str| {
        let answer = nobody.get("/readyz").await.ok(status);
        assert_eq!(answer["schema"], schema, "{answer}");
        let word = if status == 200 {
            "ready"
        } else {
            "unavailable"
        };
        assert_eq!(answer["status"], word);
        assert_eq!(answer["postgresql"], "ok");
    };
    let run = async |statement: &'static str| {
        sqlx::query(statement).execute(&sql).await.unwrap();
    };
    ready(200, "ok").await;
    // A newer program has migrated, and only added.
    run(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9001, 'of tomorrow', true, '', 0)",
    )
    .await;
    ready(200, "newer").await;
    // And now one that took something away.
    run("UPDATE schema_floor SET level = 9001").await;
    ready(503, "too new").await;
    run("UPDATE schema_floor SET level = 1").await;
    run("DELETE FROM _sqlx_migrations WHERE version = 16").await;
    ready(503, "older").await;
    run("DROP TABLE _sqlx_migrations").await;
    ready(503, "older").await;
}

#[tokio::test]
async fn without_postgresql_a_replica_lives_is_not_ready_and_says_so_quickly() {
    let url = format!("postgres://linnet:a-secret-of-ours@{NOBODY}/linnet");
    let app = TestApp::with(1, |config| {
        config.database.database_url = SecretString::from(url);
        config.rate_limits.rate_limiter = true;
    })
    .await;
    let mut nobody = app.client(0);
    assert_eq!(
        nobody.get("/livez").await.ok(200),
        json!({"status": "alive"})
    );
    let unready = nobody.get("/readyz").await.ok(503);
    assert_eq!(
        unready,
        json!({"status": "unavailable", "postgresql": "down", "schema": "unknown", "redis": "ok"})
    );

    // A token that we signed, so that its session is looked for.
    let elsewhere = TestApp::start(1).await.member("ada").await;
    nobody.token = elsewhere.token;
    let start = Instant::now();
    let credentials = json!({"username": "ada", "password": "correct horse"});
    let (feed, page, post, login, write, status) = tokio::join!(
        nobody.get("/api/posts"),
        nobody.get("/api/posts?before=5"),
        nobody.get("/api/posts/1"),
        nobody.post("/api/auth/login", credentials),
        nobody.post("/api/posts", json!({"content": "x"})),
        nobody.get("/api/auth/loginstatus"),
    );
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    for answer in [feed, page, post, login, write, status] {
        assert!((1..=10).contains(&answer.number("retry-after")));
        for secret in ["a-secret-of-ours", NOBODY, "sqlx", "pool", "refused"] {
            assert!(!answer.text().contains(secret), "{}", answer.text());
        }
        answer.refused(
            503,
            "the database is not available right now: try again shortly",
        );
    }
    assert_eq!(
        nobody.get("/livez").await.ok(200),
        json!({"status": "alive"})
    );
}

#[tokio::test]
async fn who_keeps_a_connection_is_told_to_leave_before_it_is_closed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut app = TestApp::with(1, |_| {}).await;
    let address = app.client(0).address;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut ask = async || {
        let request = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "hung up on a request");
            answer.extend_from_slice(&bytes[..count]);
        }
        String::from_utf8(answer).unwrap()
    };
    let first = ask().await;
    assert!(!first.contains("connection: close"), "{first}");
    let rest = async {
        // Without an answer that says so, some request would be hung up on.
        while !ask().await.contains("connection: close") {}
    };
    let ((), ()) = tokio::join!(rest, app.stop(0, Duration::from_secs(15)));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_finish() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut app = TestApp::with(2, |config| config.api_shutdown_seconds = 10).await;
    let ada = app.member("ada").await;
    let body = json!({"content": "in the last minute"}).to_string();
    let head = format!(
        "POST /api/posts HTTP/1.1\r\nhost: x\r\ncookie: jwt={}\r\ncontent-type: application/json\r\n\
         connection: close\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        ada.token.as_ref().unwrap(),
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(ada.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // That the replica asks for the body shows that it is at work on the request when the stop comes.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let elsewhere = app.elsewhere(&ada, 1);
    let rest = async {
        domain::testing::eventually("the port to be closed", async || {
            tokio::net::TcpStream::connect(ada.address).await.is_err()
        })
        .await;
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (answer, ()) = tokio::join!(rest, app.stop(0, Duration::from_secs(15)));
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(elsewhere.feed().await.len(), 1);
}
