//! `/api/user` and `/api/auth`.

use serde_json::json;

use super::shape;
use crate::{
    app::{PASSWORD, TestApp},
    client::ids,
};

#[tokio::test]
async fn signing_up_and_looking_people_up() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    let credentials = json!({"username": "Ada.L_1-x", "password": PASSWORD});
    let created = nobody.post("/api/user/signup", credentials).await;
    assert_eq!(created.header("set-cookie"), "", "one logs in afterwards");
    let created = created.ok(201);
    shape!(created, @r#"
    {
      "User created": [
        {
          "id": "[id]",
          "username": "Ada.L_1-x"
        }
      ]
    }
    "#);
    let ada = &created["User created"][0]["id"];
    let bob = app.member("bob").await;

    let listed = nobody.get("/api/user").await.ok(200);
    assert_eq!(
        ids(&listed),
        [bob.id, ada.as_i64().unwrap()],
        "newest first"
    );
    shape!(listed, @r#"
    [
      {
        "id": "[id]",
        "username": "bob"
      },
      {
        "id": "[id]",
        "username": "Ada.L_1-x"
      }
    ]
    "#);
    shape!(nobody.get(&format!("/api/user/{ada}")).await.ok(200), @r#"
    {
      "id": "[id]",
      "username": "Ada.L_1-x"
    }
    "#);
}

#[tokio::test]
async fn logging_in_and_out() {
    let app = TestApp::start(1).await;
    let mut ada = app.member("ada").await;
    ada.token = None;
    shape!(ada.get("/api/auth/loginstatus").await.ok(200), @r#"
    {
      "isLoggedIn": false
    }
    "#);
    for (username, password) in [("ada", "wrong password"), ("eve", PASSWORD), ("ada", "")] {
        let refused = ada.login(username, password).await;
        assert_eq!(refused.header("set-cookie"), "");
        refused.refused(401, "Invalid credentials");
    }

    let login = ada.login("ADA", PASSWORD).await;
    let cookie = login.header("set-cookie").to_owned();
    shape!(login.ok(200), @r#"
    {
      "message": "User logged in"
    }
    "#);
    let token = ada.token.clone().unwrap();
    let mut attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(
        attributes,
        ["HttpOnly", "Max-Age=86400", "Path=/", "SameSite=Lax"]
    );
    assert_eq!(
        cookie.split("; ").next(),
        Some(format!("jwt={token}").as_str())
    );
    shape!(ada.get("/api/auth/loginstatus").await.ok(200), @r#"
    {
      "isLoggedIn": true,
      "user": {
        "id": "[id]",
        "username": "ada"
      }
    }
    "#);

    let logout = ada.get("/api/auth/logout").await;
    let gone = logout.header("set-cookie").to_owned();
    assert!(
        gone.starts_with("jwt=; ") && gone.contains("Max-Age=0"),
        "{gone}"
    );
    assert!(
        gone.contains("Path=/") && gone.contains("HttpOnly"),
        "{gone}"
    );
    shape!(logout.ok(200), @r#"
    {
      "message": "User logged out"
    }
    "#);
    assert!(!ada.is_logged_in().await);
    // Nobody is told off for logging out twice.
    ada.get("/api/auth/logout").await.ok(200);
}

#[tokio::test]
async fn over_https_the_cookie_is_for_https_only() {
    let direct = TestApp::start(1).await;
    direct.member("ada").await;
    let proxied = TestApp::with(1, TestApp::behind_a_proxy).await;
    proxied.member("ada").await;
    let cookie = async |app: &TestApp, proto: &str| {
        let request = app.client(0).request("POST", "/api/auth/login");
        let request = request.header("x-forwarded-proto", proto);
        let credentials = json!({"username": "ada", "password": PASSWORD});
        let answer = request.json(&credentials).send().await;
        assert_eq!(answer.status, 200);
        answer.header("set-cookie").to_owned()
    };
    assert!(cookie(&proxied, "https").await.contains("; Secure"));
    assert!(!cookie(&proxied, "http").await.contains("Secure"));
    // Whoever is not the proxy may say what they like.
    assert!(!cookie(&direct, "https").await.contains("Secure"));
}

#[tokio::test]
async fn changing_and_deleting_ones_account() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let own = format!("/api/user/{}", ada.id);
    let renamed = ada.put(&own, json!({"username": "countess"})).await;
    assert_eq!(renamed.header("set-cookie"), "", "the login goes on");
    shape!(renamed.ok(200), @r#"
    {
      "User updated": [
        {
          "id": "[id]",
          "username": "countess"
        }
      ]
    }
    "#);
    let both = json!({"username": "ada", "password": "another good one"});
    shape!(ada.put(&own, both).await.ok(200), @r#"
    {
      "User updated": [
        {
          "id": "[id]",
          "username": "ada"
        }
      ]
    }
    "#);

    let mut ada = app.client(0);
    ada.login("ada", "another good one").await.ok(200);
    shape!(ada.delete(&own).await.ok(200), @r#"
    {
      "User deleted": [
        {
          "id": "[id]",
          "username": "ada"
        }
      ]
    }
    "#);
    ada.get(&own).await.refused(404, "no such user");
    shape!(ada.get("/api/user").await.ok(200), @"[]");
}

#[tokio::test]
async fn the_same_token_counts_as_bearer() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let token = ada.token.clone().unwrap();
    let ask = async |value: String| {
        let request = app.client(0).request("GET", "/api/auth/loginstatus");
        let status = request.header("authorization", value).send().await.ok(200);
        status["user"]["id"].as_i64()
    };
    assert_eq!(ask(format!("Bearer {token}")).await, Some(ada.id));
    assert_eq!(
        ask(format!("bearer {token}")).await,
        Some(ada.id),
        "a scheme has no case (RFC 9110)"
    );
    assert_eq!(ask(format!("Bearer {token}x")).await, None);
    assert_eq!(ask(token.clone()).await, None);
    assert_eq!(ask("Bearer ".into()).await, None);

    let request = app.client(0).request("POST", "/api/posts");
    let request = request.header("authorization", format!("Bearer {token}"));
    let posts = request.json(&json!({"content": "by program"})).send().await;
    assert_eq!(posts.ok(201)[0]["userId"], ada.id);
}
