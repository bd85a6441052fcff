//! The program `api` itself: its subcommands, and a start that cannot succeed says why.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use domain::testing::{self, posts as given};
use secrecy::ExposeSecret as _;

use crate::app::JWT_SECRET;

/// The program with nothing in its environment but what a test puts there.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// What a start that fails says.
fn complaint(command: &mut Command) -> String {
    let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut start = pipes.spawn().unwrap();
    let began = Instant::now();
    while start.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            // It serves instead of giving up; without this the test would wait for ever.
            start.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = start.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(1 | 2)), "{code:?}: {text}");
    text
}

#[tokio::test]
async fn a_replica_is_started_asked_and_stopped() {
    let database = testing::database().await;
    let redis = testing::redis().await;
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let healthy = || {
        program(&["healthcheck"])
            .env("API_PORT", &port)
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(!healthy());
    let mut serve = program(&["serve"])
        .env("API_PORT", &port)
        .env("DATABASE_URL", database.database_url.expose_secret())
        .env("REDIS_PORT", redis.redis_port.to_string())
        .env("REDIS_PREFIX", &redis.redis_prefix)
        .env("JWT_SECRET", JWT_SECRET)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    testing::eventually("the replica to be ready", async || healthy()).await;
    let again = complaint(
        program(&["serve", "--api-port", &port])
            .env("DATABASE_URL", "postgres://localhost/x")
            .env("JWT_SECRET", JWT_SECRET),
    );
    assert!(
        again.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{again}"
    );

    let id = serve.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    let output = tokio::task::spawn_blocking(move || {
        let status = serve.wait().unwrap();
        let mut log = String::new();
        std::io::Read::read_to_string(serve.stdout.as_mut().unwrap(), &mut log).unwrap();
        (status, log)
    });
    let (status, log) = output.await.unwrap();
    assert!(status.success(), "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["name"], "api");
    }
    assert!(
        log.contains("the API is listening") && log.contains("stopped"),
        "{log}"
    );
    assert!(!log.contains(JWT_SECRET));
}

#[tokio::test]
async fn migrating_twice_is_harmless() {
    let database = testing::database().await;
    for _ in 0..2 {
        let mut migrate = program(&["migrate"]);
        let output = migrate
            .env("DATABASE_URL", database.database_url.expose_secret())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && text.contains("up to date"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_secret_is_taken_from_a_file() {
    let database = testing::database().await;
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("database_url");
    std::fs::write(
        &address,
        format!("{}\n", database.database_url.expose_secret()),
    )
    .unwrap();
    let migrate = || {
        let mut migrate = program(&["migrate"]);
        migrate.env("DATABASE_URL_FILE", &address);
        migrate
    };
    let output = migrate().output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("up to date"), "{text}");

    let both = complaint(migrate().env("DATABASE_URL", "postgres://other"));
    assert!(
        both.contains("DATABASE_URL and DATABASE_URL_FILE are both set"),
        "{both}"
    );
    std::fs::remove_file(&address).unwrap();
    let gone = complaint(&mut migrate());
    let says = format!("DATABASE_URL_FILE={} cannot be read", address.display());
    assert!(gone.contains(&says), "{gone}");

    let secret = folder.path().join("jwt_secret");
    std::fs::write(&secret, "changeme-changeme-changeme-changeme").unwrap();
    let weak = complaint(
        program(&["serve"])
            .env("DATABASE_URL", "postgres://localhost/x")
            .env("JWT_SECRET_FILE", &secret),
    );
    assert!(weak.contains("JWT_SECRET looks like a default"), "{weak}");
}

#[tokio::test]
async fn old_posts_are_marked_to_be_judged_again() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let ctx = testing::replica(&database, &redis);
    let author = given::author(&ctx).await;
    given::backlog(&ctx, &author, 5).await;
    sqlx::query(
        "UPDATE post_analysis SET status = 'done', polarity = 'neutral', score = 0, confidence = 1, safety = 'ok',
             explanation = '', model = CASE WHEN post_id < 3 THEN 'old model' ELSE 'new' END, prompt_version = '1',
             finished_at = now()
         WHERE post_id < 5",
    )
    .execute(&ctx.db)
    .await
    .unwrap();
    let reanalyze = |arguments: &[&str]| {
        let mut command = program(&["reanalyze"]);
        command.args(arguments);
        let output = command
            .env("DATABASE_URL", database.database_url.expose_secret())
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{error}");
        (String::from_utf8(output.stdout).unwrap(), error)
    };
    let stale = async || -> Vec<i64> {
        sqlx::query_scalar(
            "SELECT post_id FROM post_analysis WHERE stale_since IS NOT NULL ORDER BY post_id",
        )
        .fetch_all(&ctx.db)
        .await
        .unwrap()
    };

    let (said, progress) = reanalyze(&["--where", "model!=new", "--dry-run"]);
    assert_eq!(
        said.trim(),
        "posts that match: 2; waiting to be judged again already: 0; to be marked without --dry-run: 2"
    );
    assert!(
        progress.contains("100 % of the posts looked through: 2 match, 0 marked"),
        "{progress}"
    );
    assert_eq!(stale().await, [0; 0]);

    let (said, _) = reanalyze(&["--where", "model=old model", "--where", "safety=ok"]);
    assert_eq!(
        said.trim(),
        "posts that match: 2; waiting to be judged again already: 0; marked now: 2"
    );
    assert_eq!(stale().await, [1, 2]);
    let (said, _) = reanalyze(&["--where", "all", "--limit", "1"]);
    assert_eq!(
        said.trim(),
        "posts that match: 4; waiting to be judged again already: 2; marked now: 1"
    );
    assert_eq!(
        stale().await,
        [1, 2, 4],
        "the newest, of those with a verdict"
    );
    let (said, _) = reanalyze(&["--where", "before=2001-01-01T00:00:00Z"]);
    assert!(said.contains("posts that match: 0;"), "{said}");
    assert_eq!(stale().await, [1, 2, 4]);
}

#[test]
fn what_is_to_be_judged_again_has_to_be_said_and_the_help_teaches_how() {
    let refused = |arguments: &[&str]| {
        let mut command = program(&["reanalyze"]);
        command.args(arguments);
        complaint(command.env("DATABASE_URL", "postgres://localhost/x"))
    };
    for (arguments, says) in [
        (&[][..], "--where <CONDITION>"),
        (&["--where", "everything"], "is no condition; there are"),
        (&["--where", "before=soon"], "2026-01-31T00:00:00Z"),
        (&["--where", "all", "--limit", "0"], "--limit"),
    ] {
        let text = refused(arguments);
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
    let nobody = program(&["reanalyze", "--where", "all"])
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .output()
        .unwrap();
    let text = String::from_utf8(nobody.stderr).unwrap();
    assert!(!nobody.status.success());
    assert!(text.contains("the same call goes on from there"), "{text}");

    let help = program(&["reanalyze", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for example in [
        "--where 'model!=",
        "prompt_version=NAME",
        "before=TIME",
        "--dry-run",
        "--limit 1000",
        "stale",
    ] {
        assert!(help.contains(example), "{example} is not in\n{help}");
    }
}

#[test]
fn a_bad_option_stops_the_program_with_a_sentence_that_names_it() {
    let serve = |name: &str, value: &str| {
        let mut command = program(&["serve"]);
        command
            .env("DATABASE_URL", "postgres://localhost/x")
            .env("JWT_SECRET", JWT_SECRET);
        if value.is_empty() {
            command.env_remove(name);
        } else {
            command.env(name, value);
        }
        complaint(&mut command)
    };
    for (name, value, says) in [
        ("JWT_SECRET", "", "JWT_SECRET is missing"),
        ("JWT_SECRET", "changeme", "JWT_SECRET is too short"),
        (
            "JWT_SECRET",
            "changeme-changeme-changeme-changeme",
            "JWT_SECRET looks like a default",
        ),
        (
            "JWT_SECRET_PREVIOUS",
            "changeme",
            "JWT_SECRET_PREVIOUS is too short",
        ),
        (
            "JWT_SECRET_PREVIOUS",
            JWT_SECRET,
            "JWT_SECRET_PREVIOUS is the same as JWT_SECRET",
        ),
        ("DATABASE_URL", "", "--database-url"),
        (
            "DATABASE_URL",
            "mysql://x",
            "DATABASE_URL is not an address of PostgreSQL",
        ),
        (
            "REDIS_URL",
            "http://x",
            "REDIS_URL is not an address of Redis",
        ),
        ("RATE_LIMIT_READS", "lots", "--rate-limit-reads"),
        ("CACHE_ACTIVE", "perhaps", "--cache-active"),
        ("CONTENT_MAX_CHARACTERS", "0", "--content-max-characters"),
        ("API_PORT", "99999", "--api-port"),
        ("TRUSTED_PROXIES", "nginx", "--trusted-proxies"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "--trusted-proxies"),
        ("LLM_URL", "llm", "--llm-url"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL \"loud\" is not a level"),
        ("APP_ENV", "staging", "--app-env"),
    ] {
        let text = serve(name, value);
        assert!(text.contains(says), "{name}={value}: {text}");
        // The secret itself is not in what it says of it.
        assert!(
            !name.starts_with("JWT_SECRET") || value.is_empty() || !text.contains(value),
            "{text}"
        );
    }
}
