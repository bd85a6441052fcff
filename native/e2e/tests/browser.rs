//! What people do with a browser, over the whole native stack: real Chromium, NGINX, API replicas, PostgreSQL, Redis,
//! worker and language model. Every page on the way is held against axe-core's rules and left as a picture in
//! `screenshots/`, for a person to look at.

#![expect(
    clippy::expect_used,
    reason = "tests have nobody to report to but their own output"
)]

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use e2e::{
    Stack,
    browser::{Browser, DARK, DARK_PHONE, DESK, Look, PHONE, SOON},
    eventually,
};

/// Long enough for a verdict on a busy machine with two cores.
const VERDICT: Duration = Duration::from_secs(120);
const PASSWORD: &str = "a long enough password";

static PEOPLE: AtomicU32 = AtomicU32::new(0);

/// A name that nobody has.
fn name(first: &str) -> String {
    let instant = SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock after 1970")
        .as_millis();
    format!("{first}{}{instant}", PEOPLE.fetch_add(1, Ordering::Relaxed))
}

/// Somebody with a browser and an account.
struct Person {
    browser: Browser,
    name: String,
}

impl Person {
    /// Signs up by the form, as a visitor does.
    async fn sign_up(stack: &Stack, first: &str, look: Look) -> Self {
        let (browser, name) = (Browser::open(&stack.url, look).await, name(first));
        browser.go("/").await;
        browser.click("main a[href='/signup']").await;
        browser.fill("#username", &name).await;
        browser.fill("#password", PASSWORD).await;
        browser.click("main form button.b").await;
        browser.wait_for("#compose", SOON).await;
        Self { browser, name }
    }

    /// The number of the first post on the page; empty when there is none.
    async fn first_post(&self) -> String {
        let first = "return document.querySelector('article.post')?.dataset.post ?? ''";
        let first = self.browser.run(first).await;
        first.as_str().expect("a text").to_owned()
    }

    /// Writes into the box on the page and waits for the post to appear there; answers its number. Its words may be behind
    /// a veil by then: who writes what was judged before has the verdict at once.
    async fn write(&self, text: &str) -> String {
        let browser = &self.browser;
        let before = self.first_post().await;
        browser.fill("#compose textarea", text).await;
        browser.click("#compose [data-send]").await;
        eventually("the post is on the page", SOON, async || {
            self.first_post().await != before
        })
        .await;
        self.first_post().await
    }

    /// Looks at a page closely.
    async fn inspect(&self, picture: &str) {
        self.browser.picture(picture).await;
        self.browser.is_accessible().await;
        let complaints = self.browser.complaints().await;
        assert!(complaints.is_empty(), "{picture}: {complaints:?}");
    }
}

fn post(id: &str) -> String {
    format!("article[data-post='{id}']")
}

/// Two people meet: the story that the pages are for.
async fn two_people_meet(stack: &Stack, look: Look) {
    let ada = Person::sign_up(stack, "ada", look).await;
    ada.inspect("home-empty").await;

    // What she writes is there at once and its verdict comes by itself: the page is never loaded again.
    ada.browser.mark().await;
    let glad = ada
        .write("What a wonderful morning, the whole city is singing! #spring")
        .await;
    let mood = format!("{} .mood", post(&glad));
    ada.browser
        .wait_for(&format!("{mood}.positive"), VERDICT)
        .await;
    assert!(ada.browser.is_marked().await);
    ada.inspect("home-verdict").await;

    // Ben finds her, follows her, answers and likes.
    let ben = Person::sign_up(stack, "ben", look).await;
    ben.browser.go(&format!("/@{}", ada.name)).await;
    ben.inspect("profile").await;
    ben.browser.click("main [formaction$='/follow']").await;
    ben.browser
        .wait_for("main [formaction$='/unfollow']", SOON)
        .await;
    ben.browser.go(&format!("/posts/{glad}")).await;
    ben.browser
        .click(&format!("{} [data-act=like]", post(&glad)))
        .await;
    let liked = format!("{} [data-act=like][aria-pressed=true]", post(&glad));
    ben.browser.wait_for(&liked, SOON).await;
    ben.browser
        .fill("#compose textarea", "I hear it too!")
        .await;
    ben.browser.click("#compose [data-send]").await;
    ben.browser
        .wait_for_text("#replies article.post .text", "I hear it too!", SOON)
        .await;
    ben.inspect("thread").await;

    // She sees it live, on the page that was open all the time.
    ada.browser.wait_for_text(".badge", "3", SOON).await;
    let likes = format!("{} [data-count=likes]", post(&glad));
    ada.browser.wait_for_text(&likes, "1", SOON).await;
    let replies = format!("{} [data-count=replies]", post(&glad));
    ada.browser.wait_for_text(&replies, "1", SOON).await;
    assert!(ada.browser.is_marked().await);
    ada.browser.go("/notifications").await;
    ada.browser.wait_for_text("main", &ben.name, SOON).await;
    ada.inspect("notifications").await;
    ada.browser.go("/").await;
    assert!(ada.browser.shows(".badge[hidden]").await, "read is read");

    // What she writes now is announced to him, who follows her.
    ben.browser.go("/").await;
    ben.browser.wait_for(&post(&glad), SOON).await;
    ben.browser.mark().await;
    let threat = ada
        .write("I know where you live. Tonight I will come to your house and kill you.")
        .await;
    ben.browser.wait_for("#new:not([hidden])", SOON).await;
    assert!(ben.browser.is_marked().await);

    // It is judged dangerous, and a veil is drawn over it before everybody.
    let veil = format!("{} details.veil", post(&threat));
    ada.browser.wait_for(&veil, VERDICT).await;
    ben.browser.click("#new a").await;
    ben.browser.wait_for(&veil, SOON).await;
    let hidden = ben.browser.text(&format!("{veil} .text")).await;
    assert_eq!(hidden, "", "a veil shows nothing");
    ben.inspect("veil").await;
    ben.browser.click(&format!("{veil} summary")).await;
    let words = format!("{veil} .text");
    ben.browser.wait_for_text(&words, "Tonight", SOON).await;

    for (path, picture) in [
        (format!("/@{}", ada.name), "profile-own"),
        ("/explore".to_owned(), "explore"),
        ("/search?q=city".to_owned(), "search"),
        ("/tags/spring".to_owned(), "tag"),
        ("/bookmarks".to_owned(), "bookmarks"),
        ("/compose".to_owned(), "compose"),
        ("/settings".to_owned(), "settings"),
        (format!("/posts/{glad}/edit"), "edit"),
        (format!("/posts/{threat}/delete"), "delete"),
        ("/nothing-here".to_owned(), "not-found"),
    ] {
        ada.browser.go(&path).await;
        if picture == "not-found" {
            // The browser notes every 404, and this one is meant.
            let _meant = ada.browser.complaints().await;
        }
        ada.inspect(picture).await;
    }
    ada.browser.close().await;
    ben.browser.close().await;
}

#[tokio::test]
async fn two_people_meet_at_a_desk() {
    two_people_meet(&Stack::get().await, DESK).await;
}

#[tokio::test]
async fn two_people_meet_on_their_phones() {
    two_people_meet(&Stack::get().await, PHONE).await;
}

#[tokio::test]
async fn two_people_meet_at_night() {
    two_people_meet(&Stack::get().await, DARK).await;
}

#[tokio::test]
async fn a_visitor_looks_around() {
    let stack = Stack::get().await;
    let mut visitor = Browser::open(&stack.url, DESK).await;
    for look in [DESK, PHONE, DARK, DARK_PHONE] {
        visitor.look_as(look).await;
        for (path, picture) in [("/", "front"), ("/login", "login"), ("/signup", "signup")] {
            visitor.go(path).await;
            visitor.picture(picture).await;
            visitor.is_accessible().await;
        }
    }
    visitor.close().await;
}

#[tokio::test]
async fn without_scripts_one_can_sign_up_write_and_read() {
    let stack = Stack::get().await;
    let browser = Browser::open(&stack.url, PHONE).await;
    browser.without_scripts().await;
    let name = name("cleo");
    browser.go("/signup").await;
    browser.fill("#username", &name).await;
    browser.fill("#password", PASSWORD).await;
    browser.click("main form button.b").await;
    browser.wait_for("#compose", SOON).await;
    let text = "A plain form is enough for me.";
    browser.fill("#compose textarea", text).await;
    browser.click("#compose [data-send]").await;
    browser
        .wait_for_text("article.post .text", text, SOON)
        .await;
    browser.click("article.post [data-act=like]").await;
    browser
        .wait_for("article.post [data-act=like][aria-pressed=true]", SOON)
        .await;
    browser.picture("without-scripts").await;
    browser.close().await;
}
