//! Every refusal has the one shape, and says what to do instead.

use serde_json::json;

use crate::{
    app::{MAX_TEXTS, app},
    http::{self, Answer},
};

const JSON: &str = "content-type: application/json";

fn is_problem(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{answer:?}"
    );
    let body = answer.json();
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], "about:blank");
    assert_eq!(body["message"], body["detail"]);
    assert!(!body["title"].as_str().unwrap().is_empty());
    assert!(
        body["detail"].as_str().unwrap().contains(words),
        "{words:?} in {body}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let (app, _turn) = app().await;
    let large = format!(
        r#"{{"texts":["{}"]}}"#,
        "a".repeat(MAX_TEXTS * 5_000 * 6 + 2_000)
    );
    for (method, path, header, body, status, words) in [
        (
            "POST",
            "/v1/analyze",
            JSON,
            "{",
            400,
            "ends too early, at line 1 column 1",
        ),
        ("POST", "/v1/analyze", JSON, "", 400, "ends too early"),
        (
            "POST",
            "/v1/analyze",
            JSON,
            "{\n texts: []}",
            400,
            "line 2 column 2",
        ),
        ("POST", "/v1/generate", JSON, "{\"prompt\"", 400, "line 1"),
        ("POST", "/v1/analyze", JSON, &large, 413, "at most"),
        (
            "POST",
            "/v1/analyze",
            "content-type: text/plain",
            "{}",
            415,
            "content-type: application/json",
        ),
        (
            "POST",
            "/v1/analyze",
            "x-none: 1",
            "{}",
            415,
            "application/json",
        ),
        (
            "GET",
            "/v1/nothing",
            JSON,
            "",
            404,
            "nothing at this address",
        ),
        ("GET", "/", JSON, "", 404, "nothing at this address"),
        ("GET", "/v1/analyze", JSON, "", 405, "Only POST"),
        ("DELETE", "/v1/generate", JSON, "", 405, "Only POST"),
        ("POST", "/readyz", JSON, "", 405, "Only GET"),
    ] {
        let request = http::request(method, path, &[header], body);
        let answer = http::receive(http::send(app.port, &request).await).await;
        is_problem(&answer, status, words);
        assert_eq!(
            answer.header("allow").is_some(),
            status == 405,
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_with_field_and_rule() {
    let (app, _turn) = app().await;
    let long = "a".repeat(5_001);
    for (path, body, field, words) in [
        ("/v1/analyze", json!({"texts": []}), "texts", "there are 0"),
        (
            "/v1/analyze",
            json!({"texts": vec!["a"; MAX_TEXTS + 1]}),
            "texts",
            "there are 5",
        ),
        (
            "/v1/analyze",
            json!({"texts": "hello"}),
            "texts",
            "an array of 1 to 4 strings",
        ),
        (
            "/v1/analyze",
            json!({"texts": ["hello", 7]}),
            "texts",
            "an array of 1 to 4 strings",
        ),
        (
            "/v1/analyze",
            json!({}),
            "texts",
            "an array of 1 to 4 strings",
        ),
        (
            "/v1/analyze",
            json!({"texts": ["fine", " \n"]}),
            "texts[1]",
            "not all of them white space",
        ),
        (
            "/v1/analyze",
            json!({"texts": [""]}),
            "texts[0]",
            "it has 0",
        ),
        (
            "/v1/analyze",
            json!({"texts": [long]}),
            "texts[0]",
            "it has 5001",
        ),
        (
            "/v1/generate",
            json!({"max_characters": 19}),
            "max_characters",
            "from 20 to 500",
        ),
        (
            "/v1/generate",
            json!({"max_characters": -1}),
            "max_characters",
            "it is -1",
        ),
        (
            "/v1/generate",
            json!({"max_characters": 501}),
            "max_characters",
            "it is 501",
        ),
        (
            "/v1/generate",
            json!({"prompt": "a".repeat(501)}),
            "prompt",
            "it has 501",
        ),
        (
            "/v1/generate",
            json!({"prompt": 7}),
            "prompt",
            "must be a string",
        ),
    ] {
        let answer = http::post(app.port, path, &body).await;
        is_problem(&answer, 422, words);
        assert_eq!(answer.json()["field"], field);
        assert!(!answer.json()["rule"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_refusal_does_not_repeat_what_a_person_wrote() {
    let (app, _turn) = app().await;
    let answer = http::post(app.port, "/v1/analyze", &json!({"texts": "my secret"})).await;
    assert!(!answer.body.contains("secret"), "{}", answer.body);
}
