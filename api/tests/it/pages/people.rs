//! Profiles, following, blocking and muting, notifications.

use super::browser::Browser;
use crate::app::TestApp;

#[tokio::test]
async fn one_follows_and_is_told() {
    let app = TestApp::start(1).await;
    let (ada, eve) = (app.member("ada").await, app.member("eve").await);
    ada.write("hello there").await;
    let (mut reader, mut author) = (Browser::of(&eve), Browser::of(&ada));
    reader
        .get("/@ada")
        .await
        .ok(200)
        .shows("hello there")
        .shows("formaction=\"/@ada/follow\"");
    Browser::at(&app)
        .get("/@ada")
        .await
        .ok(200)
        .shows("Log in to follow");
    let fields = [("next", "/@ada")];
    reader
        .submit_and_follow("/@ada", "/@ada/follow", &fields)
        .await
        .ok(200)
        .shows("formaction=\"/@ada/unfollow\"")
        .shows("<b>1</b> follower<");
    reader.get("/@ada/followers").await.ok(200).shows("@eve");
    reader.get("/@eve/following").await.ok(200).shows("@ada");

    author
        .get("/")
        .await
        .ok(200)
        .shows(", 1 unread")
        .shows("aria-hidden=\"true\">1</span>");
    author
        .get("/notifications")
        .await
        .ok(200)
        .shows("follows you")
        .shows("href=\"/@eve\"");
    author
        .get("/")
        .await
        .ok(200)
        .hides("unread</span>")
        .shows("aria-hidden=\"true\" hidden>0</span>");
    author
        .get("/@eve")
        .await
        .ok(200)
        .shows("follows you")
        .shows("Follow back");
    reader
        .submit("/@ada", "/@ada/unfollow", &[])
        .await
        .sent_to();
    author.submit("/", "/@eve/follow", &[]).await.sent_to();
    author.get("/@eve").await.hides("follows you");
}

#[tokio::test]
async fn a_blocked_person_reaches_no_page_of_the_blockers() {
    let app = TestApp::start(1).await;
    let (ada, eve) = (app.member("ada").await, app.member("eve").await);
    let post = ada.write("not for eve").await;
    let (mut author, blocked) = (Browser::of(&ada), Browser::of(&eve));
    author
        .submit("/@eve", "/@eve/block", &[("next", "/@eve")])
        .await
        .sent_to();
    author
        .get("/@eve")
        .await
        .ok(200)
        .shows("You block")
        .shows("formaction=\"/@eve/unblock\"");
    author.get("/settings/blocked").await.ok(200).shows("@eve");
    let csrf = blocked.get("/").await.hides("not for eve").csrf();
    for path in [
        "/@ada",
        "/@ada/followers",
        &format!("/posts/{post}"),
        &format!("/posts/{post}/card"),
        &format!("/posts/{post}/history"),
    ] {
        blocked.get(path).await.ok(404).hides("not for eve");
    }
    blocked
        .get("/?feed=everyone")
        .await
        .ok(200)
        .hides("not for eve");
    for path in [
        &format!("/posts/{post}/like"),
        &format!("/posts/{post}/repost"),
        "/@ada/follow",
    ] {
        blocked
            .send_with(path, &[("csrf", &csrf)], &[])
            .await
            .ok(404);
    }
    author
        .submit("/settings/blocked", "/@eve/unblock", &[])
        .await
        .sent_to();
    blocked.get("/@ada").await.ok(200).shows("not for eve");
    author.submit("/@eve", "/@eve/mute", &[]).await.sent_to();
    author.get("/@eve").await.ok(200).shows("You mute");
    author.get("/settings/muted").await.ok(200).shows("@eve");
}

#[tokio::test]
async fn a_block_or_mute_can_be_undone_after_the_other_has_blocked_in_turn() {
    let app = TestApp::start(1).await;
    let (mut ada, mut eve) = (
        Browser::of(&app.member("ada").await),
        Browser::of(&app.member("eve").await),
    );
    ada.submit("/", "/@eve/mute", &[]).await.sent_to();
    ada.submit("/", "/@eve/block", &[]).await.sent_to();
    // Who is blocked does not see the one who blocks, but programs may block by number.
    let sql = app.sql().await;
    sqlx::query(
        "INSERT INTO blocks (blocker_id, blocked_id)
         SELECT e.id, a.id FROM users e, users a WHERE e.username = 'eve' AND a.username = 'ada'",
    )
    .execute(&sql)
    .await
    .expect("a block");
    for (list, undo) in [("blocked", "unblock"), ("muted", "unmute")] {
        let path = format!("/settings/{list}");
        let deed = format!("/@eve/{undo}");
        ada.get(&path).await.ok(200).shows(&deed);
        ada.submit_and_follow(&path, &deed, &[("next", &path)])
            .await
            .ok(200)
            .shows("<h2>Nobody</h2>");
    }
    // The other's block stands, and shows nothing.
    for deed in ["follow", "mute", "unfollow"] {
        ada.submit("/", &format!("/@eve/{deed}"), &[]).await.ok(404);
    }
    ada.get("/@eve").await.ok(404);
    eve.submit("/", "/@ada/unblock", &[]).await.sent_to();
    ada.get("/@eve").await.ok(200);
}

#[tokio::test]
async fn pages_for_members_lead_others_to_the_login() {
    let app = TestApp::start(1).await;
    let nobody = Browser::at(&app);
    for path in [
        "/notifications",
        "/bookmarks",
        "/settings",
        "/compose",
        "/settings/blocked",
    ] {
        let to = nobody.get(path).await.sent_to();
        assert_eq!(to, format!("/login?next={}", api::pages::encoded(path)));
    }
    for path in [
        "/compose",
        "/posts/1/like",
        "/@ada/follow",
        "/settings/delete",
    ] {
        assert_eq!(nobody.send_with(path, &[], &[]).await.sent_to(), "/login");
    }
}
