//! From the first moment to being ready.

use serde_json::json;

use crate::{app::app, http};

#[tokio::test]
async fn it_is_alive_at_once_and_ready_when_the_model_answers() {
    let (app, _turn) = app().await;
    let before = &app.before;
    assert_eq!(before.livez.status, 200);
    for refused in [&before.readyz, &before.analyze] {
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(
            refused.json()["detail"],
            "The language model is being loaded."
        );
        assert!(
            refused
                .header("retry-after")
                .unwrap()
                .parse::<u32>()
                .unwrap()
                > 0
        );
    }
    let ready = http::get(app.port, "/readyz").await;
    assert_eq!(ready.status, 200);
    assert_eq!(
        ready.json(),
        json!({"status": "ready", "model": "SmolLM2-135M-Instruct.Q4_1", "prompt_version": "2"})
    );
}

#[tokio::test]
async fn a_request_id_comes_back_and_routes_are_counted_by_template() {
    let (app, _turn) = app().await;
    let request = http::request("GET", "/livez", &["x-request-id: from-test"], "");
    let answer = http::receive(http::send(app.port, &request).await).await;
    assert_eq!(answer.header("x-request-id"), Some("from-test"));
    http::get(app.port, "/v1/no-such-thing").await;
    let metrics = http::get(app.port, "/metrics").await.body;
    assert!(
        metrics.contains(r#"http_requests_total{method="GET",route="/livez",status="200"}"#),
        "{metrics}"
    );
    assert!(
        metrics.contains(r#"route="UNKNOWN",status="404""#),
        "{metrics}"
    );
    assert!(!metrics.contains("no-such-thing"));
    assert!(metrics.contains("process_resident_memory_bytes"));
}
