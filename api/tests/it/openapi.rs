//! The OpenAPI document: served, printed, and true. That every answer of every test is in it is checked in
//! `document.rs`.

use serde_json::Value;

use crate::{app::TestApp, document::DOCUMENT, program::program};

#[tokio::test]
async fn what_is_served_is_what_the_program_prints() {
    let app = TestApp::start(1).await;
    let served = app.client(0).get("/api-docs/openapi.json").await;
    assert!(
        served
            .header("content-type")
            .starts_with("application/json")
    );
    let printed = program(&["openapi"]).output().unwrap();
    assert!(printed.status.success());
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(served.ok(200), printed);
    assert_eq!(*DOCUMENT, printed);
}

#[tokio::test]
async fn whatever_is_documented_is_served() {
    let app = TestApp::start(1).await;
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let mut calls = 0;
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let path = path.replace("{id}", "1").replace("{username}", "nobody");
            calls += 1;
            // Its answer has no end; it is in the tests of live streams.
            if path == "/api/stream" {
                continue;
            }
            let request = app.client(0).request(&method.to_uppercase(), &path);
            let answer = request.send().await;
            // Of 404s only those that know what they miss.
            let served = match answer.status {
                404 => answer.text().contains("there is no such"),
                status => status != 405,
            };
            assert!(served, "{method} {path}: {}", answer.text());
        }
    }
    assert_eq!(
        calls, 57,
        "a new call needs a look at the tests of the contract"
    );
}

#[tokio::test]
async fn every_call_says_who_may_make_it_and_how_it_fails() {
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                !operation["summary"].as_str().unwrap_or_default().is_empty(),
                "{what}"
            );
            let secured = operation["security"]
                .as_array()
                .is_some_and(|kinds| kinds.len() == 2);
            let logging_in = path == "/api/auth/login";
            assert_eq!(
                responses.contains_key("401"),
                secured || logging_in,
                "{what}"
            );
            assert_eq!(
                responses.contains_key("415"),
                operation["requestBody"].is_object(),
                "{what}"
            );
            if path.starts_with("/api/") {
                for status in ["429", "500", "503"] {
                    assert!(responses.contains_key(status), "{what} lacks {status}");
                }
            }
        }
    }
}

#[tokio::test]
async fn people_find_the_documentation() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    let docs = nobody.get("/docs").await;
    assert!(
        matches!(docs.status, 301 | 302 | 307 | 308),
        "{}",
        docs.status
    );
    assert_eq!(docs.header("location"), "/docs/");
    let page = nobody.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    let html = page.text();
    assert!(html.contains("swagger-ui"), "{html}");
    assert!(
        !html.contains("http://") && !html.contains("https://"),
        "nothing comes from elsewhere: {html}"
    );
    for part in [
        "swagger-ui-bundle.js",
        "swagger-ui.css",
        "swagger-initializer.js",
    ] {
        let part = nobody.get(&format!("/docs/{part}")).await;
        assert_eq!(part.status, 200, "{}", part.what);
    }
    let start = nobody.get("/docs/swagger-initializer.js").await.text();
    assert!(start.contains("/api-docs/openapi.json"), "{start}");
}
