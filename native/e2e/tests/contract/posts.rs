//! `/api/posts`, but for the feed.

use std::time::Duration;

use e2e::eventually;
use reqwest::Method;
use serde_json::json;

use crate::{
    asking::{Account, NOBODY, Service},
    shapes::{is_post, is_time},
};

/// Long enough for a verdict on a busy machine with two cores.
const VERDICT: Duration = Duration::from_secs(120);
/// The longest post, in characters.
const LONGEST: usize = 500;

pub async fn writing(service: &Service<'_>, ada: &Account) {
    let post = service.write(ada, "  The first swallow!\n").await;
    assert_eq!(post["content"], "The first swallow!", "trimmed");
    assert_eq!(post["userId"], ada.id);
    assert_eq!(post["username"], ada.username.as_str());
    assert_eq!(
        (&post["sentiment"], &post["correction"]),
        (&json!(""), &json!(""))
    );
    assert_eq!(post["analysis"]["status"], "pending");
    assert_eq!(post["created_at"], post["updated_at"]);
    assert!(post["deleted_at"].is_null());
    let read = service.get(format!("/api/posts/{}", post["id"]));
    let read = read.gives(200).await;
    is_post(&read);
    for member in [
        "id",
        "content",
        "userId",
        "username",
        "created_at",
        "updated_at",
    ] {
        assert_eq!(read[member], post[member], "{member}");
    }

    // Characters count, not bytes.
    let longest = "🐦".repeat(LONGEST);
    assert_eq!(
        service.write(ada, &longest).await["content"],
        longest.as_str()
    );
    let too_long = json!({"content": format!("{longest}x")});
    let call = service.post("/api/posts", too_long).by(&ada.token);
    let said = call.refused(422).await;
    assert!(said.contains("500") && said.contains("501"), "{said}");
    let wrong = [
        json!({}),
        json!({"content": " \n "}),
        json!({"content": 5}),
        json!({"content": "a\u{0}b"}),
    ];
    for body in wrong {
        let call = service.post("/api/posts", body).by(&ada.token);
        let said = call.refused(422).await;
        assert!(said.contains("content"), "{said}");
    }
    let call = service.post("/api/posts", json!(["a list"]));
    call.by(&ada.token).refused(422).await;
    let torn = service.http.post(format!("{}/api/posts", service.urls[0]));
    let torn = torn.header("content-type", "application/json");
    let torn = torn.bearer_auth(&ada.token).body("{\"content\": \"a");
    assert_eq!(torn.send().await.unwrap().status(), 400);

    let body = json!({"content": "Whose?"});
    service.post("/api/posts", body.clone()).refused(401).await;
    let call = service.post("/api/posts", body).by("nonsense");
    call.refused(401).await;
}

pub async fn changing_and_deleting(service: &Service<'_>, ada: &Account, ben: &Account) {
    let post = service.write(ada, "The second swallow").await;
    let path = &*format!("/api/posts/{}", post["id"]);
    let text = json!({"content": "The third swallow"});
    for method in [Method::PUT, Method::DELETE] {
        let call = |path: &str| {
            let call = service.call(method.clone(), path);
            if method == Method::PUT {
                call.with(text.clone())
            } else {
                call
            }
        };
        call(path).refused(401).await;
        call(path).by(&ben.token).refused(403).await;
        for nothing in [&*NOBODY.to_string(), "0", "one"] {
            let path = format!("/api/posts/{nothing}");
            call(&path).by(&ada.token).refused(404).await;
        }
    }
    let too_long = json!({"content": "x".repeat(LONGEST + 1)});
    let call = service.put(path, too_long).by(&ada.token);
    call.refused(422).await;
    let unchanged = service.get(path).gives(200).await;
    assert_eq!(unchanged["content"], "The second swallow");

    let call = service.put(path, text.clone()).by(&ada.token);
    let changed = call.gives(200).await;
    let new = &changed["updated_post"][0];
    is_post(new);
    assert_eq!(
        changed,
        json!({"message": "success", "updated_post": [new]})
    );
    assert_eq!(new["id"], post["id"]);
    assert_eq!(new["content"], "The third swallow");
    assert_eq!(new["created_at"], post["created_at"]);
    assert_ne!(new["updated_at"], post["updated_at"]);

    let gone = service.delete(path).by(&ada.token).gives(200).await;
    let old = &gone["Post deleted"][0];
    is_post(old);
    assert_eq!(gone, json!({"Post deleted": [old]}));
    assert_eq!(
        (&old["id"], &old["content"]),
        (&post["id"], &new["content"])
    );
    assert!(is_time(&old["deleted_at"]), "{old}");
    service.get(path).refused(404).await;
    let call = service.put(path, text).by(&ada.token);
    call.refused(404).await;
    service.delete(path).by(&ada.token).refused(404).await;
}

async fn has_model(service: &Service<'_>) -> bool {
    let llm = std::env::var("LINNET_LLM_URL").unwrap_or_default();
    let ready = service.http.get(format!("{llm}/readyz")).send().await;
    ready.is_ok_and(|answer| answer.status() == 200)
}

/// With a language model it writes; without one that is said.
pub async fn generating(service: &Service<'_>) {
    let call = service.get("/api/posts/generate");
    if has_model(service).await {
        let made = call.gives(201).await;
        let content = made["content"].as_str().unwrap();
        assert_eq!(made, json!({"content": content}));
        assert!(!content.trim().is_empty(), "{made}");
    } else {
        let said = call.refused(503).await;
        assert!(said.contains("language model"), "{said}");
    }
}

/// Where a model and a worker are at hand, whose service ever they belong to: both work on the same database.
pub async fn being_judged(service: &Service<'_>, ada: &Account) {
    let workers = std::env::var("LINNET_WORKER_URLS").unwrap_or_default();
    if workers.is_empty() || !has_model(service).await {
        return;
    }
    let post = service.write(ada, "What a lovely morning!").await;
    let path = format!("/api/posts/{}", post["id"]);
    eventually("the verdict", VERDICT, async || {
        let post = service.get(&path).gives(200).await;
        is_post(&post);
        post["sentiment"] != ""
    })
    .await;
    for url in service.urls {
        eventually("the verdict in the feed", VERDICT, async || {
            let feed = service.feed(url).await;
            feed.as_array().unwrap().iter().for_each(is_post);
            assert_eq!(feed[0]["id"], post["id"]);
            feed[0]["sentiment"] != ""
        })
        .await;
    }
}
