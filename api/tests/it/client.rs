//! A caller of the API and the answers they get. Each answer is held against the OpenAPI document and, if it is a
//! refusal, against the one shape of errors, whatever the test that asked was after.

use std::{io::Read as _, net::SocketAddr, time::Duration};

use flate2::read::GzDecoder;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

use crate::document;

/// The HTTP client behind any number of callers.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .expect("an HTTP client")
}

/// Somebody who calls a replica, logged in or not.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// The replica.
    pub address: SocketAddr,
    /// The token of the login, sent along as the cookie.
    pub token: Option<String>,
    /// The account's number; 0 when there is none.
    pub id: i64,
}

impl Client {
    pub fn new(http: reqwest::Client, address: SocketAddr) -> Self {
        Self {
            http,
            address,
            token: None,
            id: 0,
        }
    }

    /// A request to be completed and sent.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let url = format!("http://{}{path}", self.address);
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut inner = self.http.request(method.clone(), url);
        if let Some(token) = &self.token {
            inner = inner.header("cookie", format!("jwt={token}"));
        }
        Request {
            inner,
            method,
            path: path.to_owned(),
            served_as: path.to_owned(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path).json(&body).send().await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.request("PUT", path).json(&body).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send().await
    }

    /// Logs in; from then on the token goes with every request.
    pub async fn login(&mut self, username: &str, password: &str) -> Answer {
        let credentials = json!({"username": username, "password": password});
        let answer = self.post("/api/auth/login", credentials).await;
        if answer.status == 200 {
            self.token = Some(answer.token());
        }
        answer
    }

    /// Whether the API takes this caller for somebody who is logged in.
    pub async fn is_logged_in(&self) -> bool {
        let status = self.get("/api/auth/loginstatus").await.ok(200);
        status["isLoggedIn"].as_bool().expect("a boolean")
    }

    /// Writes a post and answers its id.
    pub async fn write(&self, content: &str) -> i64 {
        let posts = self.post("/api/posts", json!({"content": content})).await;
        posts.ok(201)[0]["id"].as_i64().expect("an id")
    }

    /// The ids of the feed's first page.
    pub async fn feed(&self) -> Vec<i64> {
        ids(&self.get("/api/posts?limit=100").await.ok(200))
    }

    /// One value of `/metrics`, 0 when it is not there. `series` is the name with its labels as they are printed.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics").await.text();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }
}

/// The ids of a list.
pub fn ids(list: &Value) -> Vec<i64> {
    let items = list.as_array().expect("a list");
    let id = |item: &Value| item["id"].as_i64().expect("an id");
    items.iter().map(id).collect()
}

/// A request that is being put together.
pub struct Request {
    inner: reqwest::RequestBuilder,
    method: Method,
    path: String,
    served_as: String,
}

impl Request {
    /// The plain form of a path that is written in another way.
    pub fn served_as(mut self, path: &str) -> Self {
        self.served_as = path.to_owned();
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        let value = reqwest::header::HeaderValue::from_bytes(&value.into()).expect("a value");
        self.inner = self.inner.header(name, value);
        self
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.inner = self.inner.json(body);
        self
    }

    pub fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.inner = self.inner.body(body);
        self
    }

    /// Sends it and leaves the body to be read as it comes, for two minutes at most.
    pub async fn stream(self) -> reqwest::Response {
        let what = format!("{} {}", self.method, self.path);
        let response = self.inner.timeout(Duration::from_secs(120)).send().await;
        response.unwrap_or_else(|error| panic!("{what}: no answer: {error:?}"))
    }

    pub async fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.path);
        let response = self.inner.send().await;
        let response = response.unwrap_or_else(|error| panic!("{what}: no answer: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let sent = response.bytes().await.expect("a body").to_vec();
        let wire = sent.len();
        let answer = Answer {
            what,
            status,
            body: match headers.get("content-encoding") {
                Some(coding) if coding == "gzip" => unpacked(&sent),
                _ => sent,
            },
            headers,
            wire,
        };
        let path = self.served_as.split('?').next().unwrap_or_default();
        document::check(self.method.as_str(), path, &answer);
        answer
    }
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .expect("sound gzip");
    plain
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The request, for messages.
    pub what: String,
    pub status: u16,
    pub headers: HeaderMap,
    /// Unpacked, if it came compressed.
    pub body: Vec<u8>,
    /// How many bytes came.
    pub wire: usize,
}

impl Answer {
    /// The body when the status is the expected one.
    #[track_caller]
    pub fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.what, self.text());
        self.json()
    }

    /// The problem when the status is the expected one and the message says `part`.
    #[track_caller]
    pub fn refused(self, status: u16, part: &str) -> Value {
        let what = self.what.clone();
        let problem = self.ok(status);
        let message = problem["message"].as_str().expect("a message");
        assert!(message.contains(part), "{what}: {message:?} lacks {part:?}");
        problem
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error} in {}", self.what, self.text()))
    }

    /// The header, or nothing at all.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("a text"))
    }

    /// The same as a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        let text = self.header(name);
        text.parse()
            .unwrap_or_else(|_| panic!("{}: {name} is {text:?}", self.what))
    }

    /// The token in the cookie that this answer sets.
    #[track_caller]
    pub fn token(&self) -> String {
        let cookie = self.header("set-cookie");
        let token = cookie
            .strip_prefix("jwt=")
            .and_then(|rest| rest.split(';').next());
        token
            .unwrap_or_else(|| panic!("{}: no token in {cookie:?}", self.what))
            .to_owned()
    }
}
