//! Accounts: names, and what goes when one is deleted.

use serde_json::json;

use crate::app::{PASSWORD, TestApp};

#[tokio::test]
async fn a_name_is_unique_whatever_its_case_and_free_again_after_its_owner_has_gone() {
    let app = TestApp::start(1).await;
    let ada = app.member("Ada").await;
    let sign_up = async |name: &str| {
        let credentials = json!({"username": name, "password": PASSWORD});
        app.client(0).post("/api/user/signup", credentials).await
    };
    for name in ["Ada", "ada", "ADA"] {
        sign_up(name).await.refused(409, "username is taken");
    }
    let bob = app.member("bob").await;
    let rename = bob
        .put(&format!("/api/user/{}", bob.id), json!({"username": "aDa"}))
        .await;
    rename.refused(409, "username is taken");
    // One's own name in another case is no other name.
    let own = format!("/api/user/{}", ada.id);
    let renamed = ada.put(&own, json!({"username": "ADA"})).await.ok(200);
    assert_eq!(renamed["User updated"][0]["username"], "ADA");

    ada.delete(&own).await.ok(200);
    let again = sign_up("ada").await.ok(201);
    assert_ne!(again["User created"][0]["id"], ada.id, "another person");
    // Of two who want it at the same moment one gets it.
    let (one, other) = tokio::join!(sign_up("eve"), sign_up("EVE"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn a_new_name_is_on_old_posts_at_once() {
    let app = TestApp::start(2).await;
    let ada = app.member("ada").await;
    ada.write("hello").await;
    let elsewhere = app.elsewhere(&ada, 1);
    assert_eq!(
        elsewhere.get("/api/posts").await.ok(200)[0]["username"],
        "ada"
    );
    let own = format!("/api/user/{}", ada.id);
    ada.put(&own, json!({"username": "countess"})).await.ok(200);
    assert_eq!(
        elsewhere.get("/api/posts").await.ok(200)[0]["username"],
        "countess"
    );
}

#[tokio::test]
async fn an_account_goes_with_its_posts_and_logins_on_every_replica() {
    let app = TestApp::start(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let (hers, his) = (ada.write("hers").await, bob.write("his").await);
    let (ada_elsewhere, bob_elsewhere) = (app.elsewhere(&ada, 1), app.elsewhere(&bob, 1));
    assert_eq!(bob_elsewhere.feed().await, [his, hers]);

    ada.delete(&format!("/api/user/{}", ada.id)).await.ok(200);
    assert_eq!(bob_elsewhere.feed().await, [his]);
    bob.get(&format!("/api/posts/{hers}"))
        .await
        .refused(404, "no such post");
    for ada in [&ada, &ada_elsewhere] {
        assert!(!ada.is_logged_in().await);
        ada.post("/api/posts", json!({"content": "a ghost"}))
            .await
            .refused(401, "log in again");
    }
    let mut ada = app.client(1);
    ada.login("ada", PASSWORD)
        .await
        .refused(401, "Invalid credentials");
}

#[tokio::test]
async fn the_list_of_people_is_walked_page_by_page() {
    let app = TestApp::start(1).await;
    let sql = app.sql().await;
    sqlx::query("INSERT INTO users (username, password_hash) SELECT 'user' || n, '' FROM generate_series(1, 7) AS n")
        .execute(&sql)
        .await
        .unwrap();
    let nobody = app.client(0);
    let (mut path, mut seen) = ("/api/user?limit=3".to_owned(), Vec::new());
    while !path.is_empty() {
        let page = nobody.get(&path).await;
        let link = page.header("link").to_owned();
        seen.extend(crate::client::ids(&page.ok(200)));
        path = link
            .strip_prefix('<')
            .map_or(String::new(), |link| link.replace(">; rel=\"next\"", ""));
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
}
