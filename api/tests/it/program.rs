//! The program `api` itself: its subcommands, and a start that cannot succeed says why.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use domain::testing;
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
        ("LLM_URL", "llm", "--llm-url"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL \"loud\" is not a level"),
        ("APP_ENV", "staging", "--app-env"),
    ] {
        let text = serve(name, value);
        assert!(text.contains(says), "{name}={value}: {text}");
        // The secret itself is not in what it says of it.
        assert!(
            name != "JWT_SECRET" || value.is_empty() || !text.contains(value),
            "{text}"
        );
    }
}
