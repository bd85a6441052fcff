//! The request's id: made or passed through, returned with every answer, and kept with the post it wrote.

use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn a_request_has_an_id_and_may_bring_its_own() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    let id = async |given: &[u8]| {
        let request = nobody.request("GET", "/api/posts");
        let answer = request.header("x-request-id", given).send().await;
        answer.header("x-request-id").to_owned()
    };
    let made = nobody.get("/livez").await.header("x-request-id").to_owned();
    let is_ours = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(is_ours(&made), "{made}");
    assert_ne!(nobody.get("/livez").await.header("x-request-id"), made);

    let longest = "x".repeat(64);
    for sound in ["a", "0af7651916cd43dd8448eb211c80319c", "A-b_c.9", &longest] {
        assert_eq!(id(sound.as_bytes()).await, sound);
    }
    let too_long = "x".repeat(65);
    for harmful in [
        "",
        " ",
        "two words",
        "quote\"",
        "{}",
        "a\tb",
        "<b>",
        &too_long,
        "é",
    ] {
        let given = id(harmful.as_bytes()).await;
        assert!(is_ours(&given), "{harmful:?} became {given:?}");
    }
    assert!(is_ours(&id(b"\xff\xfe").await));
}

#[tokio::test]
async fn whatever_is_answered_carries_the_id() {
    let app = TestApp::with(1, |config| {
        config.rate_limits.rate_limiter = true;
        config.rate_limits.rate_limit_writes = "1/3600".parse().unwrap();
    })
    .await;
    for (method, path, status) in [
        ("GET", "/livez", 200),
        ("GET", "/api/posts/abc", 404),
        ("GET", "/nothing", 404),
        ("POST", "/livez", 405),
        ("POST", "/api/posts", 401),
        ("POST", "/api/posts", 429),
        ("GET", "/docs", 307),
        ("GET", "/metrics", 200),
    ] {
        let request = app.client(0).request(method, path);
        let answer = request.header("x-request-id", "mine").send().await;
        assert_eq!(
            (answer.status, answer.header("x-request-id")),
            (status, "mine"),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_post_keeps_the_id_of_the_request_that_wrote_its_text() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let sql = app.sql().await;
    let kept = async |post: i64| -> String {
        let query = sqlx::query_scalar("SELECT request_id FROM posts WHERE id = $1");
        query.bind(post).fetch_one(&sql).await.unwrap()
    };
    let write = ada
        .request("POST", "/api/posts")
        .header("x-request-id", "write-1");
    let written = write
        .json(&json!({"content": "first"}))
        .send()
        .await
        .ok(201);
    let post = written[0]["id"].as_i64().unwrap();
    assert_eq!(kept(post).await, "write-1");
    let path = format!("/api/posts/{post}");
    let change = ada.request("PUT", &path).header("x-request-id", "change-2");
    change
        .json(&json!({"content": "second"}))
        .send()
        .await
        .ok(200);
    assert_eq!(kept(post).await, "change-2");

    let unnamed = ada.post("/api/posts", json!({"content": "third"})).await;
    let id = unnamed.header("x-request-id").to_owned();
    let post = unnamed.ok(201)[0]["id"].as_i64().unwrap();
    assert_eq!(kept(post).await, id);
}
