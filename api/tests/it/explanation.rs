//! `/api/posts/{id}/explanation`: why a verdict is what it is, asked of the model once.

use domain::{
    analysis::Verdict,
    testing::{self, posts as given},
};
use serde_json::{Value, json};

use crate::{
    app::{TestApp, verdict},
    client::Client,
    model::Model,
};

/// What the model answers to a question for a verdict with an explanation.
fn answer(explanation: &str) -> Value {
    json!({"verdicts": [Verdict { explanation: explanation.into(), ..verdict() }]})
}

/// A post with a verdict that nobody has explained, and the address of its explanation.
async fn judged(app: &TestApp, author: &Client, text: &str) -> (i64, String) {
    let post = author.write(text).await;
    app.judge(post, &verdict()).await;
    (post, format!("/api/posts/{post}/explanation"))
}

#[tokio::test]
async fn the_model_is_asked_once_and_what_it_said_is_kept() {
    let model = Model::start(200, answer("It is merry."));
    let app = model.app(2).await;
    let ada = app.member("ada").await;
    let (post, path) = judged(&app, &ada, "Hurray!").await;
    let feed = ada.get("/api/posts").await.ok(200);
    assert_eq!(feed[0]["correction"], "", "nobody has asked yet");

    let anybody = app.client(0);
    let request = anybody.request("GET", &path);
    let explained = request.header("x-request-id", "follow-me").send().await;
    assert_eq!(explained.ok(200), json!({"explanation": "It is merry."}));
    let (id, question) = model.question();
    assert_eq!(id, "follow-me");
    assert_eq!(question["texts"], json!(["Hurray!"]));
    assert_eq!(question["explain"], true);
    // Seen by everybody from now on, and not paid for again.
    for replica in 0..2 {
        let client = app.client(replica);
        let feed = client.get("/api/posts").await.ok(200);
        assert_eq!(feed[0]["correction"], "It is merry.");
        assert_eq!(feed[0]["analysis"]["explanation"], "It is merry.");
        let again = client.get(&path).await.ok(200);
        assert_eq!(again, json!({"explanation": "It is merry."}));
    }
    assert!(!model.was_asked());

    // Another text wants another explanation.
    let own = format!("/api/posts/{post}");
    ada.put(&own, json!({"content": "Alas!"})).await.ok(200);
    anybody.get(&path).await.refused(409, "not judged yet");
}

#[tokio::test]
async fn an_explanation_that_is_there_needs_no_model() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let post = ada.write("Hurray!").await;
    let known = Verdict {
        explanation: "Joy.".into(),
        ..verdict()
    };
    app.judge(post, &known).await;
    let path = format!("/api/posts/{post}/explanation");
    let explained = app.client(0).get(&path).await.ok(200);
    assert_eq!(explained, json!({"explanation": "Joy."}));
}

#[tokio::test]
async fn without_a_verdict_there_is_nothing_to_explain() {
    let model = Model::start(200, answer("It is merry."));
    let app = model.app(1).await;
    let ada = app.member("ada").await;
    let post = ada.write("Hurray!").await;
    let path = format!("/api/posts/{post}/explanation");
    let waits = ada.get(&path).await;
    assert_eq!(waits.number("retry-after"), 2);
    waits.refused(409, "this post is not judged yet: try again shortly");

    app.give_up(post, "it answered 500").await;
    let dead = ada.get(&path).await;
    assert_eq!(dead.header("retry-after"), "");
    dead.refused(409, "could not judge this post");

    ada.delete(&format!("/api/posts/{post}")).await.ok(200);
    ada.get(&path).await.refused(404, "no such post");
    assert!(!model.was_asked());
}

#[tokio::test]
async fn a_model_that_is_away_or_talks_nonsense_is_503_and_the_verdict_stays() {
    for (status, body, wait) in [
        (503, json!({"message": "full"}), 7),
        (500, json!({"secret": "stack trace"}), 5),
        (200, json!({"secret": "stack trace"}), 5),
        (200, answer(""), 5),
        (200, answer(&"long ".repeat(50)), 5),
    ] {
        let model = Model::start(status, body);
        let app = model.app(1).await;
        let ada = app.member("ada").await;
        let (post, path) = judged(&app, &ada, "Hurray!").await;
        let answer = ada.get(&path).await;
        assert_eq!(answer.number("retry-after"), wait);
        assert!(!answer.text().contains("stack trace"));
        answer.refused(503, "the language model is not available right now");
        let post = ada.get(&format!("/api/posts/{post}")).await.ok(200);
        assert_eq!(post["sentiment"], "ok");
        assert_eq!(post["correction"], "");
    }
}

#[tokio::test]
async fn the_explanation_of_a_text_that_was_changed_meanwhile_is_not_kept() {
    let model = Model::slow(200, answer("It is merry."));
    let app = model.app(1).await;
    let ada = app.member("ada").await;
    let (post, path) = judged(&app, &ada, "Hurray!").await;
    let (anybody, asked) = (app.client(0), path.clone());
    let explained = tokio::spawn(async move { anybody.get(&asked).await });
    // The question, in a thread that may wait.
    let model = tokio::task::spawn_blocking(move || {
        model.question();
        model
    });
    let model = model.await.unwrap();
    let own = format!("/api/posts/{post}");
    ada.put(&own, json!({"content": "Alas!"})).await.ok(200);
    model.answer(1);
    let explained = explained.await.unwrap();
    explained.refused(409, "not judged yet");
    app.judge(post, &verdict()).await;
    assert_eq!(ada.get(&own).await.ok(200)["correction"], "");
}

#[tokio::test]
async fn who_hangs_up_leaves_the_explanation_to_the_next() {
    let model = Model::slow(200, answer("It is merry."));
    let app = model.app(1).await;
    let ada = app.member("ada").await;
    let (post, path) = judged(&app, &ada, "Hurray!").await;
    let anybody = app.client(0);
    let impatient = tokio::spawn(async move { anybody.get(&path).await });
    let model = tokio::task::spawn_blocking(move || {
        model.question();
        model
    });
    let model = model.await.unwrap();
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    model.answer(1);
    testing::eventually("the explanation to be kept", async || {
        let post = ada.get(&format!("/api/posts/{post}")).await.ok(200);
        post["correction"] == "It is merry."
    })
    .await;
    assert!(!model.was_asked());
}

#[tokio::test]
async fn a_post_that_waits_to_be_judged_again_is_explained_as_it_is() {
    let model = Model::start(200, answer("It is merry."));
    let app = model.app(1).await;
    let ada = app.member("ada").await;
    let (post, path) = judged(&app, &ada, "Hurray!").await;
    let worker = app.worker();
    let all = ["all".parse().unwrap()];
    let marked = domain::analysis::reanalyze(&worker.db, &all, 1, |_| {}).await;
    assert_eq!(marked.unwrap().marked, 1);
    let explained = ada.get(&path).await.ok(200);
    assert_eq!(explained, json!({"explanation": "It is merry."}));

    // The second verdict needs an explanation of its own.
    given::make_due(&worker).await;
    app.judge(post, &verdict()).await;
    let post = ada.get(&format!("/api/posts/{post}")).await.ok(200);
    assert_eq!(post["analysis"]["explanation"], "");
}
