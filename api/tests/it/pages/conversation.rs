//! Writing, reading, answering, changing and deleting by forms.

use domain::analysis::{Safety, Verdict};
use serde_json::json;

use super::browser::Browser;
use crate::{
    app::{TestApp, verdict},
    model::Model,
    statements,
};

#[tokio::test]
async fn what_is_written_by_a_form_is_there_and_judged_later() {
    let app = TestApp::start(1).await;
    let member = app.member("ada").await;
    let mut ada = Browser::of(&member);
    let content = "First linnets today, @eve!\nMore at https://www.example.org/a #Spring";
    let at = ada
        .submit("/", "/compose", &[("content", content)])
        .await
        .sent_to();
    let id: i64 = at
        .rsplit('/')
        .next()
        .and_then(|id| id.parse().ok())
        .expect("an id");
    ada.get(&at)
        .await
        .ok(200)
        .shows("First linnets today, <a href=\"/@eve\">@eve</a>!\nMore at")
        .shows(
            "<a href=\"https://www.example.org/a\" rel=\"nofollow ugc noopener\">example.org/a</a>",
        )
        .shows("<a href=\"/tags/spring\">#Spring</a>")
        .shows("being read…");
    app.judge(id, &verdict()).await;
    for path in [at.as_str(), "/?feed=everyone", &format!("{at}/card")] {
        ada.get(path)
            .await
            .ok(200)
            .shows("<span class=\"mood positive\">positive</span>")
            .shows("<a class=\"chip\" href=\"/topics/mood\">mood</a>")
            .hides("being read…");
    }
    Browser::at(&app)
        .get("/")
        .await
        .ok(200)
        .shows("First linnets today");
}

#[tokio::test]
async fn a_dangerous_post_is_behind_a_veil_that_says_why() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let (post, lost) = (
        ada.write("I know where you live").await,
        ada.write("??").await,
    );
    let dangerous = Verdict {
        safety: Safety::Dangerous,
        explanation: "It threatens <somebody>.".into(),
        ..verdict()
    };
    app.judge(post, &dangerous).await;
    app.give_up(lost, "it answered 500").await;
    let page = Browser::at(&app)
        .get("/")
        .await
        .ok(200)
        .shows("could not be judged");
    let veil = page
        .html
        .split("<details class=\"veil\">")
        .nth(1)
        .expect("a veil");
    let (veil, _) = veil.split_once("</details>").expect("its end");
    let (summary, text) = veil.split_once("</summary>").expect("a summary");
    assert!(
        summary.contains("It threatens &#60;somebody&#62;."),
        "{summary}"
    );
    assert!(summary.contains("Show anyway"), "{summary}");
    assert!(text.contains("I know where you live"), "{text}");
    assert_eq!(page.html.matches("I know where you live").count(), 1);
    // Nor does its history show it unasked.
    Browser::at(&app)
        .get(&format!("/posts/{post}/history"))
        .await
        .ok(200)
        .shows("Show anyway");
    let history = format!("/posts/{lost}/history");
    let page = Browser::at(&app).get(&history).await.ok(200);
    page.shows("??").hides("Show anyway");
}

#[tokio::test]
async fn a_notification_of_a_dangerous_post_has_the_veil_too() {
    let app = TestApp::start(1).await;
    let (ada, eve) = (app.member("ada").await, app.member("eve").await);
    let post = eve.write("@ada I know where you live").await;
    eve.write("@ada good morning").await;
    let dangerous = Verdict {
        safety: Safety::Dangerous,
        ..verdict()
    };
    app.judge(post, &dangerous).await;
    let page = Browser::of(&ada).get("/notifications").await.ok(200);
    let (_, rest) = page.html.split_once("class=\"veil\"").expect("a veil");
    let (veil, _) = rest.split_once("</details>").expect("its end");
    assert!(veil.contains("I know where you live"), "{veil}");
    assert_eq!(page.html.matches("class=\"veil\"").count(), 1);
    page.shows("good morning");
}

#[tokio::test]
async fn what_cannot_be_posted_stays_in_the_form() {
    let app = TestApp::start(1).await;
    let mut ada = Browser::of(&app.member("ada").await);
    let long = "x".repeat(501);
    ada.submit("/", "/compose", &[("content", &long)])
        .await
        .ok(422)
        .shows(&format!("{long}</textarea>"))
        .shows("content-error")
        .shows("1 to 500 characters")
        .shows("it has 501");
    ada.submit("/", "/compose", &[("content", "   ")])
        .await
        .ok(422);
    // Not only what breaks a rule: what is refused for any reason stays with its author.
    ada.submit(
        "/",
        "/compose",
        &[("content", "my words"), ("reply_to", "999")],
    )
    .await
    .ok(404)
    .shows("my words</textarea>")
    .shows("There is no such post.");
    let csrf = ada.get("/").await.csrf();
    let fields = [
        ("csrf", csrf.as_str()),
        ("content", "my words"),
        ("reply_to", "999"),
    ];
    let part = ada
        .send_with("/compose", &fields, &[("hx-request", "true")])
        .await
        .ok(404)
        .shows("my words</textarea>");
    assert_eq!(part.header("hx-retarget"), "#compose");
    ada.submit("/", "/compose", &[("content", "x"), ("reply_to", "y")])
        .await
        .ok(400);
    ada.get("/?feed=everyone").await.ok(200).hides("<article");
    let eve = app.member("eve").await;
    let edit = format!("/posts/{}/edit", eve.write("hers").await);
    ada.submit("/", &edit, &[("content", "mine")])
        .await
        .ok(403)
        .shows("mine</textarea>");
    ada.submit("/", "/posts/999/edit", &[("content", "mine")])
        .await
        .ok(404)
        .shows("mine</textarea>");
}

#[tokio::test]
async fn the_model_writes_one_and_what_was_typed_survives_its_absence() {
    let model = Model::start(200, json!({"content": "A warm wind <today>.", "tokens": 5}));
    let app = model.app(1).await;
    let mut ada = Browser::of(&app.member("ada").await);
    ada.submit("/", "/compose/suggest", &[("content", "my own")])
        .await
        .ok(200)
        .shows(">my own\n\nA warm wind &#60;today&#62;.</textarea>")
        .shows("A suggestion")
        // Where one comes back to from there can be got.
        .shows("name=\"next\" value=\"/compose\"");
    ada.submit("/", "/compose/suggest", &[])
        .await
        .ok(200)
        .shows(">A warm wind &#60;today&#62;.</textarea>");
    let long = "x".repeat(490);
    ada.submit("/", "/compose/suggest", &[("content", &long)])
        .await
        .ok(200)
        .shows(&format!(">{long}</textarea>"))
        .shows("A warm wind &#60;today&#62;.</p>");
    let without = TestApp::start(1).await;
    let mut ada = Browser::of(&without.member("ada").await);
    ada.submit("/", "/compose/suggest", &[("content", "my own")])
        .await
        .ok(503)
        .shows("my own</textarea>")
        .shows("The language model is not available right now");
}

#[tokio::test]
async fn one_answers_and_the_conversation_is_on_one_page() {
    let app = TestApp::start(1).await;
    let (ada, eve) = (app.member("ada").await, app.member("eve").await);
    let first = ada.write("a question").await.to_string();
    let mut browser = Browser::of(&eve);
    let thread = format!("/posts/{first}");
    let fields = [("content", "an answer"), ("reply_to", first.as_str())];
    let at = browser.submit(&thread, "/compose", &fields).await.sent_to();
    assert!(at.starts_with(&format!("{thread}#p-")), "{at}");
    let answer: i64 = at
        .rsplit('-')
        .next()
        .and_then(|id| id.parse().ok())
        .expect("an id");
    for number in 0..30 {
        let fields = [("content", &*format!("and {number}")), ("reply_to", &first)];
        browser
            .send_with(
                "/compose",
                &[
                    ("csrf", &browser.get("/").await.csrf()),
                    fields[0],
                    fields[1],
                ],
                &[],
            )
            .await
            .sent_to();
    }
    let page = browser
        .get(&thread)
        .await
        .ok(200)
        .shows("a question")
        .shows("an answer")
        .shows("and 23")
        .hides("and 24");
    let more = format!("{thread}?after=");
    let (_, rest) = page.html.split_once(&more).expect("more answers");
    let after = rest.split('"').next().expect("an id");
    let part = browser
        .get_with(&format!("{more}{after}"), "hx-request", "true")
        .await
        .ok(200);
    assert!(
        part.html.trim_start().starts_with("<article"),
        "{}",
        part.html
    );
    part.shows("and 24").shows("and 29").hides("a question");
    // A new answer is put below the others where all are shown; where there are more it would come twice.
    let csrf = browser.get("/").await.csrf();
    for (more, shown) in [(false, true), (true, false)] {
        let mut fields = vec![
            ("csrf", csrf.as_str()),
            ("content", "one more"),
            ("reply_to", first.as_str()),
        ];
        if more {
            page_has_more(&browser.get(&thread).await.html);
            fields.push(("more", "1"));
        }
        let part = browser
            .send_with("/compose", &fields, &[("hx-request", "true")])
            .await
            .ok(200)
            .shows("<div hx-swap-oob=\"innerHTML:#flash\"><p class=\"toast\">Posted.");
        assert_eq!(part.html.contains("beforeend:#replies"), shown);
        assert_eq!(part.html.contains("See your reply"), !shown);
        assert_eq!(part.html.contains("name=\"more\""), more);
    }
    // Read from the answer, the question stands above it.
    let page = browser.get(&format!("/posts/{answer}")).await.ok(200);
    let at = |words: &str| page.html.find(words).expect("the words");
    assert!(at("a question") < at("an answer"));
    page.hides("Reply to @ada");
    browser.get("/?feed=everyone").await.shows("Reply to @ada");
}

#[track_caller]
fn page_has_more(html: &str) {
    assert!(html.contains("name=\"more\" value=\"1\""), "{html}");
}

#[tokio::test]
async fn one_changes_and_deletes_ones_own() {
    let app = TestApp::start(1).await;
    let member = app.member("ada").await;
    let at = format!("/posts/{}", member.write("furst").await);
    let mut ada = Browser::of(&member);
    ada.get(&at)
        .await
        .shows(&format!("{at}/edit"))
        .hides("edited");
    let edit = format!("{at}/edit");
    ada.submit(&edit, &edit, &[("content", " ")])
        .await
        .ok(422)
        .shows("content-error");
    ada.submit_and_follow(&edit, &edit, &[("content", "first")])
        .await
        .ok(200)
        .shows("first</p>")
        .shows(&format!("{at}/history"));
    let history = ada.get(&format!("{at}/history")).await.ok(200);
    assert!(history.html.find("first</p>") < history.html.find("furst</p>"));
    let delete = format!("{at}/delete");
    ada.get(&delete)
        .await
        .ok(200)
        .shows("first</p>")
        .shows("cannot be undone");
    assert_eq!(ada.submit(&delete, &delete, &[]).await.sent_to(), "/");
    ada.get(&at).await.ok(404);
}

#[tokio::test]
async fn likes_reposts_and_bookmarks_are_buttons() {
    let app = TestApp::start(1).await;
    let (ada, eve) = (app.member("ada").await, app.member("eve").await);
    let at = format!("/posts/{}", ada.write("a good one").await);
    let mut browser = Browser::of(&eve);
    for (deed, undo) in [
        ("like", "unlike"),
        ("repost", "unrepost"),
        ("bookmark", "unbookmark"),
    ] {
        browser
            .get(&at)
            .await
            .shows(&format!("formaction=\"{at}/{deed}\""));
        let fields = [("next", "/?feed=everyone")];
        let back = browser
            .submit(&at, &format!("{at}/{deed}"), &fields)
            .await
            .sent_to();
        assert!(back.starts_with("/?feed=everyone#p-"), "{back}");
        browser
            .get(&at)
            .await
            .shows(&format!("formaction=\"{at}/{undo}\""))
            .shows("aria-pressed=\"true\"");
    }
    browser.get("/bookmarks").await.ok(200).shows("a good one");
    browser.get("/@eve").await.ok(200).shows("eve reposted");
    for undo in ["unlike", "unrepost", "unbookmark"] {
        browser
            .submit(&at, &format!("{at}/{undo}"), &[])
            .await
            .sent_to();
    }
    browser.get(&at).await.hides("aria-pressed=\"true\"");
    browser
        .get("/bookmarks")
        .await
        .ok(200)
        .shows("Nothing kept yet");
    // One comes back to where the button was, also on a repost and from an address with a place of its own.
    for (next, entry, back) in [
        ("/@eve", "77", "/@eve#p-77"),
        ("/@eve#p-1", "77", "/@eve#p-77"),
    ] {
        let fields = [("next", next), ("entry", entry)];
        let sent = browser.submit(&at, &format!("{at}/unlike"), &fields).await;
        assert_eq!(sent.sent_to(), back);
    }
    // With htmx the same address answers with the buttons alone.
    let csrf = browser.get(&at).await.csrf();
    let part = browser
        .send_with(
            &format!("{at}/like"),
            &[("csrf", &csrf)],
            &[("hx-request", "true")],
        )
        .await
        .ok(200);
    assert!(
        part.html.starts_with("<div class=\"acts\""),
        "{}",
        part.html
    );
    part.shows("data-count=\"likes\">1<");
}

#[tokio::test]
async fn the_statements_of_the_front_page_do_not_grow_with_what_is_on_it() {
    statements::watch();
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let browser = Browser::of(&ada);
    // The first look makes the list that the next ones read.
    browser.get("/").await.ok(200);
    let mut counts = Vec::new();
    for (round, path) in ["/", "/", "/?feed=everyone", "/?feed=everyone"]
        .into_iter()
        .enumerate()
    {
        let id = format!("pages-count-{round}");
        browser.get_with(path, "x-request-id", &id).await.ok(200);
        counts.push(statements::of(&id));
        for number in 0..15 {
            ada.write(&format!("@ada said {number} #things")).await;
        }
    }
    assert!(
        counts[0] >= 2 && counts[2] >= 2,
        "something is counted: {counts:?}"
    );
    assert_eq!((counts[0], counts[2]), (counts[1], counts[3]), "{counts:?}");
    assert!(counts.iter().all(|count| *count <= 8), "{counts:?}");
}
