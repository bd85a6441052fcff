//! `/metrics`: the series that dashboards and alerts stand on, under their names.

use serde_json::json;

use crate::app::{JWT_SECRET, PASSWORD, TestApp};

#[tokio::test]
async fn what_dashboards_need_is_there_and_nothing_secret() {
    let app = TestApp::with(1, |config| config.rate_limits.rate_limiter = true).await;
    let ada = app.member("ada_the_first").await;
    let post = ada.write("a text of mine").await;
    for _ in 0..3 {
        ada.get("/api/posts").await.ok(200);
        ada.get(&format!("/api/posts/{post}")).await.ok(200);
    }
    ada.get("/api/posts?limit=abc").await.refused(422, "limit");
    ada.get("/api/posts/generate")
        .await
        .refused(503, "language model");
    for unknown in ["/wp-login.php", "/api/elsewhere/7", "/%7Eada"] {
        ada.get(unknown).await.refused(404, "nothing");
    }
    ada.put("/api/posts", json!({}))
        .await
        .refused(405, "not allowed");

    let depth = r#"job_queue_depth{queue="analyze",state="pending"}"#;
    // Read every five seconds, the first time when the server starts.
    domain::testing::eventually("the queue to be looked at", async || {
        ada.metric(depth).await == 1.0
    })
    .await;
    let answer = ada.get("/metrics").await;
    assert!(
        answer.header("content-type").starts_with("text/plain"),
        "{answer:?}"
    );
    let text = answer.text();
    for line in [
        r#"http_requests_total{method="GET",route="/api/posts",status="200"} 3"#,
        r#"http_requests_total{method="GET",route="/api/posts",status="422"} 1"#,
        r#"http_requests_total{method="GET",route="/api/posts/{id}",status="200"} 3"#,
        r#"http_requests_total{method="POST",route="/api/posts",status="201"} 1"#,
        r#"http_requests_total{method="GET",route="UNKNOWN",status="404"} 3"#,
        r#"http_requests_total{method="POST",route="/api/auth/login",status="200"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/api/posts",status="200"} 3"#,
        r#"http_request_duration_seconds_bucket{method="GET",route="/api/posts",status="200",le="0.00025"}"#,
        r#"http_request_duration_seconds_bucket{method="GET",route="/api/posts",status="200",le="+Inf"} 3"#,
        r#"db_pool_connections{state="active"}"#,
        r#"db_pool_connections{state="idle"}"#,
        // Eight among two threads and what is beside them.
        "db_pool_connections_max 6",
        r#"cache_requests_total{cache="feed",result="hit"}"#,
        r#"cache_requests_total{cache="feed",result="miss"}"#,
        r#"job_queue_depth{queue="analyze",state="leased"} 0"#,
        r#"job_queue_depth{queue="analyze",state="dead"} 0"#,
        r#"job_queue_oldest_seconds{queue="analyze"}"#,
        r#"jobs_enqueued_total{queue="analyze"}"#,
        r#"job_hints_skipped_total{queue="analyze",reason="down"}"#,
        r#"rate_limit_decisions_total{budget="auth",by="redis",result="allowed"}"#,
        "llm_circuit_state 0",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    for secret in [
        JWT_SECRET,
        PASSWORD,
        "ada_the_first",
        "a text of mine",
        "wp-login",
        "elsewhere",
        "postgres://",
        ada.token.as_deref().unwrap(),
        &format!("/api/posts/{post}\""),
    ] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
}

#[tokio::test]
async fn a_scraper_that_takes_compression_reads_plain_figures() {
    let app = TestApp::start(1).await;
    let request = app.client(0).request("GET", "/metrics");
    let answer = request.header("accept-encoding", "gzip").send().await;
    assert_eq!(answer.header("content-encoding"), "");
    assert!(answer.text().contains("process_cpu_seconds_total"));
}
