//! Answers, reposts, likes, bookmarks and history as callers meet them; and what blocked people meet instead.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    client::{Answer, Client, ids},
    document::DOCUMENT,
};

impl Client {
    /// Answers a post and says the answer's id.
    async fn answer(&self, to: i64, content: &str) -> i64 {
        let body = json!({"content": content, "reply_to": to});
        self.post("/api/posts", body).await.ok(201)[0]["id"]
            .as_i64()
            .unwrap()
    }

    /// Does something with a post: `like`, `repost` or `bookmark`.
    async fn deed(&self, post: i64, deed: &str) -> Answer {
        let path = format!("/api/posts/{post}/{deed}");
        self.request("POST", &path).send().await
    }

    async fn undo(&self, post: i64, deed: &str) -> Answer {
        self.delete(&format!("/api/posts/{post}/{deed}")).await
    }

    async fn block(&self, other: &Client) {
        let path = format!("/api/user/{}/block", other.id);
        self.request("POST", &path).send().await.ok(200);
    }

    /// The ids of a list, walked by its header `Link`.
    async fn walk(&self, path: &str) -> Vec<i64> {
        let (mut path, mut seen) = (path.to_owned(), Vec::new());
        while !path.is_empty() {
            let page = self.get(&path).await;
            let link = page.header("link").to_owned();
            let page = page.ok(200);
            seen.extend(ids(page.get("replies").unwrap_or(&page)));
            path = link
                .strip_prefix('<')
                .map_or(String::new(), |link| link.replace(">; rel=\"next\"", ""));
        }
        seen
    }
}

#[tokio::test]
async fn a_conversation() {
    let app = TestApp::start(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let nobody = app.client(1);
    let root = ada.write("Who saw a swallow?").await;
    let mut answers = Vec::new();
    for i in 0..7 {
        answers.push(bob.answer(root, &format!("I, number {i}")).await);
    }
    let deeper = ada.answer(answers[6], "Where?").await;
    let thread = format!("/api/posts/{root}/thread");
    let shown = nobody.get(&thread).await.ok(200);
    assert_eq!(shown["ancestors"], json!([]));
    assert_eq!(
        shown["post"],
        nobody.get(&format!("/api/posts/{root}")).await.ok(200)
    );
    assert_eq!(shown["post"]["replies"], 7);
    assert_eq!(ids(&shown["replies"]), answers);
    for path in [&thread, &format!("/api/posts/{root}/replies")] {
        assert_eq!(nobody.walk(&format!("{path}?limit=3")).await, answers);
        let first = nobody.get(&format!("{path}?limit=3")).await;
        let link = format!("<{path}?limit=3&after={}>; rel=\"next\"", answers[2]);
        assert_eq!(first.header("link"), link);
        let wrong = nobody.get(&format!("{path}?after=0")).await;
        wrong.refused(422, "after must be the id of an item");
        let wrong = nobody.get(&format!("{path}?limit=101")).await;
        wrong.refused(422, "limit must be");
        let wrong = nobody.get(&format!("{path}?after=1&after=2")).await;
        wrong.refused(400, "the query cannot be read");
    }
    let shown = nobody
        .get(&format!("/api/posts/{deeper}/thread"))
        .await
        .ok(200);
    assert_eq!(ids(&shown["ancestors"]), [root, answers[6]]);
    let to = json!({"post_id": answers[6], "userId": bob.id, "username": "bob"});
    assert_eq!(shown["post"]["reply_to"], to);
    assert_eq!(shown["post"]["thread_id"], root);
    // Answers are posts like others, in the feed and among their author's.
    assert_eq!(nobody.feed().await[0], deeper);
    let own = nobody
        .walk(&format!("/api/user/{}/posts?limit=3", bob.id))
        .await;
    assert_eq!(own, answers.iter().rev().copied().collect::<Vec<_>>());
    let told = ada.get("/api/notifications?limit=100").await.ok(200);
    assert_eq!(told.as_array().map(Vec::len), Some(7));
    assert_eq!(told[0]["kind"], "reply");
    assert_eq!(told[0]["post"]["id"], answers[6]);
}

#[tokio::test]
async fn what_cannot_be_answered() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let gone = ada.write("gone").await;
    ada.delete(&format!("/api/posts/{gone}")).await.ok(200);
    let to = |to: Value| json!({"content": "x", "reply_to": to});
    for missing in [json!(0), json!(-1), json!(gone), json!(i64::MAX)] {
        let answer = ada.post("/api/posts", to(missing)).await;
        answer.refused(404, "there is no such post");
    }
    for wrong in [json!("1"), json!(1.5), json!([]), json!(u64::MAX)] {
        let problem = ada.post("/api/posts", to(wrong)).await;
        let problem = problem.refused(422, "reply_to must be");
        assert_eq!(problem["errors"][0]["field"], "reply_to");
    }
    assert!(ada.post("/api/posts", to(Value::Null)).await.ok(201)[0]["reply_to"].is_null());
    // What is changed stays where it is.
    let (one, two) = (ada.write("one").await, ada.write("two").await);
    let path = format!("/api/posts/{two}");
    ada.put(&path, to(json!(one))).await.ok(200);
    assert!(ada.get(&path).await.ok(200)["reply_to"].is_null());
}

#[tokio::test]
async fn deeds_are_done_once_and_seen_everywhere() {
    let app = TestApp::start(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let (nobody, path) = (
        app.client(1),
        format!("/api/posts/{}", ada.write("hello").await),
    );
    let post = 1;
    nobody.feed().await;
    for (deed, counted, flag) in [
        ("like", "likes", "liked"),
        ("repost", "reposts", "reposted"),
        ("bookmark", "", "bookmarked"),
    ] {
        for _ in 0..2 {
            let seen = bob.deed(post, deed).await.ok(200);
            assert_eq!(seen["viewer"][flag], true, "{deed}");
            assert_eq!(seen, app.elsewhere(&bob, 1).get(&path).await.ok(200));
            assert_eq!(ada.get(&path).await.ok(200)["viewer"][flag], false);
            if !counted.is_empty() {
                assert_eq!(seen[counted], 1, "{deed}");
            }
        }
        nobody.deed(post, deed).await.refused(401, "log in");
        nobody.undo(post, deed).await.refused(401, "log in");
        for missing in [0, -1, 999_999] {
            bob.deed(missing, deed).await.refused(404, "no such post");
            bob.undo(missing, deed).await.refused(404, "no such post");
        }
    }
    domain::testing::eventually("the feed to show the counts", async || {
        let feed = nobody.get("/api/posts").await.ok(200);
        (&feed[0]["likes"], &feed[0]["reposts"], &feed[0]["viewer"])
            == (&json!(1), &json!(1), &Value::Null)
    })
    .await;
    let likers = nobody.get(&format!("{path}/likes")).await.ok(200);
    assert_eq!(ids(&likers), [bob.id]);
    assert_eq!(likers[0]["username"], "bob");
    assert_eq!(ids(&bob.get("/api/bookmarks").await.ok(200)), [post]);
    assert_eq!(ids(&ada.get("/api/bookmarks").await.ok(200)), [0; 0]);
    nobody.get("/api/bookmarks").await.refused(401, "log in");
    let own = nobody
        .get(&format!("/api/user/{}/posts", bob.id))
        .await
        .ok(200);
    assert_eq!(
        (&own[0]["id"], &own[0]["userId"]),
        (&json!(post), &json!(ada.id))
    );
    let repost = &own[0]["repost"];
    assert_eq!(
        (&repost["userId"], &repost["username"]),
        (&json!(bob.id), &json!("bob"))
    );
    let told = ada.get("/api/notifications").await.ok(200);
    let kinds: Vec<_> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|told| &told["kind"])
        .collect();
    assert_eq!(kinds, ["repost", "like"]);
    // Lists continue by the number of the repost and not of what it shows.
    let older = bob.write("before").await;
    ada.deed(older, "repost").await.ok(200);
    let entries = format!("/api/user/{}/posts", ada.id);
    let first = nobody.get(&format!("{entries}?limit=1")).await;
    let link = first.header("link").to_owned();
    let first = first.ok(200);
    assert_eq!(first[0]["id"], older);
    let next = format!(
        "<{entries}?limit=1&before={}>; rel=\"next\"",
        first[0]["repost"]["id"]
    );
    assert_eq!(link, next);
    assert_eq!(
        nobody.walk(&format!("{entries}?limit=1")).await,
        [older, post]
    );
    for deed in ["like", "repost", "bookmark"] {
        for _ in 0..2 {
            let seen = bob.undo(post, deed).await.ok(200);
            assert_eq!(seen, app.elsewhere(&bob, 1).get(&path).await.ok(200));
        }
    }
    let post = bob.get(&path).await.ok(200);
    assert_eq!((&post["likes"], &post["reposts"]), (&json!(0), &json!(0)));
    let flags = json!({"liked": false, "reposted": false, "bookmarked": false});
    assert_eq!(post["viewer"], flags);
}

#[tokio::test]
async fn what_a_post_said_before() {
    let app = TestApp::start(1).await;
    let (ada, nobody) = (app.member("ada").await, app.client(0));
    let path = format!("/api/posts/{}", ada.write("one").await);
    for text in ["two", "three"] {
        ada.put(&path, json!({"content": text})).await.ok(200);
    }
    let history = nobody.get(&format!("{path}/history")).await.ok(200);
    let texts: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|edit| {
            (
                edit["revision"].as_i64().unwrap(),
                edit["content"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(texts, [(1, "one"), (2, "two"), (3, "three")]);
    let post = nobody.get(&path).await.ok(200);
    assert_eq!(post["edited"], true);
    assert_eq!(history[2]["created_at"], post["updated_at"]);
    ada.delete(&path).await.ok(200);
    for part in ["history", "thread", "replies", "likes"] {
        let gone = ada.get(&format!("{path}/{part}")).await;
        gone.refused(404, "no such post");
    }
}

/// Every documented call on one post.
fn calls_on_a_post() -> Vec<(Method, String)> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    let on_a_post = paths.filter(|(path, _)| path.starts_with("/api/posts/{id}"));
    on_a_post
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| (method.to_uppercase().parse().unwrap(), path.clone()))
        })
        .collect()
}

#[tokio::test]
async fn a_blocked_person_meets_no_post_of_the_blocker_and_the_blocker_none_of_theirs() {
    let app = TestApp::start(1).await;
    let (ada, bob, eve) = (
        app.member("ada").await,
        app.member("bob").await,
        app.member("eve").await,
    );
    let eves = eve.write("in between").await;
    let mut mine = Vec::new();
    for (one, other) in [(&ada, &bob), (&bob, &ada)] {
        let post = one.write("mine").await;
        for deed in ["like", "repost", "bookmark"] {
            other.deed(post, deed).await.ok(200);
            eve.deed(post, deed).await.ok(200);
            one.deed(eves, deed).await.ok(200);
        }
        mine.push((
            post,
            one.answer(eves, "an answer").await,
            other.answer(post, "to you").await,
        ));
    }
    ada.block(&bob).await;

    let calls = calls_on_a_post();
    assert!(calls.len() >= 14, "{calls:?}");
    for (viewer, author, (post, answer, _)) in [(&bob, &ada, mine[0]), (&ada, &bob, mine[1])] {
        for (method, path) in &calls {
            for hidden in [post, answer] {
                let call = async |id: i64| {
                    let path = path.replace("{id}", &id.to_string());
                    let request = viewer.request(method.as_str(), &path);
                    request.json(&json!({"content": "not yours"})).send().await
                };
                // Not even the words tell that it is there.
                let absent = call(999_999).await.refused(404, "no such post");
                assert_eq!(call(hidden).await.ok(404), absent, "{method} {path}");
            }
        }
        let to = json!({"content": "x", "reply_to": post});
        viewer
            .post("/api/posts", to)
            .await
            .refused(404, "no such post");
        // And none is in any list.
        let lists = [
            "/api/posts".to_owned(),
            "/api/posts?limit=1".to_owned(),
            "/api/posts?before=9999".to_owned(),
            "/api/bookmarks".to_owned(),
            format!("/api/user/{}/posts", viewer.id),
            format!("/api/user/{}/posts", eve.id),
            format!("/api/posts/{eves}/replies"),
            format!("/api/posts/{eves}/thread"),
        ];
        for list in lists {
            let shown = viewer.get(&list).await.ok(200);
            let shown = shown.get("replies").unwrap_or(&shown);
            assert!(
                !shown.as_array().unwrap().is_empty() || list == "/api/bookmarks",
                "{list}"
            );
            for post in shown.as_array().unwrap() {
                assert_ne!(post["userId"], author.id, "{list}");
                assert_ne!(post["repost"]["userId"], author.id, "{list}");
            }
        }
        let likers = viewer
            .get(&format!("/api/posts/{eves}/likes"))
            .await
            .ok(200);
        assert_eq!(ids(&likers), [viewer.id]);
    }
    bob.get(&format!("/api/user/{}/posts", ada.id))
        .await
        .refused(404, "no such user");
    // Who blocks knows that the other is there.
    let theirs = ada
        .get(&format!("/api/user/{}/posts", bob.id))
        .await
        .ok(200);
    assert_eq!(theirs, json!([]), "not even what bob has reposted of eve's");
    // What they answered under each other's posts is still there for everybody else, and their own.
    let nobody = app.client(0);
    for &(post, _, reply) in &mine {
        assert_eq!(
            nobody.walk(&format!("/api/posts/{post}/replies")).await,
            [reply]
        );
    }
    assert_eq!(nobody.feed().await.len(), 7);
    let thread = bob
        .get(&format!("/api/posts/{}/thread", mine[0].2))
        .await
        .ok(200);
    assert_eq!(
        thread["ancestors"],
        json!([]),
        "bob's answer without what it answers"
    );
}

#[tokio::test]
async fn the_feed_is_without_those_whom_one_mutes_and_ill_tokens_are_nobodys() {
    let app = TestApp::start(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let (of_ada, of_bob) = (ada.write("ada's").await, bob.write("bob's").await);
    let hits = r#"cache_requests_total{cache="feed",result="hit"}"#;
    assert_eq!(bob.feed().await, [of_bob, of_ada]);
    let before = bob.metric(hits).await;
    assert_eq!(bob.feed().await, [of_bob, of_ada]);
    assert!(
        bob.metric(hits).await > before,
        "without limits the feed is everybody's"
    );
    let mute = format!("/api/user/{}/mute", ada.id);
    bob.request("POST", &mute).send().await.ok(200);
    for replica in 0..2 {
        let bob = app.elsewhere(&bob, replica);
        assert_eq!(bob.feed().await, [of_bob]);
        assert_eq!(bob.walk("/api/posts?limit=1").await, [of_bob]);
        // A muted person's post can be read where one asks for it.
        bob.get(&format!("/api/posts/{of_ada}")).await.ok(200);
        let own = bob
            .get(&format!("/api/user/{}/posts", ada.id))
            .await
            .ok(200);
        assert_eq!(ids(&own), [of_ada]);
    }
    assert_eq!(ada.feed().await, [of_bob, of_ada], "ada does not know");
    bob.delete(&mute).await.ok(200);
    assert_eq!(bob.feed().await, [of_bob, of_ada]);
    let mut stranger = app.client(0);
    for token in ["x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."] {
        stranger.token = Some(token.into());
        assert_eq!(stranger.feed().await, [of_bob, of_ada]);
        let post = stranger.get(&format!("/api/posts/{of_ada}")).await.ok(200);
        assert!(post["viewer"].is_null());
    }
}
