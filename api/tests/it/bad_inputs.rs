//! The table of bad inputs: each with its status, what the message says, and the rule that `errors` names. That they
//! all have the one error shape and that the document lists them is checked in `document.rs`.

use serde_json::{Value, json};

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

/// The one rule that was broken: field, rule, length.
#[track_caller]
fn rule(problem: &Value) -> (&str, &str, Option<u64>) {
    let errors = problem["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), 1, "{problem}");
    let text = |name: &str| errors[0][name].as_str().expect("a text");
    (text("field"), text("rule"), errors[0]["length"].as_u64())
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

#[tokio::test]
async fn names_and_passwords_that_will_not_do() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    let sign_up = async |body: Value| nobody.post("/api/user/signup", body).await;
    let good = "a good password";
    let (long, longer) = ("a".repeat(30), "a".repeat(31));
    for name in [
        "",
        "ab",
        &longer,
        "a b",
        " ada",
        "héctor",
        "ada\0",
        "ada\n",
        "<b>ada</b>",
        "ада",
    ] {
        let problem = sign_up(json!({"username": name, "password": good})).await;
        let problem = problem.refused(422, "username must have 3 to 30 characters");
        let (field, _, length) = rule(&problem);
        assert_eq!(
            (field, length),
            ("username", Some(name.chars().count() as u64))
        );
    }
    for password in ["", "seven77", &"ü".repeat(257)] {
        let answer = sign_up(json!({"username": "ada", "password": password})).await;
        assert!(password.is_empty() || !answer.text().contains(password));
        let problem = answer.refused(422, "password must have 8 to 256 characters");
        let (field, _, length) = rule(&problem);
        assert_eq!(
            (field, length),
            ("password", Some(password.chars().count() as u64))
        );
    }
    // Whatever is wrong is said at once.
    let both = sign_up(json!({"username": "a", "password": "b"}))
        .await
        .refused(422, "username");
    assert_eq!(both["errors"].as_array().unwrap().len(), 2);
    let neither = sign_up(json!({})).await.refused(422, "must be given");
    assert_eq!(neither["errors"].as_array().unwrap().len(), 2);
    let typed = sign_up(json!({"username": ["ada"], "password": good})).await;
    assert_eq!(
        rule(&typed.refused(422, "username must be a string")).0,
        "username"
    );
    // A secret is not repeated, whatever is wrong with it.
    let number = sign_up(json!({"username": "ada", "password": 31_415_926})).await;
    assert!(!number.text().contains("31415926"), "{}", number.text());
    number.refused(422, "password must be a string");

    for (name, password) in [(long.as_str(), "ü".repeat(256)), ("a.b", "8 chars!".into())] {
        sign_up(json!({"username": name, "password": password}))
            .await
            .ok(201);
        let mut person = app.client(0);
        person.login(name, &password).await.ok(200);
    }
    let taken = sign_up(json!({"username": "A.B", "password": good})).await;
    taken.refused(409, "taken");
}

#[tokio::test]
async fn logging_in_with_nonsense() {
    let app = TestApp::start(1).await;
    let mut ada = app.member("ada").await;
    ada.token = None;
    let long = "x".repeat(5_000);
    for name in ["", "ada\0", "\0", "' OR 1=1 --", "нет", long.as_str()] {
        ada.login(name, "whatever it is")
            .await
            .refused(401, "Invalid credentials");
    }
    for password in ["", "\0", &long] {
        ada.login("ada", password)
            .await
            .refused(401, "Invalid credentials");
    }
    for (body, field) in [
        (json!({}), "username"),
        (json!({"username": "ada"}), "password"),
        (json!({"password": "x"}), "username"),
        (json!({"username": null, "password": "x"}), "username"),
        (
            json!({"username": {"$ne": ""}, "password": "x"}),
            "username",
        ),
    ] {
        let problem = ada.post("/api/auth/login", body).await.refused(422, field);
        assert_eq!(rule(&problem).0, field);
    }
}

#[tokio::test]
async fn pages_that_do_not_exist() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    for list in ["/api/posts", "/api/user"] {
        for limit in [
            "0",
            "101",
            "-1",
            "abc",
            "",
            "1.5",
            "99999999999999999999",
            "%00",
        ] {
            let problem = nobody.get(&format!("{list}?limit={limit}")).await;
            let problem = problem.refused(422, "limit must be a whole number from 1 to 100");
            assert_eq!(rule(&problem).0, "limit");
        }
        for before in ["0", "-5", "abc", "", "1e3", "9223372036854775808"] {
            let problem = nobody.get(&format!("{list}?before={before}")).await;
            let problem = problem.refused(422, "before must be the id of an item");
            assert_eq!(rule(&problem).0, "before");
        }
        let twice = nobody.get(&format!("{list}?limit=1&limit=2")).await;
        twice.refused(400, "the query cannot be read");
        for fine in [
            "limit=1",
            "limit=100",
            "before=9223372036854775807",
            "before=1",
            "more=1",
            "&",
        ] {
            let empty = nobody.get(&format!("{list}?{fine}")).await;
            assert_eq!(empty.header("link"), "");
            assert_eq!(empty.ok(200), json!([]));
        }
    }
}

#[tokio::test]
async fn ids_that_nothing_has() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    for (path, noun) in [
        ("/api/posts", "no such post"),
        ("/api/user", "no such user"),
    ] {
        let change = json!({"content": "x", "username": "another"});
        for id in [
            "0",
            "-1",
            "999999",
            "9007199254740993",
            "9223372036854775807",
        ] {
            let path = format!("{path}/{id}");
            ada.get(&path).await.refused(404, noun);
            ada.put(&path, change.clone()).await.refused(404, noun);
            ada.delete(&path).await.refused(404, noun);
        }
        for id in [
            "abc",
            "1.5",
            "1e3",
            "0x1",
            "%00",
            "9223372036854775808",
            "1;2",
            "%F0%9F%90%A6",
        ] {
            let path = format!("{path}/{id}");
            ada.get(&path).await.refused(404, "an id is a whole number");
            ada.put(&path, change.clone())
                .await
                .refused(404, "an id is a whole number");
            ada.delete(&path)
                .await
                .refused(404, "an id is a whole number");
        }
    }
}

#[tokio::test]
async fn what_belongs_to_others_and_what_needs_a_login() {
    let app = TestApp::start(1).await;
    let (ada, eve, nobody) = (
        app.member("ada").await,
        app.member("eve").await,
        app.client(0),
    );
    let post = format!("/api/posts/{}", ada.write("mine").await);
    let account = format!("/api/user/{}", ada.id);
    let change = json!({"content": "yours"});
    eve.put(&post, change.clone())
        .await
        .refused(403, "somebody else's");
    eve.delete(&post).await.refused(403, "somebody else's");
    eve.put(&account, json!({"password": "my own choice"}))
        .await
        .refused(403, "somebody else's");
    eve.delete(&account).await.refused(403, "somebody else's");

    let mut forged = nobody.clone();
    for token in [
        None,
        Some("x"),
        Some("a.b.c"),
        Some("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."),
    ] {
        forged.token = token.map(str::to_owned);
        forged
            .post("/api/posts", change.clone())
            .await
            .refused(401, "log in");
        forged
            .put(&post, change.clone())
            .await
            .refused(401, "log in");
        forged.delete(&post).await.refused(401, "log in");
        forged
            .put(&account, json!({"username": "eve2"}))
            .await
            .refused(401, "log in");
        forged.delete(&account).await.refused(401, "log in");
        assert!(!forged.is_logged_in().await);
    }
    assert_eq!(nobody.get(&post).await.ok(200)["content"], "mine");
    // A deleted post is nobody's.
    ada.delete(&post).await.ok(200);
    ada.delete(&post).await.refused(404, "no such post");
    eve.put(&post, change).await.refused(404, "no such post");
}

#[tokio::test]
async fn addresses_and_methods_that_are_not_served() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    for path in [
        "/",
        "/api",
        "/api/",
        "/api/nothing",
        "/api/posts/",
        "/api/posts/1/2",
        "/api/user/1/x",
        "/favicon.ico",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = nobody.request(method, path).send().await;
            answer.refused(404, "nothing at this address");
        }
    }
    for (method, path, allow) in [
        ("PATCH", "/api/posts/1", "GET, PUT, DELETE"),
        ("POST", "/api/posts/1", "GET, PUT, DELETE"),
        ("DELETE", "/api/posts", "GET, POST"),
        ("PUT", "/api/user", "GET"),
        ("POST", "/api/auth/logout", "GET"),
        ("TRACE", "/api/auth/login", "POST"),
        ("POST", "/livez", "GET"),
        ("POST", "/readyz", "GET"),
    ] {
        let answer = nobody.request(method, path).send().await;
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        answer.refused(405, &format!("{method} is not allowed here: use {allow}"));
    }
    // Two patterns fit: the literal one and the one with an id.
    let generate = nobody.request("PATCH", "/api/posts/generate").send().await;
    assert_eq!(generate.status, 405);
    assert!(generate.header("allow").contains("GET"));
}
