//! What nobody can make a page do: forms that other sites send, words that would be code, refusals for browsers.

use serde_json::json;

use super::browser::{Browser, tags};
use crate::app::TestApp;

#[tokio::test]
async fn a_form_is_taken_from_ones_own_pages_only() {
    let app = TestApp::start(1).await;
    let (ada, eve) = (app.member("ada").await, app.member("eve").await);
    let (browser, other) = (Browser::of(&ada), Browser::of(&eve));
    let own = browser.get("/").await.csrf();
    let hers = other.get("/").await.csrf();
    for token in ["", "x", "x.y", hers.as_str()] {
        let fields = [("csrf", token), ("content", "forged")];
        browser
            .send_with("/compose", &fields, &[])
            .await
            .ok(403)
            .shows("reload the page");
    }
    browser
        .send_with("/compose", &[("content", "forged")], &[])
        .await
        .ok(403);
    // The token alone is not enough when the browser says that another site sends it.
    let fields = [("csrf", own.as_str()), ("content", "forged")];
    for foreign in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        browser
            .send_with("/compose", &fields, &[foreign])
            .await
            .ok(403)
            .shows("Another site");
    }
    assert!(ada.feed().await.is_empty(), "nothing was written");
    let host = ada.address.to_string();
    let same = [
        ("sec-fetch-site", "same-origin"),
        ("origin", &format!("http://{host}")),
    ];
    let written = browser.send_with("/compose", &fields, &same).await;
    assert!(written.sent_to().starts_with("/posts/"));

    // Nor can another site log somebody in as somebody else.
    let credentials = [("username", "eve"), ("password", crate::app::PASSWORD)];
    let foreign = [("sec-fetch-site", "cross-site")];
    Browser::at(&app)
        .send_with("/login", &credentials, &foreign)
        .await
        .ok(403);
}

#[tokio::test]
async fn another_site_cannot_use_the_cookie_for_the_api_either() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let body = json!({"content": "forged"});
    for foreign in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let request = ada.request("POST", "/api/posts").json(&body);
        request
            .header(foreign.0, foreign.1)
            .send()
            .await
            .refused(403, "another site");
        let mut eve = ada.clone();
        let token = eve.token.take().expect("a token");
        // A program that holds the token itself is nobody's victim, whatever it says of itself.
        let request = eve.request("POST", "/api/posts").json(&body);
        let bearer = request.header("authorization", format!("Bearer {token}"));
        bearer.header(foreign.0, foreign.1).send().await.ok(201);
    }
    // Reading is harmless: nobody else can see the answer.
    let request = ada
        .request("GET", "/api/posts")
        .header("sec-fetch-site", "cross-site");
    request.send().await.ok(200);
}

#[tokio::test]
async fn words_are_never_code() {
    let app = TestApp::start(1).await;
    let mut ada = Browser::of(&app.member("ada").await);
    let evil = "<script>alert(1)</script> <img src=x onerror=alert(1)> \"'><b>& https://x.example/\"onmouseover=alert(1) #a\"b @ada</p>";
    let name = "</title><script>alert(2)</script>";
    let fields = [
        ("display_name", name),
        ("bio", "<style>*{}</style> \" onclick=x"),
    ];
    ada.submit("/settings", "/settings/profile", &fields)
        .await
        .sent_to();
    let at = ada
        .submit("/", "/compose", &[("content", evil)])
        .await
        .sent_to();
    for path in [
        "/",
        &at,
        "/@ada",
        "/?feed=everyone",
        &format!("{at}/edit"),
        &format!("{at}/card"),
        "/settings",
    ] {
        // The rules for all pages are checked on the way: no script, no handler, no style.
        let page = ada
            .get(path)
            .await
            .ok(200)
            .hides("<script>")
            .hides("<img")
            .hides("<style");
        let names: Vec<_> = tags(&page.html)
            .iter()
            .map(|tag| tag.name.to_owned())
            .collect();
        assert!(
            !names.contains(&"b".to_owned()) || path == "/@ada" || path == "/settings",
            "{path}"
        );
    }
    ada.get(&at)
        .await
        .shows("&#60;script&#62;alert(1)")
        .shows("rel=\"nofollow ugc noopener\"");
}

#[tokio::test]
async fn refusals_are_pages_for_browsers_and_problems_for_programs() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let post = app.member("eve").await.write("mine").await;
    let browser = Browser::of(&ada);
    for path in [
        "/nothing",
        "/posts/999",
        "/posts/abc",
        "/@nobody",
        "/posts/9/nothing",
    ] {
        let page = browser.get(path).await.ok(404);
        assert_eq!(
            page.header("content-type"),
            "text/html; charset=utf-8",
            "{path}"
        );
        assert!(page.html.contains("Nothing here"), "{path}");
        ada.get(path).await.refused(404, "");
    }
    browser
        .get(&format!("/posts/{post}/edit"))
        .await
        .ok(403)
        .shows("somebody else");
    browser
        .get("/?before=x")
        .await
        .ok(422)
        .shows("Before must be");
    let wrong = browser.send_with("/bookmarks", &[], &[]).await.ok(405);
    assert_eq!(wrong.header("allow"), "GET, HEAD");
    let wrong = browser.get("/logout").await.ok(405);
    assert_eq!(wrong.header("allow"), "POST");
    // The API answers everybody in the same way.
    let answer = ada
        .request("GET", "/api/nothing")
        .header("accept", "text/html")
        .send()
        .await;
    answer.refused(404, "nothing at this address");
    // What is asked for by htmx is a sentence in its place.
    let part = browser
        .get_with("/posts/999", "hx-request", "true")
        .await
        .ok(404);
    assert_eq!(part.header("hx-retarget"), "#flash");
    assert!(
        part.html.starts_with("<p class=\"toast\">"),
        "{}",
        part.html
    );
    let mut nobody = browser.clone();
    nobody.token = None;
    let part = nobody
        .get_with("/bookmarks", "hx-request", "true")
        .await
        .ok(401);
    assert_eq!(part.header("hx-redirect"), "/login?next=%2Fbookmarks");
}

#[tokio::test]
async fn pages_are_paid_for_like_calls_and_a_refusal_is_a_page() {
    let app = TestApp::with(1, |config| {
        config.rate_limits.rate_limiter = true;
        config.rate_limits.rate_limit_auth = "2/60".parse().expect("a quota");
        config.rate_limits.rate_limit_reads = "4/60".parse().expect("a quota");
    })
    .await;
    let browser = Browser::at(&app);
    let credentials = [("username", "nobody"), ("password", "a wrong one")];
    for _ in 0..2 {
        browser.send_with("/login", &credentials, &[]).await.ok(422);
    }
    let refused = browser.send_with("/login", &credentials, &[]).await.ok(429);
    assert!(refused.html.contains("One moment, please"));
    // The form cannot be sent again by asking for its address.
    assert!(!refused.html.contains("Try again"));
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    for _ in 0..4 {
        browser.get("/").await.ok(200);
    }
    browser.get("/").await.ok(429).shows("Try again");
    let style = api::pages::assets::css();
    for _ in 0..8 {
        browser.get(style).await.ok(200);
    }
}
