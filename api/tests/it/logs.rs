//! What the program `api` logs and stores of it, and `api logs`, which reads it again.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use domain::{
    config::{DatabaseConfig, RedisConfig},
    db,
    testing::{self, proxy::Proxy},
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    app::{JWT_SECRET, PASSWORD},
    client::{Answer, Client, Request, http},
    program::program,
};

/// How long a program may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A replica that is a process of its own, and all that it writes to its standard output.
struct Served {
    child: Child,
    address: SocketAddr,
    log: Option<JoinHandle<Vec<String>>>,
}

impl Served {
    fn start(database: &DatabaseConfig, redis: &RedisConfig, settings: &[(&str, &str)]) -> Self {
        let mut command = program(&["serve", "--api-port", "0"]);
        command
            .env("DATABASE_URL", database.database_url.expose_secret())
            .env("REDIS_PORT", redis.redis_port.to_string())
            .env("REDIS_PREFIX", &redis.redis_prefix)
            .env("JWT_SECRET", JWT_SECRET)
            .env("RATE_LIMITER", "false")
            .env("API_WORKERS", "2")
            .env("LOG_STORE", "postgres")
            .env("LOG_STORE_SAMPLE", "1")
            .envs(settings.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = channel();
        let log = thread::spawn(move || {
            let mut lines = Vec::new();
            for line in out.lines() {
                let line = line.unwrap();
                if let Some(address) = address_in(&line) {
                    // Nobody asks for a second one.
                    let _told = tell.send(address);
                }
                lines.push(line);
            }
            lines
        });
        Self {
            child,
            address: told.recv_timeout(PATIENCE).expect("a replica that listens"),
            log: Some(log),
        }
    }

    fn client(&self) -> Client {
        Client::new(http(), self.address)
    }

    /// Stops it as an operator does; answers all its lines.
    fn stop(mut self) -> Vec<String> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.unwrap().success());
        let log = self.log.take().unwrap().join().unwrap();
        assert!(self.child.wait().unwrap().success());
        log
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // SIGKILL; it may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Where the replica listens, from the line that says so, in either format.
fn address_in(line: &str) -> Option<SocketAddr> {
    line.contains("the API is listening").then_some(())?;
    let from = line.find("127.0.0.1:")?;
    let rest = &line[from..];
    let is_part = |part: char| part.is_ascii_digit() || matches!(part, '.' | ':');
    rest[..rest.find(|part| !is_part(part)).unwrap_or(rest.len())]
        .parse()
        .ok()
}

async fn pool(database: &DatabaseConfig) -> PgPool {
    db::pool(database).unwrap()
}

async fn stored(database: &DatabaseConfig) -> Vec<String> {
    sqlx::query_scalar("SELECT record::text FROM log_records ORDER BY id")
        .fetch_all(&pool(database).await)
        .await
        .unwrap()
}

fn named(request: Request, id: &str) -> Request {
    request.header("x-request-id", id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_has_a_line_that_is_stored_and_says_nothing_private() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let served = Served::start(&database, &redis, &[("LOG_LEVEL", "info,sqlx=debug")]);
    let mut ada = served.client();
    let call = async |client: &Client, id: &str, method: &str, path: &str, body: Value| -> Answer {
        let request = named(client.request(method, path), id);
        if body.is_null() {
            request.send().await
        } else {
            request.json(&body).send().await
        }
    };
    let credentials = json!({"username": "ada", "password": PASSWORD});
    let signed_up = call(&ada, "t-1", "POST", "/api/user/signup", credentials.clone()).await;
    let user = signed_up.ok(201)["User created"][0]["id"].clone();
    let wrong = json!({"username": "ada", "password": "not the battery"});
    let refused = call(&ada, "t-2", "POST", "/api/auth/login", wrong)
        .await
        .status;
    let login = call(&ada, "t-3", "POST", "/api/auth/login", credentials).await;
    ada.token = Some(login.token());
    let text = json!({"content": "Nobody but readers sees these words"});
    call(&ada, "t-4", "POST", "/api/posts", text).await.ok(201);
    call(&ada, "t-5", "GET", "/api/posts/1", Value::Null)
        .await
        .ok(200);
    call(&ada, "t-6", "GET", "/api/posts/999", Value::Null).await;
    call(&ada, "t-7", "GET", "/api/search?q=sought", Value::Null).await;
    call(
        &served.client(),
        "t-8",
        "GET",
        "/no/such/secret-place",
        Value::Null,
    )
    .await;
    let log = served.stop();

    let lines: Vec<Value> = log
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (id, method, route, status, by) in [
        ("t-1", "POST", "/api/user/signup", 201, &Value::Null),
        ("t-2", "POST", "/api/auth/login", refused, &Value::Null),
        ("t-3", "POST", "/api/auth/login", 200, &Value::Null),
        ("t-4", "POST", "/api/posts", 201, &user),
        ("t-5", "GET", "/api/posts/{id}", 200, &user),
        ("t-6", "GET", "/api/posts/{id}", 404, &user),
        ("t-8", "GET", "UNKNOWN", 404, &Value::Null),
    ] {
        let ends: Vec<_> = lines
            .iter()
            .filter(|line| line["request_id"] == id && line["msg"] == "[REQUEST - END]")
            .collect();
        let [end] = ends[..] else {
            panic!("{id}: {ends:?}");
        };
        assert_eq!(end["http.method"], method, "{end}");
        assert_eq!(end["http.route"], route, "{end}");
        assert_eq!(end["http.status"], status, "{end}");
        assert_eq!(&end["user.id"], by, "{end}");
        assert_eq!(end["level"], 30, "{end}");
        assert!(end["elapsed_milliseconds"].as_f64().unwrap() > 0.0, "{end}");
    }
    assert!(
        log.iter().any(|line| line.contains("INSERT INTO")),
        "statements are logged here"
    );

    // Whatever was logged, to the last word, is in the store, and nothing else.
    let mut expected = log.clone();
    let mut found = stored(&database).await;
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(log.last().unwrap().contains("stopped"));
    let columns: (i16, String, String, String, i16) = sqlx::query_as(
        "SELECT level, service, request_id, route, status FROM log_records WHERE request_id = 't-6' AND status IS NOT NULL",
    )
    .fetch_one(&pool(&database).await)
    .await
    .unwrap();
    assert_eq!(
        columns,
        (
            30,
            "api".into(),
            "t-6".into(),
            "/api/posts/{id}".into(),
            404
        )
    );

    let token = ada.token.as_deref().unwrap();
    for private in [
        PASSWORD,
        "not the battery",
        JWT_SECRET,
        token,
        "Nobody but",
        "sought",
        "secret-place",
    ] {
        let telling = log.iter().find(|line| line.contains(private));
        assert_eq!(telling, None, "{private}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_while_the_store_says_nothing_and_stored_afterwards() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let (proxy, way) = Proxy::before(&database);
    let served = Served::start(&way, &redis, &[("LOG_FORMAT", "pretty")]);
    let nobody = served.client();
    let ask = async |numbers: std::ops::Range<u32>| {
        for n in numbers {
            let request = nobody.request("GET", "/api/posts/not-a-number");
            let answer = named(request, &format!("n-{n}")).send().await;
            assert_eq!(answer.status, 404);
        }
    };
    let ids = async || -> Vec<String> {
        sqlx::query_scalar(
            "SELECT DISTINCT request_id FROM log_records WHERE request_id LIKE 'n-%'",
        )
        .fetch_all(&pool(&database).await)
        .await
        .unwrap()
    };
    ask(0..20).await;
    testing::eventually("the records", async || ids().await.len() == 20).await;
    proxy.silence();
    ask(20..500).await;
    assert_eq!(ids().await.len(), 20, "nothing gets through");
    proxy.open();
    testing::eventually("the records", async || ids().await.len() == 500).await;
    assert_eq!(nobody.metric("log_records_dropped_total").await, 0.0);
    assert!(nobody.metric("log_records_stored_total").await >= 500.0);
    let log = served.stop();
    // The format is that of the lines that people read, not of the records.
    let shown = log
        .iter()
        .find(|line| line.contains("the API is listening"))
        .unwrap();
    assert!(shown.contains("INFO") && !shown.starts_with('{'), "{shown}");
    assert!(
        stored(&database)
            .await
            .iter()
            .all(|record| record.starts_with(r#"{"v":0,"name":"api","#))
    );
}

#[tokio::test]
async fn nothing_is_stored_unless_it_is_asked_for() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let served = Served::start(&database, &redis, &[("LOG_STORE", "off")]);
    served.client().get("/api/posts").await.ok(200);
    let metrics = served.client().get("/metrics").await.text();
    assert!(
        !metrics.contains("log_records"),
        "no metrics of what is not there"
    );
    assert!(served.stop().len() >= 3);
    assert_eq!(stored(&database).await, [""; 0]);
}

/// Puts a record into the store. `ago` is an interval; `more` further fields, the columns' among them.
async fn store(database: &DatabaseConfig, ago: &str, level: i16, more: Value) {
    let sql = pool(database).await;
    sqlx::query("SELECT log_records_make_day((now() - $1::interval)::date)")
        .bind(ago)
        .execute(&sql)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO log_records (time, level, service, request_id, route, status, record)
         SELECT time, $2, coalesce($3->>'name', 'api'), $3->>'request_id', $3->>'http.route', ($3->>'http.status')::smallint,
                (jsonb_build_object('v', 0, 'name', 'api', 'time', time, 'level', $2) || $3)::json
         FROM (SELECT now() - $1::interval AS time) r",
    )
    .bind(ago)
    .bind(level)
    .bind(more)
    .execute(&sql)
    .await
    .unwrap();
}

/// Runs `api logs`; answers what it writes to standard output and to standard error.
fn logs(database: &DatabaseConfig, arguments: &[&str]) -> (String, String) {
    let output = logs_command(database, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, error) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{arguments:?}: {error}");
    (out, error)
}

fn logs_command(database: &DatabaseConfig, arguments: &[&str]) -> Command {
    let mut command = program(&["logs"]);
    command
        .args(arguments)
        .env("DATABASE_URL", database.database_url.expose_secret());
    command
}

#[tokio::test]
async fn the_log_is_read_back_by_every_condition_in_either_format() {
    let database = testing::database().await;
    for (ago, level, more) in [
        (
            "2 days",
            50,
            json!({"msg": "two days ago", "request_id": "r-1"}),
        ),
        (
            "50 minutes",
            30,
            json!({"msg": "fine", "request_id": "r-1", "http.route": "/api/posts", "http.status": 200}),
        ),
        ("40 minutes", 40, json!({"msg": "odd", "request_id": "r-2"})),
        (
            "30 minutes",
            30,
            json!({"msg": "failed", "http.status": 503}),
        ),
        (
            "20 minutes",
            50,
            json!({"msg": "wrong", "name": "worker", "why": "two words\u{1b}[2J"}),
        ),
    ] {
        store(&database, ago, level, more).await;
    }
    let words = |arguments: &[&str]| -> Vec<String> {
        let (out, error) = logs(&database, &[arguments, &["--format", "json"]].concat());
        assert_eq!(error, "", "{arguments:?}");
        let word = |line: &str| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["msg"].as_str().unwrap().to_owned()
        };
        out.lines().map(word).collect()
    };
    assert_eq!(
        words(&[]),
        ["fine", "odd", "failed", "wrong"],
        "the last hour"
    );
    assert_eq!(words(&["--since", "3d"])[0], "two days ago");
    assert_eq!(
        words(&["--since", "45m", "--until", "25m"]),
        ["odd", "failed"]
    );
    assert_eq!(words(&["--level", "warn"]), ["odd", "wrong"]);
    assert_eq!(
        words(&["--request-id", "r-1"]),
        ["two days ago", "fine"],
        "whenever it was"
    );
    assert_eq!(words(&["--service", "worker"]), ["wrong"]);
    assert_eq!(words(&["--route", "/api/posts"]), ["fine"]);
    assert_eq!(words(&["--status", "5xx"]), ["failed"]);
    assert_eq!(words(&["--status", "200"]), ["fine"]);
    assert_eq!(words(&["--limit", "2"]), ["failed", "wrong"]);
    assert_eq!(
        words(&["--limit", "1", "--level", "warn", "--until", "30m"]),
        ["odd"]
    );

    let (out, _) = logs(&database, &["--level", "error"]);
    let mut shown = out.lines();
    let line = shown.next().unwrap();
    assert!(
        line.contains("ERROR worker wrong") && line.contains(r#"why="two words\u001b[2J""#),
        "{line:?}"
    );
    assert_eq!(shown.next(), None);

    for (arguments, says) in [
        (
            &["--level", "error", "--service", "api"][..],
            "no record meets these conditions. The store reaches from",
        ),
        (&["--request-id", "' OR true --"], "LOG_STORE_SAMPLE"),
    ] {
        let (out, error) = logs(&database, arguments);
        assert!(
            out.is_empty() && error.contains(says),
            "{arguments:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_store_without_records_and_one_that_is_not_there_are_explained() {
    let database = testing::database().await;
    let (out, error) = logs(&database, &[]);
    assert!(
        out.is_empty() && error.contains("LOG_STORE=postgres"),
        "{error}"
    );
    let refused = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    sqlx::query("DROP TABLE log_records")
        .execute(&pool(&database).await)
        .await
        .unwrap();
    let says = refused(&mut logs_command(&database, &[]));
    assert!(says.contains("run `api migrate`"), "{says}");
    let nobody = DatabaseConfig {
        database_url: "postgres://nobody@127.0.0.1:1/nothing".into(),
        ..database.clone()
    };
    let says = refused(&mut logs_command(&nobody, &[]));
    assert!(says.contains("cannot reach the database"), "{says}");
    for (arguments, says) in [
        (&["--since", "soon"][..], "15m"),
        (&["--status", "600"], "404 or 5xx"),
        (&["--level", "loud"], "--level"),
        (&["--limit", "0"], "--limit"),
        (&["--until", "1h", "--follow"], "--follow"),
    ] {
        let text = refused(&mut logs_command(&database, arguments));
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
}

#[test]
fn the_help_teaches_by_examples() {
    let help = program(&["logs", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for example in [
        "--since",
        "--level warn",
        "--request-id",
        "--status 5xx",
        "--follow",
        "jq",
        "LOG_STORE_DAYS",
    ] {
        assert!(help.contains(example), "{example} is not in\n{help}");
    }
}

/// The lines of a program that goes on.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let out = BufReader::new(child.stdout.take().unwrap());
    let (tell, told) = channel();
    thread::spawn(move || {
        for line in out.lines() {
            // The test has seen enough.
            let Ok(()) = tell.send(line.unwrap()) else {
                return;
            };
        }
    });
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_what_arrives_even_after_the_connection_was_lost() {
    let database = testing::database().await;
    let (proxy, way) = Proxy::before(&database);
    for n in 0..12 {
        store(
            &database,
            "5 minutes",
            30,
            json!({"msg": format!("before {n}")}),
        )
        .await;
    }
    let mut command = logs_command(&way, &["--follow"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let told = lines_of(&mut child);
    let next = || told.recv_timeout(PATIENCE).expect("a line");
    for n in 2..12 {
        assert!(
            next().contains(&format!("before {n}")),
            "the last ten come first"
        );
    }
    store(&database, "0", 40, json!({"msg": "new"})).await;
    assert!(next().contains("new"));
    store(&database, "10 minutes", 30, json!({"msg": "late"})).await;
    assert!(next().contains("late"));
    proxy.cut();
    store(&database, "0", 30, json!({"msg": "unseen at first"})).await;
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("trying again"), "{line}");
    proxy.open();
    assert!(next().contains("unseen at first"));
    // It looks twice a second; that something does not come can only be waited for.
    let more = told.recv_timeout(Duration::from_millis(1_600));
    assert!(more.is_err(), "nothing comes twice: {more:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let database = testing::database().await;
    store(&database, "1 minute", 30, json!({"msg": "x".repeat(1_000)})).await;
    sqlx::query(
        "INSERT INTO log_records (time, level, service, record)
         SELECT time, level, service, record FROM log_records, generate_series(1, 3000)",
    )
    .execute(&pool(&database).await)
    .await
    .unwrap();
    let mut command = logs_command(&database, &[]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 100]).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && error.is_empty(), "{error}");
}
