//! Servers of OpenAI's protocol that refuse, are busy or talk nonsense, and options that cannot be: what is said of it,
//! whose fault it is taken for, and what is never said.

use std::time::Duration;

use domain::{
    config::{LlmBackend, LlmConfig},
    llm::{Llm, LlmError},
    redis::Redis,
    testing,
};
use prometheus::Registry;
use serde_json::json;

use crate::{
    llm::{Answer, Asked, Client, Server},
    llm_openai::{openai, server},
    llm_openai_server::{Abilities, error},
};

/// The answer of a server that answers every chat so, on which model it is asked for.
async fn refused(answer: Answer, change: impl FnOnce(&mut LlmConfig)) -> (LlmError, Client) {
    let server = Server::start(move |_| answer.clone()).await;
    let client = openai(&server, |config| {
        config.llm_api_model = Some("big-model".into());
        change(config);
    })
    .await;
    (
        client.llm.analyze("my own words", "").await.unwrap_err(),
        client,
    )
}

#[tokio::test]
async fn a_wrong_key_or_model_is_named_and_the_key_is_not_told() {
    let invalid = error(
        401,
        "invalid_api_key",
        "",
        "Incorrect API key provided: sk-secret",
    );
    let unknown = error(404, "model_not_found", "", "The model `x` does not exist");
    for (answer, names) in [
        (invalid.clone(), "LLM_API_KEY"),
        (Answer::new(403, "<html>"), "LLM_API_KEY"),
        (unknown, "LLM_API_MODEL"),
        (Answer::new(404, ""), "LLM_URL"),
        (
            Answer::new(301, "").header("location", "http://127.0.0.1:1/"),
            "LLM_URL",
        ),
    ] {
        let key = |config: &mut LlmConfig| config.llm_api_key = Some("sk-secret".into());
        let (error, client) = refused(answer, key).await;
        let LlmError::Failed(why) = error else {
            panic!("{error}");
        };
        assert!(why.contains(names) && !why.contains("sk-secret"), "{why}");
        assert_eq!(client.metric("llm_circuit_state"), 0.0);
    }
    // The list of models wants the key too.
    let server = server(Abilities {
        key: "sk-other",
        ..Abilities::default()
    })
    .await;
    let error = openai(&server, |_| {})
        .await
        .llm
        .analyze("x", "")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("LLM_API_KEY"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_now_is_away() {
    let busy = error(429, "rate_limit_exceeded", "", "Slow down").header("retry-after", "7");
    for (answer, code, seconds) in [
        (busy, "rate_limit_exceeded", 7),
        (
            error(429, "insufficient_quota", "", "You exceeded your quota"),
            "insufficient_quota",
            1,
        ),
        (Answer::new(500, "oops"), "500", 1),
        (Answer::new(503, "").header("retry-after", "20"), "503", 20),
        (Answer::new(529, ""), "529", 1),
    ] {
        let (error, client) = refused(answer, |_| {}).await;
        let LlmError::Away { why, retry_after } = error else {
            panic!("{error}");
        };
        assert!(why.contains(code), "{why}");
        assert_eq!(retry_after, Duration::from_secs(seconds));
        for _ in 0..2 {
            assert!(client.llm.analyze("x", "").await.is_err());
        }
        assert!(client.llm.is_away());
    }
    let nobody = |config: &mut LlmConfig| config.llm_url = "http://127.0.0.1:1".parse().unwrap();
    let (error, _) = refused(Answer::new(200, ""), nobody).await;
    assert!(matches!(error, LlmError::Away { .. }), "{error}");
}

#[tokio::test]
async fn several_requests_are_one_answer_to_wait_for() {
    let abilities = Abilities::default();
    // Each of the three comes in time, and together they do not.
    let slow = move |asked: &Asked| abilities.answer(asked).after(Duration::from_millis(600));
    let server = Server::start(slow).await;
    let client = openai(&server, |config| config.llm_timeout_seconds = 1).await;
    let error = client.llm.analyze("x", "").await.unwrap_err();
    assert!(matches!(error, LlmError::Silent), "{error}");
}

#[tokio::test]
async fn garbage_is_no_verdict_and_is_not_quoted() {
    let says = |text: &str| {
        let choice =
            json!({"message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
        json!({"choices": [choice]}).to_string()
    };
    for body in [
        String::new(),
        "<html>my own words</html>".to_owned(),
        "[]".to_owned(),
        json!({"choices": "my own words"}).to_string(),
        json!({"choices": []}).to_string(),
        json!({"choices": [{"message": {"content": null, "refusal": "my own words"}}]}).to_string(),
        says(""),
        says("my own words"),
        says(r#"{"polarity": "my own words"}"#),
        says(r#"{"polarity": "positive", "score": 7, "safety": "safe"}"#),
    ] {
        let (error, client) = refused(Answer::new(200, &body), |_| {}).await;
        let LlmError::Failed(why) = error else {
            panic!("{body}: {error}");
        };
        assert!(!why.contains("my own words"), "{why}");
        assert_eq!(client.metric("llm_circuit_state"), 0.0);
    }
}

#[tokio::test]
async fn a_server_without_a_model_says_what_to_do() {
    let server = server(Abilities {
        models: &[],
        ..Abilities::default()
    })
    .await;
    let error = openai(&server, |_| {})
        .await
        .llm
        .analyze("x", "")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("LLM_API_MODEL"), "{error}");
}

#[tokio::test]
async fn a_bad_option_is_named_when_the_client_is_made() {
    let redis = testing::redis().await;
    let fault = |change: &dyn Fn(&mut LlmConfig)| {
        let mut config = testing::llm::at("http://llm".parse().unwrap());
        config.llm_backend = LlmBackend::Openai;
        change(&mut config);
        Llm::new(&config, Redis::new(&redis).unwrap(), &Registry::new())
            .err()
            .map(|error| error.to_string())
    };
    let broken = |config: &mut LlmConfig| config.llm_api_key = Some("sk\nsecret".into());
    let said = fault(&broken).unwrap();
    assert!(
        said.contains("LLM_API_KEY") && !said.contains("secret"),
        "{said}"
    );
    let scheme = |config: &mut LlmConfig| config.llm_url = "ftp://llm".parse().unwrap();
    assert!(fault(&scheme).unwrap().contains("LLM_URL"));
    let empty = |config: &mut LlmConfig| {
        config.llm_api_key = Some("".into());
        config.llm_api_model = Some(String::new());
    };
    assert_eq!(fault(&empty), None);
}
