//! Settings: profile, password, logins, the end of an account.

use super::browser::Browser;
use crate::app::{PASSWORD, TestApp};

#[tokio::test]
async fn the_profile_is_ones_own_to_write() {
    let app = TestApp::start(1).await;
    let mut ada = Browser::of(&app.member("ada").await);
    let fields = [
        ("display_name", " Ada L. "),
        ("bio", "Engines,\r\nmostly #analytical."),
    ];
    ada.submit_and_follow("/settings", "/settings/profile", &fields)
        .await
        .ok(200)
        .shows("Your profile is saved.")
        .shows("value=\"Ada L.\"");
    ada.get("/@ada")
        .await
        .shows("<h1 dir=\"auto\">Ada L.</h1>")
        .shows("<a href=\"/tags/analytical\">#analytical</a>");
    let long = "b".repeat(301);
    let fields = [("display_name", "New"), ("bio", long.as_str())];
    ada.submit("/settings", "/settings/profile", &fields)
        .await
        .ok(422)
        .shows("bio-error")
        .shows("value=\"New\"")
        .shows(&long);
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_the_other_logins() {
    let app = TestApp::start(1).await;
    let mut ada = Browser::of(&app.member("ada").await);
    let mut phone = app.client(0);
    phone.login("ada", PASSWORD).await.ok(200);
    let new = "another good password";
    let wrong = [("current", "not this one"), ("new", new)];
    ada.submit("/settings", "/settings/password", &wrong)
        .await
        .ok(422)
        .shows("current-error")
        .hides(new)
        .hides("not this one");
    let short = [("current", PASSWORD), ("new", "short")];
    ada.submit("/settings", "/settings/password", &short)
        .await
        .ok(422)
        .shows("new-error");
    assert!(phone.is_logged_in().await);
    let right = [("current", PASSWORD), ("new", new)];
    ada.submit_and_follow("/settings", "/settings/password", &right)
        .await
        .ok(200)
        .shows("Your password is changed");
    assert!(!phone.is_logged_in().await);
    phone.login("ada", new).await.ok(200);
    // Should the new login fail, the form for it says what has been done.
    Browser::at(&app)
        .get("/login?done=password&next=%2Fsettings")
        .await
        .ok(200)
        .shows("Your password is changed. Log in with the new one.")
        .shows("name=\"next\" value=\"/settings\"");
}

#[tokio::test]
async fn a_password_that_is_asked_for_opens_no_login() {
    let app = TestApp::start(1).await;
    let mut ada = Browser::of(&app.member("ada").await);
    let sql = app.sql().await;
    let wrong = [("current", "not this one"), ("new", "another good one")];
    ada.submit("/settings", "/settings/password", &wrong)
        .await
        .ok(422)
        // Where one comes back to from there can be got.
        .shows("name=\"next\" value=\"/settings\"");
    let right = [("current", PASSWORD), ("new", "another good one")];
    ada.submit("/settings", "/settings/password", &right)
        .await
        .sent_to();
    let logins: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions")
        .fetch_one(&sql)
        .await
        .expect("a count");
    assert_eq!(logins, 1);
}

#[tokio::test]
async fn logins_are_listed_and_ended() {
    let app = TestApp::start(1).await;
    let mut ada = Browser::of(&app.member("ada").await);
    let mut phone = app.client(0);
    phone.login("ada", PASSWORD).await.ok(200);
    let page = ada.get("/settings").await.ok(200).shows("This browser");
    let (_, rest) = page
        .html
        .split_once("/settings/sessions/")
        .expect("another login");
    let id = rest.split('/').next().expect("an id").to_owned();
    ada.submit_and_follow("/settings", &format!("/settings/sessions/{id}/end"), &[])
        .await
        .ok(200)
        .shows("That login has ended")
        .hides("/settings/sessions/");
    assert!(!phone.is_logged_in().await);
    ada.submit("/settings", "/settings/sessions/x/end", &[])
        .await
        .ok(404);
}

#[tokio::test]
async fn leaving_needs_the_password() {
    let app = TestApp::start(1).await;
    let member = app.member("ada").await;
    member.write("soon gone").await;
    let mut ada = Browser::of(&member);
    ada.submit(
        "/settings",
        "/settings/delete",
        &[("password", "wrong one")],
    )
    .await
    .ok(422)
    .shows("delete-error")
    .shows("<details class=\"fold\" open>");
    let gone = ada
        .submit("/settings", "/settings/delete", &[("password", PASSWORD)])
        .await;
    assert_eq!(gone.sent_to(), "/");
    assert_eq!(ada.token, None);
    ada.get("/@ada").await.ok(404);
    ada.get("/").await.ok(200).hides("soon gone");
}
