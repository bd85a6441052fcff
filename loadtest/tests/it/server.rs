//! A small real HTTP server that speaks the native contract, counts what arrives, and can be told to fail or to stall.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU16, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use loadtest::engine::Target;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// What the server has seen and what it is told to do.
pub struct Seen {
    /// Requests by method and path, with numbers in the path as `#`.
    pub calls: Mutex<BTreeMap<String, usize>>,
    /// Each body of a post.
    pub bodies: Mutex<Vec<String>>,
    /// What streams are told.
    pub events: tokio::sync::broadcast::Sender<String>,
    /// Who has signed up.
    pub people: Mutex<BTreeMap<String, i64>>,
    /// Connections that were accepted.
    pub connections: AtomicUsize,
    /// Answer everything with this status; 0 is none.
    pub failing: AtomicU16,
    /// Requests that have arrived, answered or not.
    pub arrived: watch::Sender<usize>,
    /// While true nothing is answered.
    pub stalled: watch::Sender<bool>,
    next: AtomicI64,
}

impl Seen {
    pub fn count(&self, call: &str) -> usize {
        self.calls.lock().unwrap().get(call).copied().unwrap_or(0)
    }

    pub fn all(&self) -> usize {
        self.calls.lock().unwrap().values().sum()
    }
}

pub struct Server {
    pub url: String,
    pub target: Target,
    pub seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen {
            calls: Mutex::default(),
            bodies: Mutex::default(),
            events: tokio::sync::broadcast::Sender::new(64),
            people: Mutex::default(),
            connections: AtomicUsize::default(),
            failing: AtomicU16::default(),
            arrived: watch::Sender::new(0),
            stalled: watch::Sender::new(false),
            next: AtomicI64::new(1),
        });
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let seen = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&seen), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self {
            target: Target::parse(&url, false).unwrap(),
            url,
            seen,
            task,
        }
    }
}

type Answer = UnsyncBoxBody<Bytes, Infallible>;

fn pattern(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        if part.parse::<i64>().is_ok() {
            "#"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

async fn answer(
    seen: Arc<Seen>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let call = format!("{} {}", request.method(), pattern(request.uri().path()));
    *seen.calls.lock().unwrap().entry(call.clone()).or_default() += 1;
    seen.arrived.send_modify(|count| *count += 1);
    let logged_in = request.headers().get(header::COOKIE).is_some_and(|cookie| {
        let token = cookie.to_str().unwrap().strip_prefix("jwt=token-").unwrap();
        seen.people.lock().unwrap().contains_key(token)
    });
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut waiting = seen.stalled.subscribe();
    waiting.wait_for(|stalled| !stalled).await.unwrap();
    if call == "GET /api/stream" {
        let receiver = seen.events.subscribe();
        let ready = "retry: 2000\nid: 1.1\n\n".to_owned();
        let later = stream::unfold(receiver, async |mut receiver| {
            Some((receiver.recv().await.ok()?, receiver))
        });
        let events = stream::iter([ready])
            .chain(later)
            .map(|event| Ok(Frame::data(Bytes::from(event))));
        return Ok(Response::new(StreamBody::new(events).boxed_unsync()));
    }
    let failing = seen.failing.load(Ordering::Relaxed);
    let mut cookie = None;
    let (status, text) = if failing != 0 {
        (failing, r#"{"message":"told to fail"}"#.to_owned())
    } else {
        let id = seen.next.fetch_add(1, Ordering::Relaxed);
        let needs_login =
            call.starts_with("POST /api/posts") || call.contains("home") || call.contains("follow");
        match call.as_str() {
            _ if needs_login && !logged_in => (401, r#"{"message":"log in first"}"#.into()),
            "GET /api/posts" => (
                200,
                r#"[{"id":3,"content":"c"},{"id":2,"content":"b"},{"id":1,"content":"a"}]"#.into(),
            ),
            "POST /api/posts" => {
                seen.bodies
                    .lock()
                    .unwrap()
                    .push(String::from_utf8(body.to_vec()).unwrap());
                // With and without somebody else's in the same event; nobody may be listening.
                let _listeners = seen.events.send(format!(
                    "event: post\nid: 1.2\ndata: {{\"posts\":[{{\"id\":{id},\"userId\":1}},{{\"id\":999999,\"userId\":2}}]}}\n\n"
                ));
                (201, format!(r#"[{{"id":{id}}}]"#))
            }
            "POST /api/user/signup" => {
                let name = name(&body);
                if seen.people.lock().unwrap().insert(name, id).is_some() {
                    (409, r#"{"message":"taken"}"#.into())
                } else {
                    (
                        201,
                        format!(r#"{{"User created":[{{"id":{id},"username":"x"}}]}}"#),
                    )
                }
            }
            "POST /api/auth/login" => {
                let name = name(&body);
                if seen.people.lock().unwrap().contains_key(&name) {
                    cookie = Some(format!("jwt=token-{name}; HttpOnly; Path=/"));
                    (200, r#"{"message":"User logged in"}"#.into())
                } else {
                    (401, r#"{"message":"Invalid credentials"}"#.into())
                }
            }
            "GET /api/auth/loginstatus" => (200, format!(r#"{{"isLoggedIn":{logged_in}}}"#)),
            "GET /api/v1/query" => (
                200,
                r#"{"data":{"result":[{"metric":{"instance":"api-00"},"value":[1,"42.5"]}]}}"#
                    .into(),
            ),
            "POST /api/annotations" => {
                assert_eq!(authorization.unwrap(), "Bearer a-token");
                seen.bodies
                    .lock()
                    .unwrap()
                    .push(String::from_utf8(body.to_vec()).unwrap());
                (200, "{}".into())
            }
            _ => (200, "{}".into()),
        }
    };
    let mut response = Response::new(Full::from(text).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(cookie) = cookie {
        response
            .headers_mut()
            .insert(header::SET_COOKIE, cookie.parse().unwrap());
    }
    Ok(response)
}

fn name(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["username"].as_str().unwrap().to_owned()
}
