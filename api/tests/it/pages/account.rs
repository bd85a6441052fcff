//! Signing up, logging in and out by forms.

use super::browser::Browser;
use crate::app::{PASSWORD, TestApp};

#[tokio::test]
async fn one_signs_up_and_is_logged_in() {
    let app = TestApp::start(1).await;
    let mut ada = Browser::at(&app);
    ada.get("/")
        .await
        .ok(200)
        .shows("href=\"/signup\"")
        .shows("href=\"/login");
    let credentials = [
        ("username", "ada"),
        ("password", PASSWORD),
        ("next", "/settings"),
    ];
    let answer = ada.submit("/signup", "/signup", &credentials).await;
    assert_eq!(answer.sent_to(), "/settings");
    let cookie = answer.header("set-cookie");
    for part in ["jwt=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let home = ada
        .get("/")
        .await
        .ok(200)
        .shows("href=\"/@ada\"")
        .shows("id=\"compose\"");
    assert_eq!(home.header("cache-control"), "private, no-store");
    // Who is logged in already has no use for the form.
    assert_eq!(ada.get("/login?next=/explore").await.sent_to(), "/explore");

    let gone = ada.submit("/settings", "/logout", &[]).await;
    assert_eq!(gone.sent_to(), "/");
    assert_eq!(ada.token, None);
    ada.get("/").await.ok(200).hides("id=\"compose\"");
}

#[tokio::test]
async fn a_refused_sign_up_keeps_the_name_and_says_what_is_wrong_where_it_is() {
    let app = TestApp::start(1).await;
    app.member("ada").await;
    let mut browser = Browser::at(&app);
    let mut try_as = async |name: &str, password: &str| {
        let credentials = [("username", name), ("password", password)];
        browser
            .submit("/signup", "/signup", &credentials)
            .await
            .ok(422)
    };
    try_as("Ada", PASSWORD)
        .await
        .shows("value=\"Ada\"")
        .shows("username-error\"")
        .shows("aria-invalid=\"true\"")
        .shows("is taken")
        .hides(PASSWORD);
    try_as("\"><script>alert(1)</script>", "short7!")
        .await
        .shows("username-error")
        .shows("password-error")
        .shows("8 to 256 characters")
        .hides("<script>alert")
        .hides("short7!");
}

#[tokio::test]
async fn one_logs_in_and_comes_back_to_where_one_was() {
    let app = TestApp::start(1).await;
    let member = app.member("ada").await;
    let post = member.write("hello").await;
    let mut ada = Browser::at(&app);
    let wrong = [("username", "ada"), ("password", "wrong password")];
    ada.submit("/login", "/login", &wrong)
        .await
        .ok(422)
        .shows("value=\"ada\"")
        .shows("password-error")
        .hides("wrong password");
    assert_eq!(ada.token, None);

    let edit = format!("/posts/{post}/edit");
    let login = ada.get(&edit).await.sent_to();
    assert_eq!(login, format!("/login?next=%2Fposts%2F{post}%2Fedit"));
    ada.get(&login)
        .await
        .ok(200)
        .shows(&format!("name=\"next\" value=\"{edit}\""));
    let right = [
        ("username", "ada"),
        ("password", PASSWORD),
        ("next", edit.as_str()),
    ];
    ada.submit_and_follow(&login, "/login", &right)
        .await
        .ok(200)
        .shows("hello</textarea>");
}

#[tokio::test]
async fn nobody_is_led_off_the_site() {
    let app = TestApp::start(1).await;
    app.member("ada").await;
    for foreign in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
    ] {
        let mut ada = Browser::at(&app);
        let form = format!("/login?next={}", api::pages::encoded(foreign));
        ada.get(&form)
            .await
            .ok(200)
            .shows("name=\"next\" value=\"/\"");
        let credentials = [
            ("username", "ada"),
            ("password", PASSWORD),
            ("next", foreign),
        ];
        assert_eq!(
            ada.submit("/login", "/login", &credentials).await.sent_to(),
            "/"
        );
    }
}
