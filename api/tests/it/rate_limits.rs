//! Rate limits, as a caller meets them.

use api::config::ServeConfig;
use serde_json::json;

use crate::{
    app::{PASSWORD, TestApp},
    client::{Answer, Client},
};

fn limits(config: &mut ServeConfig, auth: &str, writes: &str, reads: &str) {
    config.rate_limits.rate_limiter = true;
    config.rate_limits.rate_limit_auth = auth.parse().unwrap();
    config.rate_limits.rate_limit_writes = writes.parse().unwrap();
    config.rate_limits.rate_limit_reads = reads.parse().unwrap();
}

/// A read as the proxy passes it on for a client at `address`.
async fn read_from(client: &Client, address: &str) -> Answer {
    let request = client.request("GET", "/api/posts");
    request.header("x-forwarded-for", address).send().await
}

#[tokio::test]
async fn a_budget_is_shared_by_the_replicas_and_says_what_is_left() {
    // An hour, so that nothing is earned back while the test runs.
    let app = TestApp::with(2, |config| limits(config, "100/60", "100/60", "6/3600")).await;
    for taken in 1..=6 {
        let answer = app.client(taken % 2).get("/api/posts").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.number("ratelimit-limit"), 6);
        assert_eq!(answer.number("ratelimit-remaining"), 6 - taken as u64);
        let reset = answer.number("ratelimit-reset");
        assert!(
            (taken as u64 * 600 - 20..=taken as u64 * 600).contains(&reset),
            "{reset}"
        );
        assert_eq!(answer.header("retry-after"), "");
    }
    for replica in 0..2 {
        let answer = app.client(replica).get("/api/posts").await;
        let wait = answer.number("retry-after");
        assert!((580..=600).contains(&wait), "{wait}");
        assert_eq!(answer.number("ratelimit-limit"), 6);
        assert_eq!(answer.number("ratelimit-remaining"), 0);
        assert!((3_580..=3_600).contains(&answer.number("ratelimit-reset")));
        assert!(!answer.header("x-request-id").is_empty());
        answer.refused(429, "too many requests: try again in");
    }
    // What is not there costs as much, or guessing at addresses would be free; probes and documentation are free.
    let nobody = app.client(0);
    nobody
        .get("/api/nothing")
        .await
        .refused(429, "too many requests");
    for free in [
        "/livez",
        "/readyz",
        "/metrics",
        "/docs/",
        "/api-docs/openapi.json",
    ] {
        let answer = nobody.get(free).await;
        assert_eq!(
            (answer.status, answer.header("ratelimit-limit")),
            (200, ""),
            "{free}"
        );
    }
}

#[tokio::test]
async fn who_waits_as_long_as_told_is_let_in() {
    let app = TestApp::with(1, |config| limits(config, "100/60", "100/60", "2/2")).await;
    let nobody = app.client(0);
    let mut refusals = 0;
    for _ in 0..5 {
        let answer = nobody.get("/api/user").await;
        if answer.status == 429 {
            refusals += 1;
            let wait = answer.number("retry-after");
            assert_eq!(wait, 1);
            tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
            nobody.get("/api/user").await.ok(200);
        }
    }
    assert!(refusals > 0);
}

#[tokio::test]
async fn logging_in_writing_and_reading_have_budgets_of_their_own() {
    let app = TestApp::with(1, |config| limits(config, "4/3600", "2/3600", "3/3600")).await;
    let ada = app.member("ada").await; // two of the four
    let mut eve = app.client(0);
    for _ in 0..2 {
        eve.login("ada", "a guess")
            .await
            .refused(401, "Invalid credentials");
    }
    eve.login("ada", "a guess")
        .await
        .refused(429, "too many requests");
    // Guessing is paid by the address, logged in or not.
    let mut also_ada = ada.clone();
    also_ada
        .login("ada", PASSWORD)
        .await
        .refused(429, "too many requests");

    for left in [1, 0] {
        let answer = ada.post("/api/posts", json!({"content": "x"})).await;
        assert_eq!(
            (answer.status, answer.number("ratelimit-remaining")),
            (201, left)
        );
    }
    ada.post("/api/posts", json!({"content": "x"}))
        .await
        .refused(429, "too many requests");
    for costly in ["/api/posts/generate", "/api/posts/1/explanation"] {
        ada.get(costly).await.refused(429, "too many requests");
    }
    for _ in 0..3 {
        ada.get("/api/posts").await.ok(200);
    }
    ada.get("/api/auth/loginstatus")
        .await
        .refused(429, "too many requests");
    // Reads of a member are the member's, not the address'.
    app.client(0).get("/api/posts").await.ok(200);
    // A token that nobody signed makes no new purse.
    let mut forger = app.client(0);
    for n in 0..2 {
        forger.token = Some(format!("forged{n}"));
        forger.get("/api/posts").await.ok(200);
    }
    forger.token = Some("forged again".into());
    forger
        .get("/api/posts")
        .await
        .refused(429, "too many requests");
}

#[tokio::test]
async fn the_forwarded_address_counts_when_the_proxy_says_it() {
    let app = TestApp::with(1, |config| {
        TestApp::behind_a_proxy(config);
        limits(config, "100/60", "100/60", "2/3600");
    })
    .await;
    let client = app.client(0);
    for address in ["203.0.113.7", "203.0.113.8", "2001:db8::1"] {
        for _ in 0..2 {
            assert_eq!(read_from(&client, address).await.status, 200);
        }
        assert_eq!(read_from(&client, address).await.status, 429);
    }
    // What a client writes before the proxy's own word does not make them somebody else.
    assert_eq!(
        read_from(&client, "198.51.100.1, 203.0.113.7").await.status,
        429
    );
    assert_eq!(
        read_from(&client, "2001:db8::2").await.status,
        429,
        "the same /64"
    );
}

#[tokio::test]
async fn the_forwarded_address_of_anybody_else_is_not_believed() {
    let app = TestApp::with(1, |config| limits(config, "100/60", "100/60", "2/3600")).await;
    let client = app.client(0);
    for (n, status) in [(1, 200), (2, 200), (3, 429)] {
        assert_eq!(
            read_from(&client, &format!("203.0.113.{n}")).await.status,
            status
        );
    }
}

#[tokio::test]
async fn limits_can_be_turned_off() {
    let app = TestApp::with(1, |config| {
        limits(config, "1/3600", "1/3600", "1/3600");
        config.rate_limits.rate_limiter = false;
    })
    .await;
    for _ in 0..5 {
        let answer = app.client(0).get("/api/posts").await;
        assert_eq!(answer.status, 200);
        for name in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"] {
            assert_eq!(answer.header(name), "");
        }
    }
}

#[tokio::test]
async fn an_address_written_in_another_way_costs_as_much() {
    let app = TestApp::with(1, |config| limits(config, "1/3600", "100/60", "4/3600")).await;
    let client = app.client(0);
    let read = async |path: &str| {
        client
            .request("GET", path)
            .served_as("/api/posts")
            .send()
            .await
    };
    let forms = [
        "/api/posts",
        "/%61pi/posts",
        "/api/pos%74s",
        "/%61%70%69/posts",
    ];
    for path in forms {
        read(path).await.ok(200);
    }
    for path in forms {
        read(path).await.refused(429, "too many requests");
    }
    let guess = json!({"username": "ada", "password": "a guess"});
    let login = async |path: &str| {
        let request = client.request("POST", path).served_as("/api/auth/login");
        request.json(&guess).send().await
    };
    login("/api/auth/%6cogin")
        .await
        .refused(401, "Invalid credentials");
    login("/api/auth/login")
        .await
        .refused(429, "too many requests");
}
