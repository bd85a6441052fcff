//! `/api/insights` over HTTP.

use domain::insights;
use serde_json::json;

use crate::app::{TestApp, verdict};

#[tokio::test]
async fn everybody_sees_their_own_figures_and_nobody_elses() {
    let app = TestApp::start(1).await;
    app.client(0)
        .get("/api/insights")
        .await
        .refused(401, "log in");
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let post = ada.write("a fine day").await;
    app.judge(post, &verdict()).await;
    bob.post(&format!("/api/posts/{post}/like"), json!({}))
        .await
        .ok(200);
    assert!(insights::recompute(&app.worker()).await.unwrap());

    let hers = ada.get("/api/insights").await.ok(200);
    let days = hers["days"].as_array().unwrap();
    assert_eq!(days.len(), 30);
    let today = &days[29];
    for (figure, value) in [
        ("posts", 1),
        ("positive", 1),
        ("neutral", 0),
        ("negative", 0),
    ] {
        assert_eq!(today[figure], value, "{figure}");
    }
    assert_eq!(today["polarity_mean"], 0.75);
    assert!(days[0]["polarity_mean"].is_null());
    assert_eq!(hers["topics"], json!([{"name": "mood", "posts": 1}]));
    let totals = json!({"posts": 1, "likes_received": 1, "reposts_received": 0, "replies_received": 0, "followers": 0});
    assert_eq!(hers["totals"], totals);

    // Nobody has computed anything for bob.
    let his = bob.get("/api/insights").await.ok(200);
    assert_eq!(his["totals"]["posts"], 0);
    assert_eq!(his["topics"], json!([]));
}
