//! More than it can do: who does not fit is told at once, and who goes away is not worked for.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    app::{MAX_TEXTS, QUEUE, app, metric},
    http,
};

#[tokio::test]
async fn what_does_not_fit_is_refused_at_once_and_what_is_withdrawn_makes_room() {
    let (app, _turn) = app().await;
    let judged = metric(app.port, "llm_verdict_seconds_count").await;
    let text = "A long story about a long day. ".repeat(40);
    let request = http::posted("/v1/analyze", &json!({"texts": vec![text; MAX_TEXTS]}));

    // One request to work on, and then as many as the queue holds. The model needs seconds for each.
    let working = http::send(app.port, &request).await;
    until(app.port, "llm_requests_in_flight", MAX_TEXTS as f64).await;
    let mut waiting = Vec::new();
    for place in 1..=QUEUE / MAX_TEXTS {
        waiting.push(http::send(app.port, &request).await);
        until(app.port, "llm_queue_depth", (place * MAX_TEXTS) as f64).await;
    }

    let start = Instant::now();
    let refused = http::receive(http::send(app.port, &request).await).await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(
        refused.json()["detail"],
        "The queue for the language model is full."
    );
    assert!(
        refused
            .header("retry-after")
            .unwrap()
            .parse::<u32>()
            .unwrap()
            > 0
    );
    assert!(metric(app.port, r#"llm_requests_refused_total{reason="full"}"#).await >= 1.0);
    assert_eq!(
        http::get(app.port, "/readyz").await.status,
        200,
        "busy is not broken"
    );

    // All callers but one of the waiting go away: that one is served next. What is being read is read to its end, the
    // texts of those who waited never are.
    drop(working);
    let served = waiting.pop().unwrap();
    drop(waiting);
    assert_eq!(http::receive(served).await.status, 200);
    until(app.port, "llm_requests_in_flight", 0.0).await;
    let judged = metric(app.port, "llm_verdict_seconds_count").await - judged;
    assert_eq!(judged, (2 * MAX_TEXTS) as f64);
}

/// Asks until a series has a value, for at most a minute.
async fn until(port: u16, series: &str, value: f64) {
    let start = Instant::now();
    while metric(port, series).await != value {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{series} does not become {value}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
