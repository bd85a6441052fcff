//! Style, scripts and icons: how they are sent, and how much a first look weighs.

use super::browser::{Browser, tags};
use crate::app::TestApp;

/// A first look at the front page, all of it as it goes over the wire, in bytes.
const MOST: usize = 60_000;

#[tokio::test]
async fn a_first_look_is_light() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    for number in 0..30 {
        ada.write(&format!(
            "Post number {number}: a linnet sang on the gorse, @ada heard it #spring"
        ))
        .await;
    }
    let browser = Browser::of(&ada);
    let home = browser.get_with("/", "accept-encoding", "br").await.ok(200);
    assert_eq!(home.header("content-encoding"), "br");
    let page = browser.get("/").await;
    let mut total = home.header("content-length").parse().unwrap_or(home.length);
    let mut paths: Vec<&str> = tags(&page.html)
        .iter()
        .filter(|tag| matches!(tag.name, "script" | "link" | "use"))
        .flat_map(|tag| tag.attributes.clone())
        .filter(|(name, value)| matches!(*name, "src" | "href") && value.starts_with("/assets/"))
        .map(|(_, value)| value.split('#').next().expect("a path"))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), 5, "{paths:?}");
    for path in paths {
        let asset = browser
            .get_with(path, "accept-encoding", "br")
            .await
            .ok(200);
        assert_eq!(asset.header("content-encoding"), "br", "{path}");
        total += asset
            .header("content-length")
            .parse::<usize>()
            .expect("a length");
    }
    eprintln!("a first look: {total} bytes");
    assert!(total <= MOST, "{total} bytes");
}

#[tokio::test]
async fn what_pages_are_made_of_is_kept_for_ever_under_the_name_of_its_content() {
    let app = TestApp::start(1).await;
    let browser = Browser::at(&app);
    for (path, kind) in [
        (api::pages::assets::css(), "text/css; charset=utf-8"),
        (api::pages::assets::js(), "text/javascript; charset=utf-8"),
        (api::pages::assets::icons(), "image/svg+xml"),
    ] {
        let mut tags = Vec::new();
        for coding in ["br", "gzip", "identity"] {
            let asset = browser
                .get_with(path, "accept-encoding", coding)
                .await
                .ok(200);
            assert_eq!(asset.header("content-type"), kind);
            assert_eq!(
                asset.header("cache-control"),
                "public, max-age=31536000, immutable"
            );
            assert_eq!(asset.header("vary"), "accept-encoding");
            let etag = asset.header("etag").to_owned();
            let again = browser.get_with(path, "if-none-match", &etag).await;
            // Another form than this one has another tag.
            assert_eq!(again.status, if coding == "identity" { 304 } else { 200 });
            tags.push(etag);
        }
        tags.dedup();
        assert_eq!(tags.len(), 3, "one tag for each form");
        // A page of another release asks under another name.
        let name = path.rsplit('/').next().expect("a name");
        let old = browser
            .get(&format!("/assets/0123456789abcdef/{name}"))
            .await
            .ok(200);
        assert_eq!(old.header("cache-control"), "no-cache");
    }
    browser
        .get("/assets/0123456789abcdef/nothing.js")
        .await
        .ok(404);
}
