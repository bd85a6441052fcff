//! How the service is asked: its addresses, the people who ask, and what every answer must be like.

use std::time::{Duration, SystemTime};

use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::shapes::{is_post, token_in};

/// Everybody's password.
pub const PASSWORD: &str = "Zebra crossing 7 at dawn";
/// The one that somebody changes it to.
pub const NEW_PASSWORD: &str = "Zebra crossing 8 at dusk";
/// The number of nobody and nothing.
pub const NOBODY: i64 = (1 << 53) - 1;

/// Whoever claims to keep the contract.
pub struct Service<'a> {
    pub http: Client,
    pub urls: &'a [String],
}

/// Somebody who is logged in.
pub struct Account {
    pub id: i64,
    pub username: String,
    pub token: String,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

/// A request that is being put together.
pub struct Call<'a> {
    http: &'a Client,
    at: &'a str,
    method: Method,
    path: String,
    token: Option<String>,
    body: Option<Value>,
}

impl<'a> Call<'a> {
    /// Sent to this address rather than to the first.
    pub fn at(mut self, url: &'a str) -> Self {
        self.at = url;
        self
    }

    /// With a login in the cookie.
    pub fn by(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Sends it. Whatever the answer, it is JSON of the right kind and tells no secret.
    pub async fn answer(self) -> Answer {
        let Self { method, path, .. } = &self;
        let url = format!("{}{path}", self.at);
        let mut request = self.http.request(method.clone(), url);
        if let Some(token) = &self.token {
            request = request.header("cookie", format!("jwt={token}"));
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        for secret in [PASSWORD, NEW_PASSWORD, "$argon2", "$2b$", "password_hash"] {
            assert!(!text.contains(secret), "{method} {path} tells {secret}");
        }
        let wanted = if status.is_success() {
            "application/json"
        } else {
            "application/problem+json"
        };
        let kind = headers["content-type"].to_str().unwrap();
        let kind = kind.split(';').next();
        assert_eq!(kind, Some(wanted), "{method} {path}: {status}");
        Answer {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap(),
        }
    }

    /// The body of an answer that must have this status.
    pub async fn gives(self, status: u16) -> Value {
        let asked = format!("{} {}{}", self.method, self.at, self.path);
        let answer = self.answer().await;
        assert_eq!(answer.status, status, "{asked}: {}", answer.body);
        answer.body
    }

    /// The message of a refusal with this status, whose body must have every member that an error body has.
    pub async fn refused(self, status: u16) -> String {
        let asked = format!("{} {}{}", self.method, self.at, self.path);
        let problem = self.gives(status).await;
        for member in ["message", "type", "title", "detail"] {
            let text = problem[member].as_str().unwrap_or("");
            assert!(!text.is_empty(), "{asked}: {member} in {problem}");
        }
        assert_eq!(problem["status"], status, "{asked}: {problem}");
        problem["message"].as_str().unwrap().to_owned()
    }
}

impl<'a> Service<'a> {
    pub fn at(urls: &'a [String]) -> Self {
        // Longer than a language model may take.
        let http = Client::builder().timeout(Duration::from_secs(70));
        Self {
            http: http.no_proxy().build().unwrap(),
            urls,
        }
    }

    pub fn call(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        Call {
            http: &self.http,
            at: &self.urls[0],
            method,
            path: path.into(),
            token: None,
            body: None,
        }
    }

    pub fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: impl Into<String>, body: Value) -> Call<'_> {
        self.call(Method::POST, path).with(body)
    }

    pub fn put(&self, path: impl Into<String>, body: Value) -> Call<'_> {
        self.call(Method::PUT, path).with(body)
    }

    pub fn delete(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    pub fn log_in(&self, username: &str, password: &str) -> Call<'_> {
        let body = json!({"username": username, "password": password});
        self.post("/api/auth/login", body)
    }

    /// Signs somebody up and logs them in.
    pub async fn join(&self, name: &str) -> Account {
        // Unique also when this is run against the same database again.
        let instant = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let username = format!("{name}-{}", instant.as_micros());
        let credentials = json!({"username": username, "password": PASSWORD});
        let made = self.post("/api/user/signup", credentials).gives(201).await;
        let id = made["User created"][0]["id"].as_i64().unwrap();
        let wanted = json!({"User created": [{"id": id, "username": username}]});
        assert_eq!(made, wanted);
        let login = self.log_in(&username, PASSWORD).answer().await;
        assert_eq!(login.status, 200);
        assert_eq!(login.body, json!({"message": "User logged in"}));
        let token = token_in(&login.headers);
        Account {
            id,
            username,
            token,
        }
    }

    /// Writes a post.
    pub async fn write(&self, author: &Account, content: &str) -> Value {
        let call = self.post("/api/posts", json!({"content": content}));
        let made = call.by(&author.token).gives(201).await;
        let [post] = &made.as_array().unwrap()[..] else {
            panic!("a list of one post: {made}")
        };
        is_post(post);
        post.clone()
    }

    /// The feed as a replica shows it now.
    pub async fn feed(&self, url: &str) -> Value {
        self.get("/api/posts").at(url).gives(200).await
    }

    /// Whom a replica takes this login for.
    pub async fn login_status(&self, url: &str, token: &str) -> Value {
        let call = self.get("/api/auth/loginstatus").at(url);
        call.by(token).gives(200).await
    }
}
