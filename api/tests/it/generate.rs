//! A post suggested by the language model, which is a small server of the test's own here.

use std::{net::SocketAddr, sync::mpsc, thread};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use crate::app::TestApp;

/// What the model was asked: the request's id and the body.
type Asked = (String, Value);

/// Starts a server that answers every `POST /v1/generate` with `status` and `body`; it ends with the process.
fn model(status: u16, body: Value) -> (SocketAddr, mpsc::Receiver<Asked>) {
    let (tell, told) = mpsc::channel();
    let (asked, questions) = mpsc::channel();
    thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                let (asked, body) = (asked.clone(), body.clone());
                let answer = move |req: HttpRequest, question: web::Json<Value>| {
                    let id = req
                        .headers()
                        .get("x-request-id")
                        .and_then(|id| id.to_str().ok());
                    let _nobody_asks =
                        asked.send((id.unwrap_or_default().to_owned(), question.into_inner()));
                    let mut response = HttpResponse::build(status.try_into().unwrap());
                    if status == 503 {
                        response.insert_header(("retry-after", "7"));
                    }
                    std::future::ready(response.json(&body))
                };
                App::new().route("/v1/generate", web::post().to(answer))
            });
            let server = server
                .workers(1)
                .disable_signals()
                .bind(("127.0.0.1", 0))
                .unwrap();
            tell.send(server.addrs()[0]).unwrap();
            server.run().await.unwrap();
        });
    });
    (told.recv().unwrap(), questions)
}

async fn app(model: SocketAddr) -> TestApp {
    TestApp::with(1, |config| {
        config.llm.llm_url = format!("http://{model}").parse().unwrap()
    })
    .await
}

#[tokio::test]
async fn the_model_writes_a_post_for_anybody() {
    let (address, questions) = model(200, json!({"content": "A warm wind today.", "tokens": 5}));
    let app = app(address).await;
    let request = app.client(0).request("GET", "/api/posts/generate");
    let answer = request.header("x-request-id", "follow-me").send().await;
    assert_eq!(answer.ok(201), json!({"content": "A warm wind today."}));
    let (id, question) = questions.recv().unwrap();
    assert_eq!(id, "follow-me");
    assert_eq!(question, json!({"max_characters": 140}));
    assert_eq!(
        app.client(0).feed().await,
        [0; 0],
        "suggested and not published"
    );
}

#[tokio::test]
async fn a_model_that_is_away_or_full_is_503_and_says_when_to_come_back() {
    let app_without = TestApp::start(1).await;
    for _ in 0..5 {
        // The first ones find nobody there; then the circuit breaker is open.
        let answer = app_without.client(0).get("/api/posts/generate").await;
        assert!((1..=5).contains(&answer.number("retry-after")));
        answer.refused(503, "the language model is not available right now");
    }
    assert_eq!(app_without.client(0).metric("llm_circuit_state").await, 2.0);

    let (address, _questions) = model(503, json!({"message": "full"}));
    let answer = app(address)
        .await
        .client(0)
        .get("/api/posts/generate")
        .await;
    assert_eq!(answer.number("retry-after"), 7);
    answer.refused(503, "the language model is not available right now");
}

#[tokio::test]
async fn a_model_that_talks_nonsense_is_503_and_its_words_stay_inside() {
    for (status, body) in [
        (500, json!({"secret": "stack trace"})),
        (200, json!({"text": "stack trace"})),
    ] {
        let (address, _questions) = model(status, body);
        let answer = app(address)
            .await
            .client(0)
            .get("/api/posts/generate")
            .await;
        assert!(!answer.text().contains("stack trace"));
        answer.refused(503, "the language model is not available right now");
    }
}
