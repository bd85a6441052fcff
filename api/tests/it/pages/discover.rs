//! Exploring, searching, tags and topics, and one's own figures.

use super::browser::Browser;
use crate::app::{TestApp, verdict};

#[tokio::test]
async fn one_finds_posts_by_words_tags_and_topics_and_people_by_name() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let post = ada.write("A linnet on the gorse #Spring").await;
    ada.write("Something else").await;
    app.judge(post, &verdict()).await;
    let browser = Browser::at(&app);
    for path in [
        "/search?q=gorse",
        "/search?q=%23spring",
        "/tags/Spring",
        "/topics/mood",
    ] {
        browser
            .get(path)
            .await
            .ok(200)
            .shows("A linnet on the gorse")
            .hides("Something else");
    }
    browser
        .get("/search?q=ad&kind=people")
        .await
        .ok(200)
        .shows("href=\"/@ada\"")
        .shows("aria-current=\"page\">People");
    browser
        .get("/search?q=%3Cscript%3Enothing")
        .await
        .ok(200)
        .shows("Nothing found")
        .shows("value=\"&#60;script&#62;nothing\"");
    browser.get("/search").await.ok(200).hides("Nothing found");
    browser.get("/search?q=-").await.ok(422).shows("q-error");
    browser.get("/search?q=a&after=x").await.ok(422);
    browser
        .get("/tags/nobody")
        .await
        .ok(200)
        .shows("Nothing yet");
    browser.get("/tags/a%20b").await.ok(422);
    browser
        .get("/explore")
        .await
        .ok(200)
        .shows("href=\"/@ada\"");
}

#[tokio::test]
async fn ones_own_figures_are_drawn_and_told() {
    let app = TestApp::start(1).await;
    let (ada, eve) = (app.member("ada").await, app.member("eve").await);
    let browser = Browser::of(&ada);
    browser
        .get("/@ada")
        .await
        .ok(200)
        .shows("No posts in these days");
    let post = eve.write("a good one").await;
    app.judge(post, &verdict()).await;
    let own = Browser::of(&eve).get("/@eve").await.ok(200);
    own.shows("1 post on 1 of the last 30 days")
        .shows("<rect class=\"bar\"")
        .shows("<td>1</td><td>+0.75</td>");
    browser.get("/@eve").await.ok(200).hides("<rect");
}
