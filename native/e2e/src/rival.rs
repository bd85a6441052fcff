//! The Node baseline of `loadtest/node-baseline`, started beside the stack on the same PostgreSQL and Redis.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime},
};

use reqwest::Client;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{eventually, variable};

/// Signs the baseline's tokens; it ends with the test.
const SECRET: &str = "q8Zt1vXw93LkYb7Rj2Nf5Hs0Pd6Gm4Ca";
const PATIENCE: Duration = Duration::from_secs(30);

/// Some replicas, which are killed with this value if they are not stopped before.
pub struct Rival {
    replicas: Vec<Child>,
    /// Their addresses.
    pub urls: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../loadtest/node-baseline")
}

/// Says that there is no baseline here: where somebody reads it, and as a failure where nobody does.
fn absent(why: &str) {
    let said = format!(
        "!!!! the contract was NOT asked of the Node baseline: {why}. Install Node and npm, then run \
         `npm ci --ignore-scripts` in loadtest/node-baseline"
    );
    assert!(std::env::var_os("CI").is_none(), "{said}");
    // Not by a macro: what those print is shown of failing tests only.
    let _nobody_reads = writeln!(std::io::stderr(), "{said}");
}

impl Rival {
    /// So many replicas, ready; `None` when what they need is not installed, which is said on stderr.
    ///
    /// # Panics
    /// When one does not start, or in CI when there is nothing to start.
    pub async fn start(http: &Client, replicas: usize) -> Option<Self> {
        if !folder().join("node_modules").is_dir() {
            absent("its packages are not installed");
            return None;
        }
        let mut rival = Self {
            replicas: Vec::new(),
            urls: Vec::new(),
        };
        let instant = SystemTime::UNIX_EPOCH.elapsed();
        let prefix = format!(
            "node-baseline-{}",
            instant.expect("a clock after 1970").as_micros()
        );
        for _ in 0..replicas {
            let Some((replica, url)) = start(&prefix).await else {
                absent("there is no `node`");
                return None;
            };
            rival.replicas.push(replica);
            eventually("the Node baseline is ready", PATIENCE, async || {
                let answer = http.get(format!("{url}/readyz")).send().await;
                match answer {
                    Ok(answer) if answer.status() == 200 => {
                        let ready: Value = answer.json().await.expect("JSON");
                        ready["status"] == "ready"
                    }
                    _ => false,
                }
            })
            .await;
            rival.urls.push(url);
        }
        Some(rival)
    }

    /// Stops the replicas as a supervisor would, and waits until they have ended by themselves.
    ///
    /// # Panics
    /// When one does not end well.
    pub async fn stop(self) {
        for mut replica in self.replicas {
            let pid = replica.id().expect("it still runs").to_string();
            let told = Command::new("kill").args(["-TERM", &pid]).status().await;
            assert!(told.expect("kill").success(), "kill -TERM {pid}");
            let ended = tokio::time::timeout(PATIENCE, replica.wait()).await;
            let ended = ended.expect("it stops when told to").expect("its status");
            assert!(ended.success(), "it ended with {ended}");
        }
    }
}

/// One replica and the address that it says it listens on; `None` without Node.
async fn start(prefix: &str) -> Option<(Child, String)> {
    let mut replica = Command::new("node")
        .arg("src/server.js")
        .current_dir(folder())
        .env("NODE_ENV", "production")
        .env("API_PORT", "0")
        .env("JWT_SECRET", SECRET)
        .env("DATABASE_URL", variable("LINNET_DATABASE_URL"))
        .env("REDIS_URL", variable("LINNET_REDIS_URL"))
        .env("REDIS_PREFIX", prefix)
        .env("LLM_URL", variable("LINNET_LLM_URL"))
        .env("LOG_LEVEL", "info")
        .env_remove("API_HOST")
        .env_remove("RATE_LIMITER")
        .env_remove("CACHE_ACTIVE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut log = BufReader::new(replica.stdout.take().expect("its log")).lines();
    let port = loop {
        let line = log.next_line().await.expect("its log");
        let line = line.expect("it listens before it ends; its own words are above");
        let entry: Value = serde_json::from_str(&line).unwrap_or_default();
        if entry["msg"] == "listening" {
            break entry["address"]["port"].as_u64().expect("a port");
        }
    };
    // Read on, so that it is never kept waiting for somebody to take its words; a test that fails shows them.
    tokio::spawn(async move {
        while let Ok(Some(line)) = log.next_line().await {
            eprintln!("{line}");
        }
    });
    Some((replica, format!("http://127.0.0.1:{port}")))
}
