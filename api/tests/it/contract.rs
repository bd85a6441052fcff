//! The native contract, call by call, shapes exactly as clients of the Node service know them.

use std::time::Duration;

use domain::{
    analysis::{self, Polarity, Safety, Verdict},
    ids::PostId,
    jobs::AnalyzePost,
    testing,
};
use insta::{assert_json_snapshot, internals::Content};
use serde_json::json;

use crate::{
    app::{PASSWORD, TestApp},
    client::ids,
};

/// Hides an id, after a look at it.
fn id(value: Content, _: insta::internals::ContentPath<'_>) -> &'static str {
    assert!(value.as_i64().is_some_and(|id| id > 0), "{value:?}");
    "[id]"
}

/// Hides a time, after a look at it.
fn time(value: Content, _: insta::internals::ContentPath<'_>) -> &'static str {
    assert_is_now(value.as_str().unwrap_or_default());
    "[time]"
}

/// The same where there may be none.
fn deletion(value: Content, path: insta::internals::ContentPath<'_>) -> Content {
    match value {
        Content::None | Content::Unit => value,
        _ => time(value, path).into(),
    }
}

fn assert_is_now(text: &str) {
    let time = chrono::DateTime::parse_from_rfc3339(text).expect("a time");
    let age = domain::clock::Clock::System.now() - time.to_utc();
    assert!(age.num_minutes().abs() < 5, "{text}");
}

macro_rules! shape {
    ($value:expr, @$snapshot:literal) => {
        assert_json_snapshot!($value, {
            ".**.id" => insta::dynamic_redaction(id),
            ".**.userId" => insta::dynamic_redaction(id),
            ".**.created_at" => insta::dynamic_redaction(time),
            ".**.deleted_at" => insta::dynamic_redaction(deletion),
            ".**.updated_at" => insta::dynamic_redaction(time),
        }, @$snapshot)
    };
}

#[tokio::test]
async fn signing_up_and_looking_people_up() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    let credentials = json!({"username": "Ada.L_1-x", "password": PASSWORD});
    let created = nobody.post("/api/user/signup", credentials).await;
    assert_eq!(created.header("set-cookie"), "", "one logs in afterwards");
    let created = created.ok(201);
    shape!(created, @r#"
    {
      "User created": [
        {
          "id": "[id]",
          "username": "Ada.L_1-x"
        }
      ]
    }
    "#);
    let ada = &created["User created"][0]["id"];
    let bob = app.member("bob").await;

    let listed = nobody.get("/api/user").await.ok(200);
    assert_eq!(
        ids(&listed),
        [bob.id, ada.as_i64().unwrap()],
        "newest first"
    );
    shape!(listed, @r#"
    [
      {
        "id": "[id]",
        "username": "bob"
      },
      {
        "id": "[id]",
        "username": "Ada.L_1-x"
      }
    ]
    "#);
    shape!(nobody.get(&format!("/api/user/{ada}")).await.ok(200), @r#"
    {
      "id": "[id]",
      "username": "Ada.L_1-x"
    }
    "#);
}

#[tokio::test]
async fn logging_in_and_out() {
    let app = TestApp::start(1).await;
    let mut ada = app.member("ada").await;
    ada.token = None;
    shape!(ada.get("/api/auth/loginstatus").await.ok(200), @r#"
    {
      "isLoggedIn": false
    }
    "#);
    for (username, password) in [("ada", "wrong password"), ("eve", PASSWORD), ("ada", "")] {
        let refused = ada.login(username, password).await;
        assert_eq!(refused.header("set-cookie"), "");
        refused.refused(401, "Invalid credentials");
    }

    let login = ada.login("ADA", PASSWORD).await;
    let cookie = login.header("set-cookie").to_owned();
    shape!(login.ok(200), @r#"
    {
      "message": "User logged in"
    }
    "#);
    let token = ada.token.clone().unwrap();
    let mut attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(
        attributes,
        ["HttpOnly", "Max-Age=86400", "Path=/", "SameSite=Lax"]
    );
    assert_eq!(
        cookie.split("; ").next(),
        Some(format!("jwt={token}").as_str())
    );
    shape!(ada.get("/api/auth/loginstatus").await.ok(200), @r#"
    {
      "isLoggedIn": true,
      "user": {
        "id": "[id]",
        "username": "ada"
      }
    }
    "#);

    let logout = ada.get("/api/auth/logout").await;
    let gone = logout.header("set-cookie").to_owned();
    assert!(
        gone.starts_with("jwt=; ") && gone.contains("Max-Age=0"),
        "{gone}"
    );
    assert!(
        gone.contains("Path=/") && gone.contains("HttpOnly"),
        "{gone}"
    );
    shape!(logout.ok(200), @r#"
    {
      "message": "User logged out"
    }
    "#);
    assert!(!ada.is_logged_in().await);
    // Nobody is told off for logging out twice.
    ada.get("/api/auth/logout").await.ok(200);
}

#[tokio::test]
async fn over_https_the_cookie_is_for_https_only() {
    let direct = TestApp::start(1).await;
    direct.member("ada").await;
    let proxied = TestApp::with(1, TestApp::behind_a_proxy).await;
    proxied.member("ada").await;
    let cookie = async |app: &TestApp, proto: &str| {
        let request = app.client(0).request("POST", "/api/auth/login");
        let request = request.header("x-forwarded-proto", proto);
        let credentials = json!({"username": "ada", "password": PASSWORD});
        let answer = request.json(&credentials).send().await;
        assert_eq!(answer.status, 200);
        answer.header("set-cookie").to_owned()
    };
    assert!(cookie(&proxied, "https").await.contains("; Secure"));
    assert!(!cookie(&proxied, "http").await.contains("Secure"));
    // Whoever is not the proxy may say what they like.
    assert!(!cookie(&direct, "https").await.contains("Secure"));
}

#[tokio::test]
async fn changing_and_deleting_ones_account() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let own = format!("/api/user/{}", ada.id);
    let renamed = ada.put(&own, json!({"username": "countess"})).await;
    assert_eq!(renamed.header("set-cookie"), "", "the login goes on");
    shape!(renamed.ok(200), @r#"
    {
      "User updated": [
        {
          "id": "[id]",
          "username": "countess"
        }
      ]
    }
    "#);
    let both = json!({"username": "ada", "password": "another good one"});
    shape!(ada.put(&own, both).await.ok(200), @r#"
    {
      "User updated": [
        {
          "id": "[id]",
          "username": "ada"
        }
      ]
    }
    "#);

    let mut ada = app.client(0);
    ada.login("ada", "another good one").await.ok(200);
    shape!(ada.delete(&own).await.ok(200), @r#"
    {
      "User deleted": [
        {
          "id": "[id]",
          "username": "ada"
        }
      ]
    }
    "#);
    ada.get(&own).await.refused(404, "no such user");
    shape!(ada.get("/api/user").await.ok(200), @"[]");
}

#[tokio::test]
async fn writing_reading_changing_and_deleting_a_post() {
    let app = TestApp::start(1).await;
    let (ada, nobody) = (app.member("ada").await, app.client(0));
    shape!(nobody.get("/api/posts").await.ok(200), @"[]");

    let text = "  The first swallow of the year! 🐦\r\nSecond line  ";
    let written = ada
        .post("/api/posts", json!({"content": text}))
        .await
        .ok(201);
    shape!(written, @r#"
    [
      {
        "analysis": {
          "confidence": null,
          "explanation": null,
          "model": null,
          "polarity": null,
          "safety": null,
          "score": null,
          "status": "pending",
          "topics": []
        },
        "content": "The first swallow of the year! 🐦\nSecond line",
        "correction": "",
        "created_at": "[time]",
        "deleted_at": null,
        "id": "[id]",
        "sentiment": "",
        "updated_at": "[time]",
        "userId": "[id]",
        "username": "ada"
      }
    ]
    "#);
    assert_eq!(written[0]["userId"], ada.id);
    let feed = nobody.get("/api/posts").await.ok(200);
    assert_eq!(feed, written, "the feed shows what the writer was told");
    let post = format!("/api/posts/{}", written[0]["id"]);
    assert_eq!(nobody.get(&post).await.ok(200), written[0]);

    let changed = ada
        .put(&post, json!({"content": "It was a swift."}))
        .await
        .ok(200);
    shape!(changed, @r#"
    {
      "message": "success",
      "updated_post": [
        {
          "analysis": {
            "confidence": null,
            "explanation": null,
            "model": null,
            "polarity": null,
            "safety": null,
            "score": null,
            "status": "pending",
            "topics": []
          },
          "content": "It was a swift.",
          "correction": "",
          "created_at": "[time]",
          "deleted_at": null,
          "id": "[id]",
          "sentiment": "",
          "updated_at": "[time]",
          "userId": "[id]",
          "username": "ada"
        }
      ]
    }
    "#);
    let changed = &changed["updated_post"][0];
    assert_eq!(changed["created_at"], written[0]["created_at"]);
    assert_ne!(changed["updated_at"], written[0]["updated_at"]);
    assert_eq!(&nobody.get("/api/posts").await.ok(200)[0], changed);

    let deleted = ada.delete(&post).await.ok(200);
    shape!(deleted, @r#"
    {
      "Post deleted": [
        {
          "analysis": null,
          "content": "It was a swift.",
          "correction": "",
          "created_at": "[time]",
          "deleted_at": "[time]",
          "id": "[id]",
          "sentiment": "",
          "updated_at": "[time]",
          "userId": "[id]",
          "username": "ada"
        }
      ]
    }
    "#);
    assert_eq!(nobody.feed().await, [0; 0]);
    nobody.get(&post).await.refused(404, "no such post");
}

#[tokio::test]
async fn a_judged_post_shows_its_verdict() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let post = ada.write("I could kiss the whole world").await;
    let worker = app.worker();
    let job = AnalyzePost {
        post_id: PostId(post),
        revision: 1,
        request_id: "test".into(),
    };
    let verdict = Verdict {
        polarity: Polarity::Positive,
        score: 0.75,
        confidence: 0.5,
        safety: Safety::Ok,
        topics: vec!["mood".into()],
        explanation: "Joy.".into(),
        model: "test-model".into(),
        prompt_version: "1".into(),
        tokens: 7,
    };
    let lease = Duration::from_secs(10);
    analysis::claim(&worker, &job, "a", lease)
        .await
        .unwrap()
        .unwrap();
    analysis::finish(&worker, &job, &verdict)
        .await
        .unwrap()
        .unwrap();

    let path = format!("/api/posts/{post}");
    let judged = ada.get(&path).await.ok(200);
    shape!(judged, @r#"
    {
      "analysis": {
        "confidence": 0.5,
        "explanation": "Joy.",
        "model": "test-model",
        "polarity": "positive",
        "safety": "ok",
        "score": 0.75,
        "status": "done",
        "topics": [
          "mood"
        ]
      },
      "content": "I could kiss the whole world",
      "correction": "Joy.",
      "created_at": "[time]",
      "deleted_at": null,
      "id": "[id]",
      "sentiment": "ok",
      "updated_at": "[time]",
      "userId": "[id]",
      "username": "ada"
    }
    "#);
    testing::eventually("the verdict to be in the feed", async || {
        ada.get("/api/posts").await.ok(200)[0] == judged
    })
    .await;
    // Another text, another verdict.
    let changed = ada
        .put(&path, json!({"content": "I take it back"}))
        .await
        .ok(200);
    shape!(changed["updated_post"][0]["analysis"], @r#"
    {
      "confidence": null,
      "explanation": null,
      "model": null,
      "polarity": null,
      "safety": null,
      "score": null,
      "status": "pending",
      "topics": []
    }
    "#);
    assert_eq!(changed["updated_post"][0]["sentiment"], "");
}

#[tokio::test]
async fn the_same_token_counts_as_bearer() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let token = ada.token.clone().unwrap();
    let ask = async |value: String| {
        let request = app.client(0).request("GET", "/api/auth/loginstatus");
        let status = request.header("authorization", value).send().await.ok(200);
        status["user"]["id"].as_i64()
    };
    assert_eq!(ask(format!("Bearer {token}")).await, Some(ada.id));
    assert_eq!(
        ask(format!("bearer {token}")).await,
        Some(ada.id),
        "a scheme has no case (RFC 9110)"
    );
    assert_eq!(ask(format!("Bearer {token}x")).await, None);
    assert_eq!(ask(token.clone()).await, None);
    assert_eq!(ask("Bearer ".into()).await, None);

    let request = app.client(0).request("POST", "/api/posts");
    let request = request.header("authorization", format!("Bearer {token}"));
    let posts = request.json(&json!({"content": "by program"})).send().await;
    assert_eq!(posts.ok(201)[0]["userId"], ada.id);
}
