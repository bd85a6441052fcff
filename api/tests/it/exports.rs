//! The export, as its owner downloads it.

use domain::analysis::Verdict;
use serde_json::json;

use crate::app::{PASSWORD, TestApp, verdict};

#[tokio::test]
async fn everything_that_is_stored_of_a_person_but_the_password() {
    let app = TestApp::start(1).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let (eve, zoe) = (app.member("eve").await, app.member("zoe").await);
    ada.put(
        "/api/profile",
        json!({"display_name": "Ada", "bio": "Engines"}),
    )
    .await
    .ok(200);
    for (client, id, deed) in [
        (&ada, bob.id, "follow"),
        (&bob, ada.id, "follow"),
        (&ada, eve.id, "block"),
        (&ada, zoe.id, "mute"),
    ] {
        let path = format!("/api/user/{id}/{deed}");
        client.request("POST", &path).send().await.ok(200);
    }
    let (post, his) = (ada.write("first").await, bob.write("his").await);
    let path = format!("/api/posts/{post}");
    ada.put(&path, json!({"content": "second"})).await.ok(200);
    app.judge(
        post,
        &Verdict {
            explanation: "Joy.".into(),
            ..verdict()
        },
    )
    .await;
    let gone = ada.write("gone").await;
    ada.delete(&format!("/api/posts/{gone}")).await.ok(200);
    let sql = app.sql().await;
    for statement in [
        "INSERT INTO likes (user_id, post_id) VALUES ($1, $2)",
        "INSERT INTO bookmarks (user_id, post_id) VALUES ($1, $2)",
        "INSERT INTO posts (user_id, repost_of, content) VALUES ($1, $2, '')",
    ] {
        let query = sqlx::query(statement).bind(ada.id).bind(his);
        query.execute(&sql).await.unwrap();
    }
    ada.post("/api/notifications/read", json!({})).await.ok(200);

    let answer = ada.get("/api/export").await;
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"linnet-ada.json\""
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let text = answer.text();
    for secret in [PASSWORD, "$argon2", "password", "hash"] {
        assert!(!text.contains(secret), "{text}");
    }
    let export = answer.ok(200);
    let of = |list: &str| {
        let items = export[list].as_array().unwrap();
        let name = |item: &serde_json::Value| item["username"].as_str().unwrap().to_owned();
        items.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(export["account"]["id"], ada.id);
    assert_eq!(export["account"]["username"], "ada");
    assert_eq!(export["account"]["display_name"], "Ada");
    assert_eq!(export["account"]["bio"], "Engines");
    assert_eq!(of("followed"), ["bob"]);
    assert_eq!(of("followers"), ["bob"]);
    assert_eq!(of("blocks"), ["eve"]);
    assert_eq!(of("mutes"), ["zoe"]);
    assert_eq!(of("notifications"), ["bob"]);
    assert!(export["notifications"][0]["read_at"].is_string());
    assert_eq!(export["notifications"][0]["kind"], "follow");
    for list in ["likes", "bookmarks"] {
        assert_eq!(export[list][0]["post_id"], his, "{list}");
        assert_eq!(export[list].as_array().map(Vec::len), Some(1));
    }
    assert_eq!(export["sessions"][0]["current"], true);
    let posts = export["posts"].as_array().unwrap();
    assert_eq!(posts.len(), 2, "what is deleted is not hers any more");
    assert_eq!(posts[0]["repost_of"], his);
    assert_eq!(posts[1]["id"], post);
    assert_eq!(posts[1]["content"], "second");
    assert_eq!(posts[1]["edits"][0]["content"], "first");
    assert_eq!(posts[1]["edits"][0]["created_at"], posts[1]["created_at"]);
    assert_eq!(posts[1]["analysis"]["explanation"], "Joy.");
    // Of somebody who has nothing there is an empty list of each kind.
    let empty = zoe.get("/api/export").await.ok(200);
    for list in [
        "followed",
        "followers",
        "blocks",
        "mutes",
        "likes",
        "bookmarks",
        "notifications",
        "posts",
    ] {
        assert_eq!(empty[list], json!([]), "{list}");
    }
}

#[tokio::test]
async fn a_large_account_is_sent_in_pieces_and_whole() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let sql = app.sql().await;
    let long = "x".repeat(490);
    // Lists whose last part is full, whose last part is not, and more bytes than any buffer between here and there.
    for (statement, count) in [
        (
            "INSERT INTO users (username, password_hash) SELECT 'user' || n || left($3, 0), '' FROM generate_series(1, $2) AS n WHERE $1 > 0",
            1_000,
        ),
        (
            "INSERT INTO follows (follower_id, followed_id) SELECT $1, id FROM users WHERE id <> $1 AND $2 > length($3)",
            1_000,
        ),
        (
            "INSERT INTO posts (user_id, content) SELECT $1, n || $3 FROM generate_series(1, $2) AS n",
            20_000,
        ),
        (
            "INSERT INTO likes (user_id, post_id) SELECT $1, id FROM posts WHERE id <= $2 AND length($3) > 0",
            501,
        ),
    ] {
        let query = sqlx::query(statement).bind(ada.id).bind(count).bind(&long);
        query.execute(&sql).await.unwrap();
    }
    let answer = ada.get("/api/export").await;
    assert!(answer.body.len() > 10_000_000, "{}", answer.body.len());
    let export = answer.ok(200);
    for (list, count) in [("followed", 1_000), ("likes", 501), ("posts", 20_000)] {
        assert_eq!(export[list].as_array().map(Vec::len), Some(count), "{list}");
    }
    // Asking for the headers alone, or hanging up, leaves nothing behind that others would wait for.
    for _ in 0..3 {
        let head = ada.request("HEAD", "/api/export").send().await;
        assert_eq!(head.status, 200);
    }
    ada.get("/api/export").await.ok(200);
}

#[tokio::test]
async fn an_export_is_paid_for_as_a_write() {
    let app = TestApp::with(1, |config| {
        config.rate_limits.rate_limiter = true;
        config.rate_limits.rate_limit_writes = "1/3600".parse().unwrap();
    })
    .await;
    let ada = app.member("ada").await;
    ada.get("/api/export").await.ok(200);
    ada.get("/api/export")
        .await
        .refused(429, "too many requests");
    ada.get("/api/notifications").await.ok(200);
}
