//! People and what they are to each other, as callers meet it.

use serde_json::{Value, json};

use crate::{
    app::{PASSWORD, TestApp},
    client::{Client, ids},
};

async fn deed(client: &Client, id: i64, deed: &str) -> crate::client::Answer {
    let path = format!("/api/user/{id}/{deed}");
    client.request("POST", &path).send().await
}

/// Walks a list by its header `Link`.
async fn walk(client: &Client, path: &str) -> Vec<i64> {
    let (mut path, mut seen) = (path.to_owned(), Vec::new());
    while !path.is_empty() {
        let page = client.get(&path).await;
        let link = page.header("link").to_owned();
        seen.extend(ids(&page.ok(200)));
        path = link
            .strip_prefix('<')
            .map_or(String::new(), |link| link.replace(">; rel=\"next\"", ""));
    }
    seen
}

#[tokio::test]
async fn a_blocked_person_sees_and_reaches_nothing_and_is_not_told() {
    let app = TestApp::start(2).await;
    let (ada, bob, eve) = (
        app.member("ada").await,
        app.member("bob").await,
        app.member("eve").await,
    );
    for (one, other) in [
        (&ada, bob.id),
        (&bob, ada.id),
        (&ada, eve.id),
        (&bob, eve.id),
    ] {
        deed(one, other, "follow").await.ok(200);
    }
    deed(&ada, bob.id, "block").await.ok(200);
    let bob = app.elsewhere(&bob, 1);
    // The very words that he would read if there were no ada at all.
    let nobody = bob.get("/api/user/999999/profile").await.ok(404);
    for path in ["", "/profile", "/followers", "/followed"] {
        let path = format!("/api/user/{}{path}", ada.id);
        assert_eq!(bob.get(&path).await.ok(404), nobody, "{path}");
    }
    assert_eq!(bob.get("/api/user/by-name/ada").await.ok(404), nobody);
    for name in ["follow", "mute"] {
        assert_eq!(deed(&bob, ada.id, name).await.ok(404), nobody, "{name}");
    }
    let own = format!("/api/user/{}", ada.id);
    bob.delete(&own).await.refused(404, "no such user");
    let rename = json!({"username": "bobs"});
    bob.put(&own, rename).await.refused(404, "no such user");
    assert_eq!(ids(&bob.get("/api/user").await.ok(200)), [eve.id, bob.id]);
    let followers = format!("/api/user/{}/followers", eve.id);
    assert_eq!(ids(&bob.get(&followers).await.ok(200)), [bob.id]);
    assert_eq!(bob.get("/api/notifications").await.ok(200), json!([]));
    assert_eq!(
        bob.get("/api/notifications/unread").await.ok(200)["unread"],
        0
    );
    // Ada has her way back.
    assert_eq!(ids(&ada.get(&followers).await.ok(200)), [ada.id]);
    deed(&ada, bob.id, "follow")
        .await
        .refused(403, "unblock them");
    let profile = ada
        .get(&format!("/api/user/{}/profile", bob.id))
        .await
        .ok(200);
    assert_eq!(profile["relation"]["blocking"], true);
    ada.delete(&format!("/api/user/{}/block", bob.id))
        .await
        .ok(200);
    let profile = bob.get(&format!("{own}/profile")).await.ok(200);
    assert_eq!(
        (&profile["followers"], &profile["followed"]),
        (&json!(0), &json!(1))
    );
    deed(&bob, ada.id, "follow").await.ok(200);
}

#[tokio::test]
async fn lists_of_people_are_walked_page_by_page() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let sql = app.sql().await;
    for statement in [
        "INSERT INTO users (username, password_hash) SELECT 'user' || n, '' FROM generate_series(1, 7) AS n",
        "INSERT INTO follows (follower_id, followed_id) SELECT $1, id FROM users WHERE id <> $1 AND $1 > 0",
        "INSERT INTO follows (follower_id, followed_id) SELECT id, $1 FROM users WHERE id <> $1",
        "INSERT INTO mutes (muter_id, muted_id) SELECT $1, id FROM users WHERE id <> $1",
    ] {
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") {
            query.bind(ada.id)
        } else {
            query
        };
        query.execute(&sql).await.unwrap();
    }
    let expected: Vec<i64> = (ada.id + 1..=ada.id + 7).rev().collect();
    let of_ada = |list: &str| format!("/api/user/{}/{list}?limit=3", ada.id);
    let nobody = app.client(0);
    assert_eq!(walk(&nobody, &of_ada("followers")).await, expected);
    assert_eq!(walk(&ada, &of_ada("followed")).await, expected);
    assert_eq!(walk(&ada, "/api/mutes?limit=3").await, expected);
    for id in &expected {
        deed(&ada, *id, "block").await.ok(200);
    }
    assert_eq!(walk(&ada, "/api/blocks?limit=3").await, expected);
    assert_eq!(walk(&ada, &of_ada("followed")).await, [0; 0]);
    for id in &expected {
        app.tell(*id, ada.id, "follow", None).await;
        ada.delete(&format!("/api/user/{id}/block")).await.ok(200);
        ada.delete(&format!("/api/user/{id}/mute")).await.ok(200);
        app.tell(ada.id, *id, "follow", None).await;
    }
    let told = walk(&ada, "/api/notifications?limit=3").await;
    assert_eq!(told.len(), 7);
    assert!(told.is_sorted_by(|a, b| a > b));
}

#[tokio::test]
async fn what_a_profile_cannot_hold() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let long = "x".repeat(301);
    for (body, field, rule) in [
        (json!({}), "display_name", "be given"),
        (json!({"bio": null}), "display_name", "be given"),
        (
            json!({"display_name": &long[..51]}),
            "display_name",
            "at most 50 characters",
        ),
        (
            json!({"display_name": "a\u{202e}b"}),
            "display_name",
            "U+202E",
        ),
        (json!({"display_name": "a\nb"}), "display_name", "U+000A"),
        (json!({"bio": long}), "bio", "at most 300 characters"),
        (json!({"bio": "a\u{0}b"}), "bio", "U+0000"),
        (json!({"bio": 5}), "bio", "be a string"),
    ] {
        let problem = ada.put("/api/profile", body).await.refused(422, rule);
        assert_eq!(problem["errors"][0]["field"], field);
    }
    let both = json!({"display_name": "\u{1b}", "bio": "\u{1b}"});
    let problem = ada.put("/api/profile", both).await.refused(422, "U+001B");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(2));
    let read = |up_to: Value| ada.post("/api/notifications/read", json!({"up_to": up_to}));
    for wrong in [json!(0), json!(-1)] {
        read(wrong).await.refused(422, "up_to must be the id");
    }
    for wrong in [json!("1"), json!(1.5), json!(9_223_372_036_854_775_808_u64)] {
        read(wrong).await.refused(422, "up_to must be");
    }
}

#[tokio::test]
async fn people_that_are_not_there_and_oneself() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    for name in ["follow", "block", "mute"] {
        for id in ["0", "-1", "999999", "9223372036854775807"] {
            let path = format!("/api/user/{id}/{name}");
            let answer = ada.request("POST", &path).send().await;
            answer.refused(404, "no such user");
            ada.delete(&path).await.refused(404, "no such user");
        }
        let path = format!("/api/user/x/{name}");
        ada.delete(&path).await.refused(404, "a whole number");
        let own = deed(&ada, ada.id, name).await;
        own.refused(422, "id must be the account of somebody else");
    }
    for list in ["profile", "followers", "followed"] {
        let path = format!("/api/user/999999/{list}");
        ada.get(&path).await.refused(404, "no such user");
    }
    for name in ["a", "%00", "%F0%9F%90%A6", "ada%20", "%25"] {
        let path = format!("/api/user/by-name/{name}");
        ada.get(&path).await.refused(404, "no such user");
    }
    for list in ["/api/notifications", "/api/blocks", "/api/mutes"] {
        let path = format!("{list}?limit=0");
        ada.get(&path).await.refused(422, "limit must be");
    }
}

#[tokio::test]
async fn what_needs_a_login() {
    let app = TestApp::start(1).await;
    let (ada, nobody) = (app.member("ada").await, app.client(0));
    for name in ["follow", "block", "mute"] {
        deed(&nobody, ada.id, name).await.refused(401, "log in");
        let path = format!("/api/user/{}/{name}", ada.id);
        nobody.delete(&path).await.refused(401, "log in");
    }
    for path in [
        "/api/blocks",
        "/api/mutes",
        "/api/notifications",
        "/api/notifications/unread",
        "/api/auth/sessions",
        "/api/export",
    ] {
        nobody.get(path).await.refused(401, "log in");
    }
    let change = json!({"bio": "x"});
    nobody
        .put("/api/profile", change)
        .await
        .refused(401, "log in");
    let read = nobody.post("/api/notifications/read", json!({})).await;
    read.refused(401, "log in");
}

#[tokio::test]
async fn a_login_that_is_ended_from_another_device_ends_on_every_replica() {
    let app = TestApp::start(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let mut thief = app.client(1);
    thief.login("ada", PASSWORD).await.ok(200);
    let sessions = ada.get("/api/auth/sessions").await.ok(200);
    assert_eq!(sessions.as_array().map(Vec::len), Some(2));
    assert_eq!(sessions[0]["current"], false);
    let path = format!("/api/auth/sessions/{}", sessions[0]["id"].as_str().unwrap());
    bob.delete(&path).await.refused(404, "no such session");
    assert!(thief.is_logged_in().await);
    ada.delete(&path).await.ok(200);
    for replica in 0..2 {
        assert!(!app.elsewhere(&thief, replica).is_logged_in().await);
        assert!(app.elsewhere(&ada, replica).is_logged_in().await);
    }
    ada.delete(&path).await.refused(404, "no such session");
    for wrong in ["1", "x", "00000000-0000-0000-0000-000000000000", "%00"] {
        let path = format!("/api/auth/sessions/{wrong}");
        ada.delete(&path).await.refused(404, "no such session");
    }
}
