//! Who is not let in, and why.

use domain::testing::eventually;

use super::{
    hearing,
    reader::{Socket, Stream},
};
use crate::app::TestApp;

#[tokio::test]
async fn a_caller_has_so_many_streams_and_a_replica_too() {
    let app = TestApp::with(2, |config| {
        config.api_live_streams = 3;
        config.api_live_streams_per_caller = 2;
        TestApp::behind_a_proxy(config);
    })
    .await;
    let app = hearing(app, 2).await;
    let ada = app.member("ada").await;
    let first = Stream::open(&ada, "").await;
    let (_socket, _) = Socket::open(&ada, "").await;
    let refused = ada.get("/api/stream").await;
    assert_eq!(refused.number("retry-after"), 10);
    refused.refused(429, "close one first");

    let _nobodys = Stream::open(&app.client(0), "").await;
    let refused = app.client(0).get("/api/stream").await;
    assert_eq!(refused.number("retry-after"), 10);
    refused.refused(503, "no room");
    Stream::open(&app.client(1), "").await;
    let reason = r#"live_streams_refused_total{reason="full"}"#;
    assert_eq!(ada.metric(reason).await, 1.0);

    drop(first);
    eventually("the place to be free", async || {
        ada.request("GET", "/api/stream").stream().await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn addresses_are_told_apart_behind_a_proxy() {
    let app = TestApp::with(1, |config| {
        config.api_live_streams_per_caller = 1;
        TestApp::behind_a_proxy(config);
    })
    .await;
    let open = async |address: &str| {
        let request = app.client(0).request("GET", "/api/stream");
        request.header("x-forwarded-for", address).stream().await
    };
    let first = open("203.0.113.7").await;
    assert_eq!(first.status(), 200);
    assert_eq!(open("203.0.113.7").await.status(), 429);
    assert_eq!(open("203.0.113.8").await.status(), 200);
}

#[tokio::test]
async fn opening_a_stream_costs_a_read() {
    let app = TestApp::with(1, |config| {
        config.rate_limits.rate_limiter = true;
        config.rate_limits.rate_limit_reads = "2/3600".parse().unwrap();
    })
    .await;
    let open = async || app.client(0).request("GET", "/api/stream").stream().await;
    let answers = [open().await, open().await];
    let left = answers.map(|answer| answer.headers()["ratelimit-remaining"].clone());
    assert_eq!(left, ["1", "0"]);
    app.client(0)
        .get("/api/stream")
        .await
        .refused(429, "too many");
    app.client(0).get("/api/ws").await.refused(429, "too many");
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_named() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    let many: Vec<String> = (1..=101).map(|id| id.to_string()).collect();
    for (query, field) in [
        ("?posts=1,x", "posts"),
        ("?posts=0", "posts"),
        (&format!("?posts={}", many.join(",")), "posts"),
        ("?feed=home", "feed"),
        ("?feed=everything", "feed"),
    ] {
        let problem = nobody.get(&format!("/api/stream{query}")).await;
        let problem = problem.refused(422, field);
        assert_eq!(problem["errors"][0]["field"], field);
    }
    nobody
        .get("/api/stream?posts=1&posts=2")
        .await
        .refused(400, "posts");
    nobody.request("HEAD", "/api/stream").send().await;
    assert_eq!(nobody.metric(r#"live_streams{transport="sse"}"#).await, 0.0);
}
