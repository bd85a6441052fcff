//! Names and passwords that will not do, and logging in with nonsense.

use serde_json::{Value, json};

use super::rule;
use crate::app::TestApp;

#[tokio::test]
async fn names_and_passwords_that_will_not_do() {
    let app = TestApp::start(1).await;
    let nobody = app.client(0);
    let sign_up = async |body: Value| nobody.post("/api/user/signup", body).await;
    let good = "a good password";
    let (long, longer) = ("a".repeat(30), "a".repeat(31));
    for name in [
        "",
        "ab",
        &longer,
        "a b",
        " ada",
        "héctor",
        "ada\0",
        "ada\n",
        "<b>ada</b>",
        "ада",
    ] {
        let problem = sign_up(json!({"username": name, "password": good})).await;
        let problem = problem.refused(422, "username must have 3 to 30 characters");
        let (field, _, length) = rule(&problem);
        assert_eq!(
            (field, length),
            ("username", Some(name.chars().count() as u64))
        );
    }
    for password in ["", "seven77", &"ü".repeat(257)] {
        let answer = sign_up(json!({"username": "ada", "password": password})).await;
        assert!(password.is_empty() || !answer.text().contains(password));
        let problem = answer.refused(422, "password must have 8 to 256 characters");
        let (field, _, length) = rule(&problem);
        assert_eq!(
            (field, length),
            ("password", Some(password.chars().count() as u64))
        );
    }
    // Whatever is wrong is said at once.
    let both = sign_up(json!({"username": "a", "password": "b"}))
        .await
        .refused(422, "username");
    assert_eq!(both["errors"].as_array().unwrap().len(), 2);
    let neither = sign_up(json!({})).await.refused(422, "must be given");
    assert_eq!(neither["errors"].as_array().unwrap().len(), 2);
    let typed = sign_up(json!({"username": ["ada"], "password": good})).await;
    assert_eq!(
        rule(&typed.refused(422, "username must be a string")).0,
        "username"
    );
    // A secret is not repeated, whatever is wrong with it.
    let number = sign_up(json!({"username": "ada", "password": 31_415_926})).await;
    assert!(!number.text().contains("31415926"), "{}", number.text());
    number.refused(422, "password must be a string");

    for (name, password) in [(long.as_str(), "ü".repeat(256)), ("a.b", "8 chars!".into())] {
        sign_up(json!({"username": name, "password": password}))
            .await
            .ok(201);
        let mut person = app.client(0);
        person.login(name, &password).await.ok(200);
    }
    let taken = sign_up(json!({"username": "A.B", "password": good})).await;
    taken.refused(409, "taken");
}

#[tokio::test]
async fn logging_in_with_nonsense() {
    let app = TestApp::start(1).await;
    let mut ada = app.member("ada").await;
    ada.token = None;
    let long = "x".repeat(5_000);
    for name in ["", "ada\0", "\0", "' OR 1=1 --", "нет", long.as_str()] {
        ada.login(name, "whatever it is")
            .await
            .refused(401, "Invalid credentials");
    }
    for password in ["", "\0", &long] {
        ada.login("ada", password)
            .await
            .refused(401, "Invalid credentials");
    }
    for (body, field) in [
        (json!({}), "username"),
        (json!({"username": "ada"}), "password"),
        (json!({"password": "x"}), "username"),
        (json!({"username": null, "password": "x"}), "username"),
        (
            json!({"username": {"$ne": ""}, "password": "x"}),
            "username",
        ),
    ] {
        let problem = ada.post("/api/auth/login", body).await.refused(422, field);
        assert_eq!(rule(&problem).0, field);
    }
}
