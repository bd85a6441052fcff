//! What the stories in `tests/` share: the running stack, and a person who uses it. `make test` starts the stack and
//! runs them; to run them against one that is up already: `eval "$(native/linnet env | sed 's/^/export /')"`, then
//! `cargo test -p e2e`.

#![expect(
    clippy::expect_used,
    reason = "tests have nobody to report to but their own output"
)]

pub mod browser;
pub mod rival;
pub mod spans;

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use reqwest::{Client, Method, Response, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    sync::{Mutex, MutexGuard},
};

/// One story at a time: some of them break things on purpose.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The running stack, as `linnet env` describes it.
pub struct Stack {
    /// The public address.
    pub url: String,
    /// A client that waits at most ten seconds.
    pub http: Client,
    _alone: MutexGuard<'static, ()>,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: `make test` starts a stack and sets it; see the top of native/e2e/src/lib.rs")
    })
}

impl Stack {
    /// The stack that the environment describes, for one story alone.
    ///
    /// # Panics
    /// When there is none.
    pub async fn get() -> Self {
        Self {
            url: variable("LINNET_URL"),
            http: Client::builder()
                .timeout(Duration::from_secs(10))
                .no_proxy()
                .build()
                .expect("an HTTP client"),
            _alone: ALONE.lock().await,
        }
    }

    /// The addresses of the replicas of `kind` (API, WORKER or LLM) when the stack was started.
    #[must_use]
    pub fn replicas(&self, kind: &str) -> Vec<String> {
        variable(&format!("LINNET_{kind}_URLS"))
            .split(',')
            .map(str::to_owned)
            .collect()
    }

    /// Prometheus' address.
    #[must_use]
    pub fn prometheus(&self) -> String {
        variable("LINNET_PROMETHEUS_URL")
    }

    /// Runs `native/linnet` with `words` and gives what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub async fn control(&self, words: &[&str]) -> String {
        let output = Command::new(variable("LINNET_CONTROL"))
            .args(words)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("native/linnet");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "linnet {words:?}: {said}{errors}");
        said
    }

    /// Ends a program as a power cut would: `kill -9`.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn kill(&self, program: &str) {
        let pid = self.control(&["pid", program]).await;
        let killed = Command::new("kill").args(["-9", pid.trim()]).status().await;
        assert!(killed.expect("kill").success(), "kill -9 {pid}");
    }

    /// Makes Redis forget everything.
    ///
    /// # Panics
    /// When it does not.
    pub async fn flush_redis(&self) {
        // redis://:PASSWORD@HOST:PORT/0
        let url = variable("LINNET_REDIS_URL");
        let (password, address) = url
            .trim_start_matches("redis://:")
            .trim_end_matches("/0")
            .split_once('@')
            .expect("a password in the address of Redis");
        let mut redis = TcpStream::connect(address).await.expect("Redis");
        let commands = format!("AUTH {password}\r\nFLUSHALL\r\n");
        redis.write_all(commands.as_bytes()).await.expect("Redis");
        let mut answer = [0; 10];
        redis.read_exact(&mut answer).await.expect("Redis");
        assert_eq!(&answer, b"+OK\r\n+OK\r\n");
    }

    /// Whether a log whose name begins with `program` holds `text`.
    #[must_use]
    pub fn log_holds(&self, program: &str, text: &str) -> bool {
        let folder = PathBuf::from(variable("LINNET_DATA")).join("logs");
        let logs = std::fs::read_dir(&folder).expect("the logs").flatten();
        logs.filter(|log| log.file_name().to_string_lossy().starts_with(program))
            .any(|log| {
                let bytes = std::fs::read(log.path()).unwrap_or_default();
                String::from_utf8_lossy(&bytes).contains(text)
            })
    }
}

/// A person with an account, logged in.
pub struct Person<'a> {
    stack: &'a Stack,
    token: String,
    /// The account.
    pub id: i64,
}

impl<'a> Person<'a> {
    /// Signs somebody up and logs them in.
    ///
    /// # Panics
    /// When that fails.
    pub async fn join(stack: &'a Stack, name: &str) -> Self {
        // Unique also when the stories are run against the same stack again.
        let instant = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("a clock after 1970");
        let username = format!("{name}-{}", instant.as_micros());
        let credentials = json!({"username": username, "password": "a long enough password"});
        let post = async |path: &str| {
            let url = format!("{}{path}", stack.url);
            stack
                .http
                .post(url)
                .json(&credentials)
                .send()
                .await
                .expect("an answer")
        };
        let made = post("/api/user/signup").await;
        assert_eq!(made.status(), 201);
        let made: Value = made.json().await.expect("JSON");
        let login = post("/api/auth/login").await;
        assert_eq!(login.status(), 200);
        let cookie = login.headers()[header::SET_COOKIE]
            .to_str()
            .expect("a cookie");
        let token = cookie
            .trim_start_matches("jwt=")
            .split(';')
            .next()
            .expect("a token");
        Self {
            stack,
            token: token.to_owned(),
            id: made["User created"][0]["id"].as_i64().expect("an id"),
        }
    }

    /// Sends a request with this person's login.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        request_id: &str,
    ) -> Response {
        let mut request = self
            .stack
            .http
            .request(method, format!("{}{path}", self.stack.url))
            .bearer_auth(&self.token)
            .header("x-request-id", request_id);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.expect("an answer")
    }

    /// Writes a post and gives it back as answered.
    ///
    /// # Panics
    /// When it is not accepted.
    pub async fn post(&self, content: &str, request_id: &str) -> Value {
        let body = json!({"content": content});
        let response = self
            .send(Method::POST, "/api/posts", Some(body), request_id)
            .await;
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["x-request-id"], request_id);
        let mut posts: Value = response.json().await.expect("JSON");
        posts[0].take()
    }
}

/// Reads JSON from `url`.
///
/// # Panics
/// When the answer is not 200 with JSON.
pub async fn json_of(http: &Client, url: &str) -> Value {
    let response = http.get(url).send().await.expect("an answer");
    assert_eq!(response.status(), 200, "{url}");
    response.json().await.expect("JSON")
}

/// The ids of a list of posts.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn ids(posts: &Value) -> Vec<i64> {
    let posts = posts.as_array().expect("a list").iter();
    posts
        .map(|post| post["id"].as_i64().expect("an id"))
        .collect()
}

/// Asks `question` until it is true.
///
/// # Panics
/// When it is not within `patience`; `what` says what was waited for.
pub async fn eventually(what: &str, patience: Duration, mut question: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !question().await {
        assert!(start.elapsed() < patience, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
