//! `GET /api/home`: who may ask, what is in it and how its pages go on. More about what is in it is tested in the domain.

use domain::timelines::FanOut;

use crate::{
    app::TestApp,
    client::{Client, ids},
};

async fn follow(app: &TestApp, who: &Client, whom: &Client) {
    sqlx::query("INSERT INTO follows (follower_id, followed_id) VALUES ($1, $2)")
        .bind(who.id)
        .bind(whom.id)
        .execute(&app.sql().await)
        .await
        .expect("a follow");
}

/// What a worker does.
async fn bring(app: &TestApp) {
    let mut fan_out = FanOut::new(app.worker(), 10_000);
    while fan_out.step().await.expect("a step").more {}
}

#[tokio::test]
async fn one_must_be_logged_in_and_ask_in_numbers() {
    let app = TestApp::start(1).await;
    app.client(0).get("/api/home").await.refused(401, "log in");
    let ada = app.member("ada").await;
    assert_eq!(ids(&ada.get("/api/home").await.ok(200)), [] as [i64; 0]);
    for query in ["limit=0", "limit=101", "limit=x", "before=0", "before=x"] {
        let answer = ada.get(&format!("/api/home?{query}")).await;
        answer.refused(422, query.split('=').next().expect("a name"));
    }
}

#[tokio::test]
async fn it_shows_whom_one_follows_on_every_replica_and_the_links_lead_through_it() {
    let app = TestApp::start(2).await;
    let (ada, bob, eve) = (
        app.member("ada").await,
        app.member("bob").await,
        app.member("eve").await,
    );
    follow(&app, &ada, &bob).await;
    let elsewhere = app.elsewhere(&ada, 1);
    assert_eq!(
        ids(&elsewhere.get("/api/home").await.ok(200)),
        [] as [i64; 0]
    );
    let mut expected = Vec::new();
    for n in 0..7 {
        expected.insert(0, bob.write(&format!("bob {n}")).await);
        eve.write(&format!("eve {n}")).await;
        if n % 3 == 0 {
            expected.insert(0, ada.write(&format!("ada {n}")).await);
            assert_eq!(
                ids(&elsewhere.get("/api/home?limit=1").await.ok(200)),
                expected[..1],
                "one's own is there at once"
            );
        }
        bring(&app).await;
        for client in [&ada, &elsewhere] {
            assert_eq!(ids(&client.get("/api/home").await.ok(200)), expected);
        }
    }
    let post = &ada.get("/api/home").await.ok(200)[0];
    assert_eq!(post["username"], "ada");
    assert_eq!(post["viewer"]["liked"], false);
    for limit in [1, 3, 9, 10, 100] {
        let (mut path, mut seen) = (format!("/api/home?limit={limit}"), Vec::new());
        while !path.is_empty() {
            let page = elsewhere.get(&path).await;
            let link = page.header("link").to_owned();
            path = link
                .strip_prefix('<')
                .and_then(|link| link.strip_suffix(">; rel=\"next\""))
                .unwrap_or_default()
                .to_owned();
            seen.extend(ids(&page.ok(200)));
        }
        assert_eq!(seen, expected, "{limit}");
    }
    let hits = elsewhere.metric(r#"cache_requests_total{cache="home",result="hit"}"#);
    assert!(hits.await > 0.0);
    let gone = expected.remove(0);
    ada.delete(&format!("/api/posts/{gone}")).await.ok(200);
    assert_eq!(ids(&elsewhere.get("/api/home").await.ok(200)), expected);
}
