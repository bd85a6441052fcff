//! Bodies that cannot be taken, and texts that are no posts.

use serde_json::json;

use super::rule;
use crate::{
    app::TestApp,
    client::{Answer, Client},
};

async fn raw(client: &Client, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
    let mut request = client.request(method, path);
    if !kind.is_empty() {
        request = request.header("content-type", kind);
    }
    request.body(body.to_vec()).send().await
}

#[tokio::test]
async fn a_body_that_cannot_be_taken() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let json = "application/json";
    let content = |length: usize| format!(r#"{{"content":"{}"}}"#, "x".repeat(length)).into_bytes();
    let table: &[(&str, Vec<u8>, u16, &str)] = &[
        // The limit is 65,536 bytes; `{"content":""}` are 14 of them.
        (
            json,
            content(65_537 - 14),
            413,
            "over the limit of 65536 bytes",
        ),
        (json, content(3 << 20), 413, "over the limit of 65536 bytes"),
        (json, content(65_536 - 14), 422, "1 to 500 characters"),
        (
            "text/plain",
            content(1),
            415,
            "content-type: application/json",
        ),
        (
            "application/x-www-form-urlencoded",
            b"content=x".to_vec(),
            415,
            "must be JSON",
        ),
        (
            "multipart/form-data; boundary=x",
            content(1),
            415,
            "must be JSON",
        ),
        ("", content(1), 415, "must be JSON"),
        (json, b"".to_vec(), 400, "line 1 column 0"),
        (json, b"{".to_vec(), 400, "line 1 column 1"),
        (
            json,
            b"{\"content\":\n \"a\",,}".to_vec(),
            400,
            "line 2 column 6",
        ),
        (json, b"{'content':'a'}".to_vec(), 400, "line 1 column 2"),
        (
            json,
            b"{\"content\":\"a\"} {}".to_vec(),
            400,
            "line 1 column 17",
        ),
        (
            json,
            b"{\"content\":\"\xff\xfe\"}".to_vec(),
            400,
            "not JSON",
        ),
        (
            json,
            br#"{"content":"\ud800"}"#.to_vec(),
            400,
            "line 1 column",
        ),
        (
            json,
            b"{\"content\":\"a\nb\"}".to_vec(),
            400,
            "line 2 column 0",
        ),
        (json, vec![b'['; 10_000], 400, "not JSON"),
        (
            json,
            [&b"{\"content\":"[..], &vec![b'['; 10_000]].concat(),
            422,
            "content must be",
        ),
        (json, b"[]".to_vec(), 422, "body must be a JSON object"),
        (json, b"[\"a\"]".to_vec(), 422, "body must be a JSON object"),
        (json, b"null".to_vec(), 422, "body must be a JSON object"),
        (
            json,
            b" \"content\"".to_vec(),
            422,
            "body must be a JSON object",
        ),
        (json, b"nul".to_vec(), 400, "not JSON"),
        (
            json,
            br#"{"content":5}"#.to_vec(),
            422,
            "content must be a string",
        ),
        (
            json,
            br#"{"content":["a"]}"#.to_vec(),
            422,
            "content must be a string",
        ),
        (
            json,
            br#"{"content":"a","content":"b"}"#.to_vec(),
            422,
            "content",
        ),
        (
            json,
            br#"{"content":null}"#.to_vec(),
            422,
            "content must be given",
        ),
        (
            json,
            br#"{"Content":"a"}"#.to_vec(),
            422,
            "content must be given",
        ),
        (json, b"{}".to_vec(), 422, "content must be given"),
    ];
    for (kind, body, status, says) in table {
        for (method, path) in [("POST", "/api/posts"), ("PUT", "/api/posts/1")] {
            let answer = raw(&ada, method, path, kind, body).await;
            answer.refused(*status, says);
        }
    }
    assert_eq!(ada.feed().await, [0; 0], "none of them is a post");
    // And what looks odd but is right.
    for kind in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.x+json",
    ] {
        raw(
            &ada,
            "POST",
            "/api/posts",
            kind,
            b" {\"content\":\"a\",\"more\":1}\n",
        )
        .await
        .ok(201);
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_off_at_the_limit() {
    use std::io::{Read as _, Write as _};
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    // Chunk by chunk, so that no Content-Length announces the size.
    let head = format!(
        "POST /api/posts HTTP/1.1\r\nhost: x\r\ncookie: jwt={}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n",
        ada.token.as_ref().unwrap()
    );
    let mut stream = std::net::TcpStream::connect(ada.address).unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = [&b"1000\r\n"[..], &[b'x'; 0x1000], b"\r\n"].concat();
        for _ in 0..17 {
            stream.write_all(&chunk).unwrap();
        }
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        answer
    });
    assert_eq!(&answer.await.unwrap(), b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_text_that_is_no_post() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let write = async |text: &str| ada.post("/api/posts", json!({"content": text})).await;
    let length = "have 1 to 500 characters after trimming";
    for (text, characters) in [
        (String::new(), 0),
        (" \n\t \u{3000}\u{a0}".into(), 0),
        ("x".repeat(501), 501),
        // Four bytes each, two UTF-16 units each, one character each.
        ("🐦".repeat(501), 501),
        // A family is five scalar values and one picture; scalar values count.
        ("👨‍👩‍👧".repeat(101), 505),
    ] {
        let problem = write(&text).await.refused(422, length);
        assert_eq!(rule(&problem), ("content", length, Some(characters)));
    }
    for (text, name) in [
        ("a\0b", "U+0000"),
        ("a\tb", "U+0009"),
        ("a\rb", "U+000D"),
        ("a\u{1b}[31mred", "U+001B"),
        ("a\u{7f}", "U+007F"),
        ("a\u{85}b", "U+0085"),
    ] {
        let problem = write(text).await.refused(422, name);
        let (field, rule, _) = rule(&problem);
        assert_eq!(field, "content");
        assert!(rule.starts_with("hold no control characters"), "{rule}");
    }
    for text in [
        "x",
        &"🐦".repeat(500),
        &format!("  {}\n", "x".repeat(500)),
        "<script>alert(1)</script>",
        "'; DROP TABLE posts; --",
        "שלום \u{202e} 你好",
    ] {
        let posts = write(text).await.ok(201);
        assert_eq!(posts[0]["content"], text.trim(), "kept as it was written");
    }
    // A change is held to the same rules.
    let post = ada.write("fine").await;
    let change = json!({"content": "x".repeat(501)});
    ada.put(&format!("/api/posts/{post}"), change)
        .await
        .refused(422, length);
}

#[tokio::test]
async fn the_longest_post_can_be_set() {
    let app = TestApp::with(1, |config| config.posts.content_max_characters = 10).await;
    let ada = app.member("ada").await;
    ada.write("0123456789").await;
    let longer = ada
        .post("/api/posts", json!({"content": "0123456789a"}))
        .await;
    longer.refused(422, "have 1 to 10 characters");
}
