//! llm-service's own protocol: what is sent, what is taken for a verdict, what counts as away.

use std::time::Duration;

use domain::{analysis::Safety, llm::LlmError, testing};
use serde_json::{Value, json};

use crate::llm::{Answer, Asked, Server, client};

/// A verdict as llm-service writes it.
pub fn verdict(text: &str, model: &str, explanation: &str) -> Value {
    let dangerous = text.contains("kill");
    json!({
        "polarity": "neutral", "score": 0.25, "confidence": 0.75,
        "safety": if dangerous { "dangerous" } else { "ok" },
        "topics": ["music"], "explanation": explanation,
        "model": model, "prompt_version": "7", "tokens": 12,
    })
}

/// llm-service with a model of this name; it explains what it is asked to.
pub fn answer(asked: &Asked, model: &str) -> Answer {
    match asked.what.as_str() {
        "GET /readyz" => Answer::new(
            200,
            json!({"status": "ready", "model": model, "prompt_version": "7"}),
        ),
        "POST /v1/analyze" => {
            let text = asked.body["texts"][0].as_str().unwrap();
            let explain = asked.body["explain"] == true || text.contains("kill");
            let explanation = if explain { "Because." } else { "" };
            Answer::new(
                200,
                json!({"verdicts": [verdict(text, model, explanation)]}),
            )
        }
        "POST /v1/generate" => Answer::new(200, json!({"content": "A warm wind today."})),
        _ => Answer::new(404, ""),
    }
}

#[tokio::test]
async fn a_verdict_an_explanation_and_a_post_are_asked_for() {
    let server = Server::start(|asked| answer(asked, "m")).await;
    for address in ["", "v1", "v1/"] {
        let llm = client(&server, |config| {
            config.llm_url = server.url().join(address).unwrap();
        })
        .await
        .llm;
        let verdict = llm.analyze("hello", "follow-me").await.unwrap();
        assert_eq!((verdict.tokens, verdict.topics), (12, vec!["music".into()]));
        assert_eq!(verdict.explanation, "");
        let verdict = llm.analyze("I kill you", "").await.unwrap();
        assert_eq!(verdict.safety, Safety::Dangerous);
        let verdict = llm.explain("hello", "").await.unwrap();
        assert_eq!(verdict.explanation, "Because.");
        let post = llm.generate(140, "follow-me").await.unwrap();
        assert_eq!(post, "A warm wind today.");
    }
    let asked = server.asked("POST /v1/analyze");
    assert_eq!(asked.len(), 9);
    assert_eq!(asked[0].body, json!({"texts": ["hello"]}));
    assert_eq!(asked[2].body, json!({"texts": ["hello"], "explain": true}));
    assert_eq!(asked[0].header("x-request-id"), "follow-me");
    assert_eq!(asked[0].header("authorization"), "");
    let asked = server.asked("POST /v1/generate");
    assert_eq!(asked[0].body, json!({"max_characters": 140}));
    // With sharing off nobody needs to know who judges.
    assert_eq!(server.asked("GET /readyz").len(), 0);
}

#[tokio::test]
async fn what_is_no_verdict_counts_against_the_text() {
    let one = verdict("x", "m", "");
    for (status, body, says) in [
        (200, "<html>".into(), "cannot be read"),
        (200, json!({}).to_string(), "missing field `verdicts`"),
        (
            200,
            json!({"verdicts": []}).to_string(),
            "one verdict to one text",
        ),
        (
            200,
            json!({"verdicts": [one, one]}).to_string(),
            "one verdict to one text",
        ),
        (
            200,
            json!({"verdicts": [{"polarity": "my own words"}]}).to_string(),
            "another shape",
        ),
        (200, one.to_string().replace("0.25", "2.5"), "missing field"),
        (500, String::new(), "500"),
        (404, String::new(), "404"),
    ] {
        let answer = Answer::new(status, body);
        let server = Server::start(move |_| answer.clone()).await;
        let client = client(&server, |_| {}).await;
        let error = client.llm.analyze("hello", "").await.unwrap_err();
        let LlmError::Failed(why) = &error else {
            panic!("{says}: {error}");
        };
        assert!(why.contains(says) && !why.contains("my own words"), "{why}");
        assert_eq!(client.metric("llm_circuit_state"), 0.0);
    }
}

#[tokio::test]
async fn an_explanation_that_was_asked_for_must_be_there() {
    let server = Server::start(|asked| {
        let text = asked.body["texts"][0].as_str().unwrap();
        Answer::new(200, json!({"verdicts": [verdict(text, "m", "")]}))
    })
    .await;
    let llm = client(&server, |_| {}).await.llm;
    assert!(llm.analyze("hello", "").await.is_ok());
    let error = llm.explain("hello", "").await.unwrap_err();
    assert!(error.to_string().contains("no explanation"), "{error}");
}

#[tokio::test]
async fn a_model_that_is_away_is_left_alone_after_a_few_tries() {
    for status in [429, 502, 503, 504] {
        let server =
            Server::start(move |_| Answer::new(status, "").header("retry-after", "7")).await;
        let client = client(&server, |config| config.llm_share_seconds = 60).await;
        for _ in 0..3 {
            let error = client.llm.analyze("hello", "").await.unwrap_err();
            let LlmError::Away { why, retry_after } = error else {
                panic!("{error}");
            };
            assert!(why.contains(&status.to_string()), "{why}");
            assert_eq!(retry_after, Duration::from_secs(7));
        }
        assert!(client.llm.is_away());
        let error = client.llm.analyze("hello", "").await.unwrap_err();
        assert!(error.to_string().contains("circuit breaker"), "{error}");
        assert_eq!(server.asked("POST /v1/analyze").len(), 3);
        assert_eq!(server.asked("GET /readyz").len(), 3, "nor who it is");
    }
}

#[tokio::test]
async fn a_model_that_says_nothing_is_given_up_in_time() {
    let server = Server::start(|asked| answer(asked, "m")).await;
    server.hold();
    let llm = client(&server, |config| config.llm_timeout_seconds = 1)
        .await
        .llm;
    let error = llm.analyze("hello", "").await.unwrap_err();
    assert!(matches!(error, LlmError::Silent), "{error}");
}

#[tokio::test]
async fn nobody_at_the_address_is_away() {
    let mut config = testing::llm::at("http://127.0.0.1:1/".parse().unwrap());
    config.llm_timeout_seconds = 5;
    let llm = crate::llm::Client::new(&config, &testing::redis().await).llm;
    let error = llm.analyze("hello", "").await.unwrap_err();
    let LlmError::Away { why, .. } = error else {
        panic!("{error}");
    };
    assert!(why.contains("refused"), "{why}");
}
