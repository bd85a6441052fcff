//! The feed: its order, its pages, and that a write which was answered is seen by every read that starts afterwards.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use domain::{ids::UserId, testing::posts as given, users::User};
use serde_json::json;

use crate::{
    app::TestApp,
    client::{Client, ids},
};

/// The path that `rel="next"` names; empty on the last page.
fn next(link: &str) -> String {
    let Some(path) = link.strip_prefix('<') else {
        assert_eq!(link, "");
        return String::new();
    };
    path.strip_suffix(">; rel=\"next\"")
        .expect("a link")
        .to_owned()
}

/// So many posts of a member's, without one request each.
async fn backlog(app: &TestApp, member: &Client, count: i32) {
    let author = User {
        id: UserId(member.id),
        username: String::new(),
    };
    given::backlog(&app.worker(), &author, count).await;
}

#[tokio::test]
async fn whoever_has_the_feed_is_told_so_until_it_changes() {
    let app = TestApp::start(2).await;
    let ada = app.member("ada").await;
    backlog(&app, &ada, 1).await;
    let (nobody, elsewhere) = (app.client(0), app.client(1));
    let page = nobody.get("/api/posts").await;
    let tag = page.header("etag").to_owned();
    assert_eq!(page.header("cache-control"), "private, no-cache");
    page.ok(200);
    for reader in [&nobody, &elsewhere] {
        let again = reader
            .request("GET", "/api/posts")
            .header("if-none-match", tag.as_str())
            .send()
            .await;
        assert_eq!((again.status, again.header("etag")), (304, tag.as_str()));
        assert_eq!(again.wire, 0);
    }
    let second = json!({"content": "second"});
    ada.post("/api/posts", second).await.ok(201);
    for reader in [&nobody, &elsewhere] {
        let changed = reader
            .request("GET", "/api/posts")
            .header("if-none-match", tag.as_str())
            .send()
            .await;
        assert_ne!(changed.header("etag"), tag);
        assert_eq!(ids(&changed.ok(200)).len(), 2);
    }
    // A page that is not everybody's has no tag.
    let below = nobody.get("/api/posts?before=2").await;
    assert_eq!(
        (below.header("etag"), below.header("cache-control")),
        ("", "no-store")
    );
    below.ok(200);
    let eve = app.member("eve").await;
    eve.post(&format!("/api/user/{}/block", ada.id), json!({}))
        .await
        .ok(200);
    let limited = eve
        .request("GET", "/api/posts")
        .header("if-none-match", tag.as_str())
        .send()
        .await;
    assert_eq!(limited.header("etag"), "");
    assert_eq!(ids(&limited.ok(200)), [0; 0]);
}

#[tokio::test]
async fn the_feed_is_sent_compressed_to_those_who_take_it() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    backlog(&app, &ada, 50).await;
    let nobody = app.client(0);
    let plain = nobody.get("/api/posts").await;
    assert_eq!(plain.header("content-encoding"), "");
    let packed = nobody
        .request("GET", "/api/posts")
        .header("accept-encoding", "br, gzip")
        .send()
        .await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(packed.header("link"), plain.header("link"));
    assert_eq!(packed.body, plain.body);
    assert!(
        packed.wire * 3 < plain.wire,
        "{} of {} bytes",
        packed.wire,
        plain.wire
    );
}

#[tokio::test]
async fn newest_first_fifty_at_a_time_unless_asked_otherwise() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    backlog(&app, &ada, 120).await;
    for (query, count) in [("", 50), ("?limit=1", 1), ("?limit=100", 100)] {
        let page = ada.get(&format!("/api/posts{query}")).await;
        assert_eq!(page.header("content-type"), "application/json");
        let link = page.header("link").to_owned();
        let posts = page.ok(200);
        let expected: Vec<i64> = (1..=120).rev().take(count).collect();
        assert_eq!(ids(&posts), expected);
        assert_eq!(
            link,
            format!(
                "</api/posts?limit={count}&before={}>; rel=\"next\"",
                121 - count
            )
        );
        assert_eq!(posts[0]["content"], "post 120");
    }
}

#[tokio::test]
async fn the_links_lead_through_every_post_once_while_others_write_and_delete() {
    let app = TestApp::start(2).await;
    let ada = app.member("ada").await;
    backlog(&app, &ada, 57).await;
    for id in [20, 30, 40] {
        ada.delete(&format!("/api/posts/{id}")).await.ok(200);
    }
    let expected: Vec<i64> = (1..=57)
        .rev()
        .filter(|id| ![20, 30, 40].contains(id))
        .collect();
    for limit in [1, 7, 54, 100] {
        let (mut path, mut seen) = (format!("/api/posts?limit={limit}"), Vec::new());
        let mut pages = 0;
        while !path.is_empty() {
            let page = app.client(pages % 2).get(&path).await;
            path = next(page.header("link"));
            seen.extend(ids(&page.ok(200)));
            pages += 1;
            if pages == 1 {
                // What is written meanwhile belongs to a first page that was read before it.
                let id = ada.write("meanwhile").await;
                ada.delete(&format!("/api/posts/{id}")).await.ok(200);
            }
        }
        assert_eq!(seen, expected);
        assert_eq!(
            pages,
            expected.len().div_ceil(limit).max(1),
            "no empty last page"
        );
    }
}

/// Writers and readers on two replicas; every read must hold all that was answered before it began.
async fn what_was_answered_is_seen(app: &TestApp, writes: usize) -> usize {
    let ada = app.member("ada").await;
    let answered = Arc::new(Mutex::new(BTreeSet::new()));
    let (done, reads) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let readers: Vec<_> = (0..8)
        .map(|n| {
            let reader = app.client(n % 2);
            let (answered, done, reads) = (answered.clone(), done.clone(), reads.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let before: BTreeSet<i64> = answered.lock().unwrap().clone();
                    let seen: BTreeSet<i64> = reader.feed().await.into_iter().collect();
                    let missed: Vec<&i64> = before.difference(&seen).collect();
                    assert!(missed.is_empty(), "reader {n} does not see {missed:?}");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..2)
        .map(|n| {
            let (writer, other) = (app.elsewhere(&ada, n), app.client(1 - n));
            let answered = answered.clone();
            tokio::spawn(async move {
                for i in 0..writes {
                    let id = writer.write(&format!("post {i} of writer {n}")).await;
                    answered.lock().unwrap().insert(id);
                    assert!(
                        other.feed().await.contains(&id),
                        "the other replica does not show {id}"
                    );
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    reads.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_write_that_was_answered_is_seen_on_every_replica() {
    let app = TestApp::start(2).await;
    let reads = what_was_answered_is_seen(&app, 50).await;
    assert!(reads >= 50, "{reads} reads are too few to mean anything");
    let hits = r#"cache_requests_total{cache="feed",result="hit"}"#;
    assert!(app.client(0).metric(hits).await > 0.0, "the cache was used");
}

#[tokio::test]
async fn the_same_holds_without_a_cache() {
    let app = TestApp::with(2, |config| config.cache.cache_active = false).await;
    what_was_answered_is_seen(&app, 10).await;
    for result in ["hit", "miss"] {
        let series = format!(r#"cache_requests_total{{cache="feed",result="{result}"}}"#);
        assert_eq!(app.client(0).metric(&series).await, 0.0);
    }
}

#[tokio::test]
async fn changes_and_deletions_are_seen_on_the_other_replica() {
    let app = TestApp::start(2).await;
    let ada = app.member("ada").await;
    let elsewhere = app.client(1);
    for i in 0..20 {
        let id = ada.write("first").await;
        assert_eq!(
            elsewhere.get("/api/posts").await.ok(200)[0]["content"],
            "first"
        );
        let text = format!("change {i}");
        ada.put(&format!("/api/posts/{id}"), json!({"content": text}))
            .await
            .ok(200);
        assert_eq!(
            elsewhere.get("/api/posts").await.ok(200)[0]["content"],
            text
        );
        ada.delete(&format!("/api/posts/{id}")).await.ok(200);
        assert_eq!(elsewhere.feed().await, [0; 0]);
    }
}

#[tokio::test]
async fn a_writer_who_hangs_up_leaves_no_stale_feed() {
    use tokio::io::AsyncWriteExt as _;
    let app = TestApp::start(2).await;
    let ada = app.member("ada").await;
    let elsewhere = app.client(1);
    let body = json!({"content": "gone before the answer"}).to_string();
    let request = format!(
        "POST /api/posts HTTP/1.1\r\nhost: x\r\ncookie: jwt={}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        ada.token.as_ref().unwrap(),
        body.len()
    );
    let sql = app.sql().await;
    for _ in 0..20 {
        elsewhere.feed().await;
        let mut stream = tokio::net::TcpStream::connect(ada.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        drop(stream);
    }
    // Whatever of it was written is shown, though nobody waited for the answer.
    domain::testing::eventually("the feed to show what was written", async || {
        let written: i64 = sqlx::query_scalar("SELECT count(*) FROM posts")
            .fetch_one(&sql)
            .await
            .unwrap();
        let shown = elsewhere.feed().await.len();
        i64::try_from(shown).unwrap() == written && written > 0
    })
    .await;
}
