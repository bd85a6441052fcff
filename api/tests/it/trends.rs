//! `/api/trends` and the posts behind a trend, over HTTP.

use domain::trends;
use serde_json::{Value, json};

use crate::{
    app::{TestApp, verdict},
    client::ids,
};

#[tokio::test]
async fn what_people_write_about_becomes_a_trend() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    let before = nobody.get("/api/trends").await.ok(200);
    assert_eq!(
        before,
        json!({"computed_at": Value::Null, "tags": [], "topics": []})
    );

    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let posts = [ada.write("#Café is fine").await, bob.write("#café!").await];
    for post in posts {
        app.judge(post, &verdict()).await;
    }
    assert!(trends::recompute(&app.worker()).await.unwrap());
    let now = nobody.get("/api/trends").await.ok(200);
    assert_eq!(
        now["tags"],
        json!([{"name": "café", "posts": 2, "people": 2}])
    );
    assert_eq!(
        now["topics"],
        json!([{"name": "mood", "posts": 2, "people": 2}])
    );

    for path in ["/api/tags/CAF%C3%89/posts", "/api/topics/Mood/posts"] {
        let all = nobody.get(path).await.ok(200);
        assert_eq!(ids(&all), [posts[1], posts[0]]);
        let page = nobody.get(&format!("{path}?limit=1")).await;
        let link = page.header("link").to_owned();
        assert_eq!(ids(&page.ok(200)), [posts[1]]);
        let next = link.trim_start_matches('<').replace(">; rel=\"next\"", "");
        assert!(next.is_ascii(), "{next}");
        let page = nobody.get(&next).await;
        assert_eq!(page.header("link"), "");
        assert_eq!(ids(&page.ok(200)), [posts[0]]);
    }
    ada.post(&format!("/api/user/{}/block", bob.id), json!({}))
        .await
        .ok(200);
    for path in ["/api/tags/café/posts", "/api/topics/mood/posts"] {
        assert_eq!(ids(&ada.get(path).await.ok(200)), [posts[0]]);
        assert_eq!(ids(&bob.get(path).await.ok(200)), [posts[1]]);
    }
}

#[tokio::test]
async fn names_that_no_post_can_have_are_refused() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    for tag in ["a-b", "1", "%00", "a%2Fb", "%23", "a%20b", &"x".repeat(51)] {
        let problem = nobody.request("GET", &format!("/api/tags/{tag}/posts"));
        problem
            .send()
            .await
            .refused(422, "tag must be 1 to 50 letters");
    }
    for topic in ["%00", "%20", &"x".repeat(51)] {
        let problem = nobody.get(&format!("/api/topics/{topic}/posts")).await;
        problem.refused(422, "topic must have 1 to 50 characters");
    }
    for path in [
        "/api/tags/nothing/posts",
        "/api/topics/nothing/posts",
        "/api/topics/a%2Fb%25/posts",
    ] {
        assert_eq!(nobody.get(path).await.ok(200), json!([]));
        nobody
            .get(&format!("{path}?before=0"))
            .await
            .refused(422, "before must be");
    }
}
