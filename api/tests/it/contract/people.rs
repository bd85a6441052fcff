//! Profiles, relations, notifications and logins.

use serde_json::json;

use super::shape;
use crate::app::{PASSWORD, TestApp};

#[tokio::test]
async fn profiles() {
    let app = TestApp::start(1).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let profile = format!("/api/user/{}/profile", ada.id);
    shape!(app.client(0).get(&profile).await.ok(200), @r#"
    {
      "bio": "",
      "created_at": "[time]",
      "display_name": "",
      "followed": 0,
      "followers": 0,
      "id": "[id]",
      "posts": 0,
      "relation": null,
      "username": "ada"
    }
    "#);
    let change = json!({"display_name": " Ada Lovelace ", "bio": "Notes on engines.\r\nLondon"});
    let changed = ada.put("/api/profile", change).await.ok(200);
    shape!(changed, @r#"
    {
      "bio": "Notes on engines.\nLondon",
      "created_at": "[time]",
      "display_name": "Ada Lovelace",
      "followed": 0,
      "followers": 0,
      "id": "[id]",
      "posts": 0,
      "relation": null,
      "username": "ada"
    }
    "#);
    assert_eq!(changed["id"], ada.id);
    assert_eq!(app.client(0).get(&profile).await.ok(200), changed);
    shape!(bob.get("/api/user/by-name/ADA").await.ok(200), @r#"
    {
      "bio": "Notes on engines.\nLondon",
      "created_at": "[time]",
      "display_name": "Ada Lovelace",
      "followed": 0,
      "followers": 0,
      "id": "[id]",
      "posts": 0,
      "relation": {
        "blocking": false,
        "followed_by": false,
        "following": false,
        "muting": false
      },
      "username": "ada"
    }
    "#);
    // A name that is also the end of another address.
    let odd = app.member("profile").await;
    let found = ada.get("/api/user/by-name/profile").await.ok(200);
    assert_eq!(found["id"], odd.id);
}

#[tokio::test]
async fn relations_and_lists_of_people() {
    let app = TestApp::start(1).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let to_bob = |deed: &str| format!("/api/user/{}/{deed}", bob.id);
    shape!(ada.request("POST", &to_bob("follow")).send().await.ok(200), @r#"
    {
      "blocking": false,
      "followed_by": false,
      "following": true,
      "muting": false
    }
    "#);
    shape!(bob.get(&to_bob("followers")).await.ok(200), @r#"
    [
      {
        "bio": "",
        "display_name": "",
        "id": "[id]",
        "relation": {
          "blocking": false,
          "followed_by": true,
          "following": false,
          "muting": false
        },
        "username": "ada"
      }
    ]
    "#);
    let followed = format!("/api/user/{}/followed", ada.id);
    shape!(app.client(0).get(&followed).await.ok(200), @r#"
    [
      {
        "bio": "",
        "display_name": "",
        "id": "[id]",
        "relation": null,
        "username": "bob"
      }
    ]
    "#);
    shape!(ada.request("POST", &to_bob("mute")).send().await.ok(200), @r#"
    {
      "blocking": false,
      "followed_by": false,
      "following": true,
      "muting": true
    }
    "#);
    assert_eq!(ada.get("/api/mutes").await.ok(200)[0]["id"], bob.id);
    let unmuted = ada.delete(&to_bob("mute")).await.ok(200);
    assert_eq!(unmuted["muting"], false);
    let unfollowed = ada.delete(&to_bob("follow")).await.ok(200);
    assert_eq!(unfollowed["following"], false);
    shape!(ada.request("POST", &to_bob("block")).send().await.ok(200), @r#"
    {
      "blocking": true,
      "followed_by": false,
      "following": false,
      "muting": false
    }
    "#);
    shape!(ada.get("/api/blocks").await.ok(200), @r#"
    [
      {
        "bio": "",
        "display_name": "",
        "id": "[id]",
        "relation": {
          "blocking": true,
          "followed_by": false,
          "following": false,
          "muting": false
        },
        "username": "bob"
      }
    ]
    "#);
    let unblocked = ada.delete(&to_bob("block")).await.ok(200);
    assert_eq!(unblocked["blocking"], false);
    for list in ["/api/blocks", "/api/mutes", &to_bob("followers")] {
        assert_eq!(ada.get(list).await.ok(200), json!([]), "{list}");
    }
}

#[tokio::test]
async fn notifications() {
    let app = TestApp::start(1).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    bob.put("/api/profile", json!({"display_name": "Bob"}))
        .await
        .ok(200);
    assert_eq!(ada.get("/api/notifications").await.ok(200), json!([]));
    let post = ada.write("Look at this").await;
    app.tell(ada.id, bob.id, "like", Some(post)).await;
    let follow = format!("/api/user/{}/follow", ada.id);
    bob.request("POST", &follow).send().await.ok(200);
    let list = ada.get("/api/notifications").await.ok(200);
    shape!(list, @r#"
    [
      {
        "actor": {
          "display_name": "Bob",
          "id": "[id]",
          "username": "bob"
        },
        "created_at": "[time]",
        "id": "[id]",
        "kind": "follow",
        "post": null,
        "read": false
      },
      {
        "actor": {
          "display_name": "Bob",
          "id": "[id]",
          "username": "bob"
        },
        "created_at": "[time]",
        "id": "[id]",
        "kind": "like",
        "post": {
          "excerpt": "Look at this",
          "id": "[id]"
        },
        "read": false
      }
    ]
    "#);
    assert_eq!(list[1]["post"]["id"], post);
    shape!(ada.get("/api/notifications/unread").await.ok(200), @r#"
    {
      "unread": 2
    }
    "#);
    let read = json!({"up_to": list[1]["id"]});
    shape!(ada.post("/api/notifications/read", read).await.ok(200), @r#"
    {
      "unread": 1
    }
    "#);
    let list = ada.get("/api/notifications").await.ok(200);
    assert_eq!(
        (&list[0]["read"], &list[1]["read"]),
        (&json!(false), &json!(true))
    );
    let read = ada.post("/api/notifications/read", json!({})).await.ok(200);
    assert_eq!(read, json!({"unread": 0}));
}

#[tokio::test]
async fn logins() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let login = app.client(0).request("POST", "/api/auth/login");
    let login = login.header("user-agent", "Phone/1.0 \u{e9}".as_bytes());
    let credentials = json!({"username": "ada", "password": PASSWORD});
    let mut phone = app.client(0);
    phone.token = Some(login.json(&credentials).send().await.token());
    let mut sessions = ada.get("/api/auth/sessions").await.ok(200);
    for session in sessions.as_array_mut().unwrap() {
        let time = |name: &str| {
            let text = session[name].as_str().unwrap();
            chrono::DateTime::parse_from_rfc3339(text).unwrap()
        };
        let lifetime = time("expires_at") - time("created_at");
        assert!(
            (1_439..=1_441).contains(&lifetime.num_minutes()),
            "{lifetime}"
        );
        assert_eq!(session["id"].as_str().unwrap().len(), 36);
        session["id"] = json!(1);
        session["expires_at"] = json!("");
    }
    shape!(sessions, @r#"
    [
      {
        "created_at": "[time]",
        "current": false,
        "expires_at": "",
        "id": "[id]",
        "user_agent": "Phone/1.0 é"
      },
      {
        "created_at": "[time]",
        "current": true,
        "expires_at": "",
        "id": "[id]",
        "user_agent": ""
      }
    ]
    "#);
    let sessions = ada.get("/api/auth/sessions").await.ok(200);
    let path = format!("/api/auth/sessions/{}", sessions[0]["id"].as_str().unwrap());
    shape!(ada.delete(&path).await.ok(200), @r#"
    {
      "message": "Session ended"
    }
    "#);
    assert!(!phone.is_logged_in().await);
}
