//! Addresses, methods, ids and pages that are not there, and things that are not the caller's.

use serde_json::json;

use super::rule;
use crate::app::TestApp;

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
            let explanation = ada.get(&format!("/api/posts/{id}/explanation")).await;
            explanation.refused(404, "no such post");
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
        ("PATCH", "/api/posts/1", "GET, HEAD, PUT, DELETE"),
        ("POST", "/api/posts/1", "GET, HEAD, PUT, DELETE"),
        ("DELETE", "/api/posts", "GET, HEAD, POST"),
        ("PUT", "/api/user", "GET, HEAD"),
        ("POST", "/api/auth/logout", "GET, HEAD"),
        ("TRACE", "/api/auth/login", "POST"),
        ("POST", "/livez", "GET, HEAD"),
        ("POST", "/readyz", "GET, HEAD"),
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

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let post = format!("/api/posts/{}", ada.write("hello").await);
    for path in [
        "/api/posts",
        &post,
        "/livez",
        "/readyz",
        "/api/posts/0",
        "/nothing",
        "/docs/",
    ] {
        let (get, head) = (ada.get(path).await, ada.request("HEAD", path).send().await);
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
        assert_eq!(
            head.number("content-length"),
            get.body.len() as u64,
            "{path}"
        );
    }
    let login = ada.request("HEAD", "/api/auth/login").send().await;
    assert_eq!((login.status, login.header("allow")), (405, "POST"));
}
