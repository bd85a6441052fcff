//! `/api/user` and `/api/auth`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    asking::{Account, NEW_PASSWORD, NOBODY, PASSWORD, Service},
    shapes::{next, token_in},
};

pub async fn signing_up(service: &Service<'_>) -> Account {
    let ada = service.join("Ada").await;
    let path = "/api/user/signup";
    let taken = json!({"username": ada.username.to_lowercase(), "password": PASSWORD});
    service.post(path, taken).refused(409).await;
    let short = json!({"username": "contract", "password": "short"});
    let said = service.post(path, short).refused(422).await;
    assert!(said.contains("password must have 8 to 256"), "{said}");
    let said = service.post(path, json!({})).refused(422).await;
    assert!(
        said.contains("username") && said.contains("password"),
        "{said}"
    );
    ada
}

pub async fn logging_in(service: &Service<'_>, ada: &Account) {
    let wrong = service.log_in(&ada.username, "a wrong password");
    let unknown = service.log_in("nobody-is-called-so", PASSWORD);
    for refused in [wrong.answer().await, unknown.answer().await] {
        assert_eq!(refused.status, 401);
        assert_eq!(refused.body["message"], "Invalid credentials");
        assert_eq!(refused.body["status"], 401);
        assert!(!refused.headers.contains_key("set-cookie"));
    }
    let known = json!({"isLoggedIn": true, "user": {"id": ada.id, "username": ada.username}});
    for url in service.urls {
        assert_eq!(service.login_status(url, &ada.token).await, known);
        let by_header = service.http.get(format!("{url}/api/auth/loginstatus"));
        let by_header = by_header.bearer_auth(&ada.token).send().await.unwrap();
        assert_eq!(by_header.json::<Value>().await.unwrap(), known);
    }
    let nobody = json!({"isLoggedIn": false});
    let stranger = service.get("/api/auth/loginstatus").gives(200).await;
    assert_eq!(stranger, nobody);
    // The same claims with another signature.
    let (claims, signature) = ada.token.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    for forged in [&*format!("{claims}.{turned}"), "nonsense", ""] {
        let status = service.login_status(&service.urls[0], forged).await;
        assert_eq!(status, nobody, "{forged}");
    }
}

pub async fn looking_up(service: &Service<'_>, ada: &Account, ben: &Account) {
    let one = service.get(format!("/api/user/{}", ada.id)).gives(200);
    let ada = json!({"id": ada.id, "username": ada.username});
    assert_eq!(one.await, ada);
    // The newest accounts, newest first.
    let list = service.get("/api/user?limit=1").answer().await;
    assert_eq!(list.body, json!([{"id": ben.id, "username": ben.username}]));
    let below = next(&list.headers).expect("there are more");
    assert_eq!(service.get(below).gives(200).await, json!([ada]));
    for nobody in [&*NOBODY.to_string(), "0", "ada"] {
        let path = format!("/api/user/{nobody}");
        service.get(path).refused(404).await;
    }
    service.get("/api/nothing/is/here").refused(404).await;
}

/// Looks at the feed of every replica, which has it cached from then on.
async fn is_newest_everywhere(service: &Service<'_>, post: &Value, username: &str) {
    for url in service.urls {
        let newest = &service.feed(url).await[0];
        assert_eq!(newest["id"], post["id"], "{url}");
        assert_eq!(newest["username"], username, "{url}");
    }
}

/// Gives the account as it is then, with its new name and login.
pub async fn changing(service: &Service<'_>, ada: Account, ben: &Account) -> Account {
    let path = &*format!("/api/user/{}", ada.id);
    let nobodys = format!("/api/user/{NOBODY}");
    let username = format!("{}-b", ada.username);
    let rename = json!({"username": username});
    let put = |body: &Value| service.put(path, body.clone());
    put(&rename).refused(401).await;
    put(&rename).by(&ben.token).refused(403).await;
    let call = service.put(nobodys, rename);
    call.by(&ada.token).refused(404).await;
    let taken = json!({"username": ben.username});
    put(&taken).by(&ada.token).refused(409).await;
    let wrong = json!({"username": "a b"});
    put(&wrong).by(&ada.token).refused(422).await;

    let post = service.write(&ada, "Under which name?").await;
    is_newest_everywhere(service, &post, &ada.username).await;
    let both = json!({"username": username, "password": NEW_PASSWORD});
    let changed = put(&both).by(&ada.token).answer().await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let known = json!({"id": ada.id, "username": username});
    assert_eq!(changed.body, json!({"User updated": [known]}));
    is_newest_everywhere(service, &post, &username).await;
    // A new password ends every login but the one that comes with the answer.
    let token = token_in(&changed.headers);
    for url in service.urls {
        let old = service.login_status(url, &ada.token).await;
        assert_eq!(old, json!({"isLoggedIn": false}), "{url}");
        assert_eq!(service.login_status(url, &token).await["user"], known);
    }
    service.log_in(&username, PASSWORD).refused(401).await;
    service.log_in(&username, NEW_PASSWORD).gives(200).await;
    Account {
        id: ada.id,
        username,
        token,
    }
}

pub async fn deleting(service: &Service<'_>, ada: &Account, ben: &Account) {
    let path = &*format!("/api/user/{}", ada.id);
    service.delete(path).refused(401).await;
    service.delete(path).by(&ben.token).refused(403).await;
    let nobodys = service.delete(format!("/api/user/{NOBODY}"));
    nobodys.by(&ada.token).refused(404).await;

    let post = service.write(ada, "Goodbye").await;
    is_newest_everywhere(service, &post, &ada.username).await;
    let gone = service.delete(path).by(&ada.token).gives(200).await;
    let known = json!({"id": ada.id, "username": ada.username});
    assert_eq!(gone, json!({"User deleted": [known]}));
    service.get(path).refused(404).await;
    let path = format!("/api/posts/{}", post["id"]);
    service.get(path).refused(404).await;
    for url in service.urls {
        let feed = service.feed(url).await;
        let mut posts = feed.as_array().unwrap().iter();
        assert!(posts.all(|post| post["userId"] != ada.id), "{url}");
        let status = service.login_status(url, &ada.token).await;
        assert_eq!(status, json!({"isLoggedIn": false}), "{url}");
    }
    let again = service.log_in(&ada.username, NEW_PASSWORD);
    again.refused(401).await;
}

pub async fn logging_out(service: &Service<'_>, ben: &Account) {
    let call = service.get("/api/auth/logout").by(&ben.token);
    let out = call.answer().await;
    assert_eq!(out.status, 200);
    assert_eq!(out.body, json!({"message": "User logged out"}));
    let cookie = out.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("jwt=;"), "it is taken back: {cookie}");
    for url in service.urls {
        let status = service.login_status(url, &ben.token).await;
        assert_eq!(status, json!({"isLoggedIn": false}), "{url}");
        for (method, path) in [
            (Method::POST, "/api/posts".to_owned()),
            (Method::PUT, "/api/posts/1".to_owned()),
            (Method::PUT, format!("/api/user/{}", ben.id)),
        ] {
            let body = json!({"content": "from beyond", "username": "from-beyond"});
            let call = service.call(method, path).at(url).with(body);
            call.by(&ben.token).refused(401).await;
        }
    }
    let nobody = service.get("/api/auth/logout").gives(200).await;
    assert_eq!(nobody, json!({"message": "User logged out"}));
}
