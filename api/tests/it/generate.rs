//! A post suggested by the language model.

use serde_json::json;

use crate::{app::TestApp, model::Model};

#[tokio::test]
async fn the_model_writes_a_post_for_anybody() {
    let model = Model::start(200, json!({"content": "A warm wind today.", "tokens": 5}));
    let app = model.app(1).await;
    let request = app.client(0).request("GET", "/api/posts/generate");
    let answer = request.header("x-request-id", "follow-me").send().await;
    assert_eq!(answer.ok(201), json!({"content": "A warm wind today."}));
    let (id, question) = model.question();
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

    let model = Model::start(503, json!({"message": "full"}));
    let app = model.app(1).await;
    let answer = app.client(0).get("/api/posts/generate").await;
    assert_eq!(answer.number("retry-after"), 7);
    answer.refused(503, "the language model is not available right now");
}

#[tokio::test]
async fn a_model_that_talks_nonsense_is_503_and_its_words_stay_inside() {
    for (status, body) in [
        (500, json!({"secret": "stack trace"})),
        (200, json!({"text": "stack trace"})),
    ] {
        let model = Model::start(status, body);
        let app = model.app(1).await;
        let answer = app.client(0).get("/api/posts/generate").await;
        assert!(!answer.text().contains("stack trace"));
        answer.refused(503, "the language model is not available right now");
    }
}
