//! `/api/posts`.

use domain::{analysis::Verdict, testing};
use serde_json::{Value, json};

use super::shape;
use crate::app::{TestApp, verdict};

/// A post as it is shown to nobody in particular.
fn without_flags(post: &Value) -> Value {
    let mut post = post.clone();
    post["viewer"] = Value::Null;
    post
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
          "error": null,
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
        "display_name": "",
        "edited": false,
        "id": "[id]",
        "likes": 0,
        "replies": 0,
        "reply_to": null,
        "repost": null,
        "reposts": 0,
        "sentiment": "",
        "thread_id": null,
        "updated_at": "[time]",
        "userId": "[id]",
        "username": "ada",
        "viewer": {
          "bookmarked": false,
          "liked": false,
          "reposted": false
        }
      }
    ]
    "#);
    assert_eq!(written[0]["userId"], ada.id);
    let feed = nobody.get("/api/posts").await.ok(200);
    let shown = json!([without_flags(&written[0])]);
    assert_eq!(feed, shown, "the feed shows what the writer was told");
    let post = format!("/api/posts/{}", written[0]["id"]);
    assert_eq!(nobody.get(&post).await.ok(200), shown[0]);
    assert_eq!(ada.get(&post).await.ok(200), written[0]);

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
            "error": null,
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
          "display_name": "",
          "edited": true,
          "id": "[id]",
          "likes": 0,
          "replies": 0,
          "reply_to": null,
          "repost": null,
          "reposts": 0,
          "sentiment": "",
          "thread_id": null,
          "updated_at": "[time]",
          "userId": "[id]",
          "username": "ada",
          "viewer": {
            "bookmarked": false,
            "liked": false,
            "reposted": false
          }
        }
      ]
    }
    "#);
    let changed = &changed["updated_post"][0];
    assert_eq!(changed["created_at"], written[0]["created_at"]);
    assert_ne!(changed["updated_at"], written[0]["updated_at"]);
    let shown = &nobody.get("/api/posts").await.ok(200)[0];
    assert_eq!(*shown, without_flags(changed));

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
          "display_name": "",
          "edited": true,
          "id": "[id]",
          "likes": 0,
          "replies": 0,
          "reply_to": null,
          "repost": null,
          "reposts": 0,
          "sentiment": "",
          "thread_id": null,
          "updated_at": "[time]",
          "userId": "[id]",
          "username": "ada",
          "viewer": {
            "bookmarked": false,
            "liked": false,
            "reposted": false
          }
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
    let joyful = Verdict {
        explanation: "Joy.".into(),
        ..verdict()
    };
    app.judge(post, &joyful).await;

    let path = format!("/api/posts/{post}");
    let judged = ada.get(&path).await.ok(200);
    shape!(judged, @r#"
    {
      "analysis": {
        "confidence": 0.5,
        "error": null,
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
      "display_name": "",
      "edited": false,
      "id": "[id]",
      "likes": 0,
      "replies": 0,
      "reply_to": null,
      "repost": null,
      "reposts": 0,
      "sentiment": "ok",
      "thread_id": null,
      "updated_at": "[time]",
      "userId": "[id]",
      "username": "ada",
      "viewer": {
        "bookmarked": false,
        "liked": false,
        "reposted": false
      }
    }
    "#);
    testing::eventually("the verdict to be in the feed", async || {
        ada.get("/api/posts").await.ok(200)[0] == without_flags(&judged)
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
      "error": null,
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
async fn a_post_that_was_given_up_says_why_and_names_no_address_of_ours() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let post = ada.write("I could kiss the whole world").await;
    let why = "its answer cannot be read: for url (http://10.0.0.7:3300/v1/analyze)";
    app.give_up(post, why).await;
    let dead = ada.get(&format!("/api/posts/{post}")).await.ok(200);
    shape!(dead["analysis"], @r#"
    {
      "confidence": null,
      "error": "its answer cannot be read: for url …",
      "explanation": null,
      "model": null,
      "polarity": null,
      "safety": null,
      "score": null,
      "status": "dead",
      "topics": []
    }
    "#);
    assert_eq!(dead["sentiment"], "");
}

#[tokio::test]
async fn an_explanation_on_request() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let post = ada.write("I could kiss the whole world").await;
    let joyful = Verdict {
        explanation: "Joy.".into(),
        ..verdict()
    };
    app.judge(post, &joyful).await;
    let path = format!("/api/posts/{post}/explanation");
    shape!(app.client(0).get(&path).await.ok(200), @r#"
    {
      "explanation": "Joy."
    }
    "#);
}
