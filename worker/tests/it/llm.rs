//! A stand-in for llm-service: it keeps its contract and answers at once, or behaves badly on demand. It judges
//! nothing; what the model thinks is tested with the real one.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    http::StatusCode,
    web::{self, Data},
};
use serde_json::{Value, json};
use url::Url;

/// How the stand-in behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// Every text gets a verdict.
    Well,
    /// Every call gets this status.
    Refusing(u16),
    /// A call is taken and not answered until the mood changes.
    Hanging,
    /// A call that says "bad" gets 500, the others a verdict.
    Choosy,
}

struct State {
    mood: Mutex<Mood>,
    calls: Mutex<HashMap<String, usize>>,
    request_ids: Mutex<Vec<String>>,
    traceparents: Mutex<Vec<String>>,
}

/// A running stand-in.
pub struct FakeLlm {
    state: Arc<State>,
    address: SocketAddr,
    server: Option<ServerHandle>,
}

impl FakeLlm {
    pub fn start(mood: Mood) -> Self {
        let state = Arc::new(State {
            mood: Mutex::new(mood),
            calls: Mutex::default(),
            request_ids: Mutex::default(),
            traceparents: Mutex::default(),
        });
        let mut llm = Self {
            state,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            server: None,
        };
        llm.start_again();
        llm
    }

    /// Listens, at the same address as before.
    pub fn start_again(&mut self) {
        let state = Data::from(Arc::clone(&self.state));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .route("/v1/analyze", web::post().to(analyze))
                .route("/readyz", web::get().to(readyz))
        })
        .workers(1)
        .disable_signals()
        .bind(self.address)
        .unwrap();
        self.address = server.addrs()[0];
        let server = server.run();
        self.server = Some(server.handle());
        tokio::spawn(server);
    }

    /// Stops listening; calls under way are cut off.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(false).await;
        }
    }

    pub fn url(&self) -> Url {
        format!("http://{}", self.address).parse().unwrap()
    }

    pub fn set(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    /// How often it was asked in all.
    pub fn calls(&self) -> usize {
        self.state.calls.lock().unwrap().values().sum()
    }

    /// How often it was asked about `text`.
    pub fn calls_about(&self, text: &str) -> usize {
        let calls = self.state.calls.lock().unwrap();
        calls.get(text).copied().unwrap_or(0)
    }

    pub fn request_ids(&self) -> Vec<String> {
        self.state.request_ids.lock().unwrap().clone()
    }

    pub fn traceparents(&self) -> Vec<String> {
        self.state.traceparents.lock().unwrap().clone()
    }
}

async fn readyz(state: Data<State>) -> HttpResponse {
    if let Mood::Refusing(status) = *state.mood.lock().unwrap() {
        return HttpResponse::build(StatusCode::from_u16(status).unwrap()).finish();
    }
    HttpResponse::Ok().json(json!({"status": "ready", "model": "stand-in", "prompt_version": "1"}))
}

async fn analyze(request: HttpRequest, state: Data<State>, body: web::Json<Value>) -> HttpResponse {
    let text = body["texts"][0].as_str().unwrap().to_owned();
    *state.calls.lock().unwrap().entry(text.clone()).or_default() += 1;
    for (name, seen) in [
        ("x-request-id", &state.request_ids),
        ("traceparent", &state.traceparents),
    ] {
        if let Some(value) = request.headers().get(name) {
            let value = value.to_str().unwrap().to_owned();
            seen.lock().unwrap().push(value);
        }
    }
    loop {
        let mood = *state.mood.lock().unwrap();
        match mood {
            Mood::Hanging => tokio::time::sleep(Duration::from_millis(10)).await,
            Mood::Refusing(status) => {
                return HttpResponse::build(StatusCode::from_u16(status).unwrap()).finish();
            }
            Mood::Choosy if text.contains("bad") => {
                return HttpResponse::InternalServerError().finish();
            }
            Mood::Well | Mood::Choosy => break,
        }
    }
    HttpResponse::Ok().json(json!({"verdicts": [{
        "polarity": "neutral", "score": 0.0, "confidence": 1.0, "safety": "ok", "explanation": text.chars().take(200).collect::<String>(),
        "model": "stand-in", "prompt_version": "1", "tokens": 1,
    }]}))
}
