//! `/v1/chat/completions` and `/v1/models`: what a client of OpenAI's sees.

use serde_json::{Value, json};

use crate::{app::app, http};

const ADDRESS: &str = "/v1/chat/completions";

fn question(words: &str) -> Value {
    json!([{"role": "user", "content": words}])
}

#[tokio::test]
async fn the_model_is_listed() {
    let (app, _turn) = app().await;
    let answer = http::get(app.port, "/v1/models").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["data"][0]["id"], "SmolLM2-135M-Instruct.Q4_1");
    assert_eq!(
        http::post(app.port, "/v1/models", &json!({})).await.status,
        405
    );
}

#[tokio::test]
async fn a_conversation_is_continued() {
    let (app, _turn) = app().await;
    let body = json!({
        "model": "any", "messages": question("Say hello."), "max_tokens": 24, "temperature": 0,
    });
    let answer = http::post(app.port, ADDRESS, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "SmolLM2-135M-Instruct.Q4_1");
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    let words = choice["message"]["content"].as_str().unwrap();
    assert!(words.to_lowercase().contains("hello"), "{words}");
    let tokens = answer["usage"]["completion_tokens"].as_u64().unwrap();
    assert!((1..=24).contains(&tokens), "{answer}");
}

#[tokio::test]
async fn a_streamed_answer_is_the_whole_one_in_pieces() {
    let (app, _turn) = app().await;
    let mut body = json!({
        "messages": question("Name three colours."), "max_tokens": 16, "temperature": 0,
    });
    let whole = http::post(app.port, ADDRESS, &body).await.json();
    let whole = whole["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    body["stream"] = true.into();
    let streamed = http::post(app.port, ADDRESS, &body).await;
    assert_eq!(streamed.status, 200);
    assert_eq!(streamed.header("content-type"), Some("text/event-stream"));
    let events: Vec<&str> = streamed
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    let (last, pieces) = events.split_last().unwrap();
    assert_eq!(*last, "[DONE]", "{}", streamed.body);
    let pieces: Vec<Value> = pieces
        .iter()
        .map(|piece| serde_json::from_str(piece).unwrap())
        .collect();
    assert!(pieces.len() > 3, "{pieces:#?}");
    let words: String = pieces
        .iter()
        .filter_map(|piece| piece["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(words.trim(), whole.trim());
}

#[tokio::test]
async fn likelihoods_are_told_when_asked_for() {
    let (app, _turn) = app().await;
    let body = json!({
        "messages": question("Is ice cold? Answer yes or no."),
        "max_tokens": 1, "temperature": 0, "logprobs": true, "top_logprobs": 5,
    });
    let answer = http::post(app.port, ADDRESS, &body).await.json();
    let first = &answer["choices"][0]["logprobs"]["content"][0];
    let top = first["top_logprobs"].as_array().unwrap();
    assert_eq!(top.len(), 5, "{answer:#}");
    assert_eq!(
        first["token"], top[0]["token"],
        "the likeliest was taken: {first:#}"
    );
    for entry in top {
        let token = entry["token"].as_str().unwrap();
        assert_eq!(entry["bytes"], json!(token.as_bytes()), "{entry}");
        assert!(entry["logprob"].as_f64().unwrap() <= 0.0, "{entry}");
    }
}

#[tokio::test]
async fn json_follows_its_schema() {
    let (app, _turn) = app().await;
    let schema = json!({
        "type": "object",
        "properties": {"mood": {"type": "string", "enum": ["good", "bad"]}},
        "required": ["mood"], "additionalProperties": false,
    });
    let body = json!({
        "messages": question("I love this day! Answer in JSON: is the mood good or bad?"),
        "max_tokens": 40, "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "mood", "schema": schema}},
    });
    let answer = http::post(app.port, ADDRESS, &body).await.json();
    let words = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let mood: Value = serde_json::from_str(words).unwrap();
    assert!(
        ["good", "bad"].contains(&mood["mood"].as_str().unwrap()),
        "{words}"
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_served_is_refused_with_a_sentence() {
    let (app, _turn) = app().await;
    for (body, field) in [
        (json!({}), "messages"),
        (json!({"messages": []}), "messages"),
        (
            json!({"messages": [{"role": "robot", "content": "x"}]}),
            "messages[0].role",
        ),
        (
            json!({"messages": question("x"), "max_tokens": 0}),
            "max_tokens",
        ),
    ] {
        let answer = http::post(app.port, ADDRESS, &body).await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        assert_eq!(answer.json()["field"], field, "{}", answer.body);
    }
}
