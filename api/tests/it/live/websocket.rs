//! WebSockets: the same events, posts watched one after the other, and who may not come.

use serde_json::json;
use tokio_tungstenite::tungstenite::{self, protocol::frame::coding::CloseCode};

use super::{counts, reader::Socket, replicas};
use crate::app::{TestApp, verdict};

#[tokio::test]
async fn a_socket_hears_what_a_stream_hears() {
    let app = replicas(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    app.relate("follows", &ada, &bob).await;
    let post = bob.write("hello").await;
    let (mut socket, _) = Socket::open(&app.elsewhere(&ada, 1), &format!("?posts={post}")).await;
    app.fan_out(&[(post, &bob)]).await;
    let data = json!({"posts": [{"id": post, "userId": bob.id}]});
    assert_eq!(socket.event("post").await, data);
    app.judge(post, &verdict()).await;
    assert_eq!(socket.event("analysis").await["id"], post);
    app.unread(&ada, 3).await;
    assert_eq!(socket.event("notification").await["unread"], 3);
}

#[tokio::test]
async fn what_is_watched_can_be_replaced_but_not_by_what_is_hidden() {
    let app = replicas(1).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let eve = app.member("eve").await;
    let (first, second) = (bob.write("one").await, bob.write("two").await);
    let hidden = eve.write("hidden").await;
    app.relate("blocks", &eve, &ada).await;
    let (mut socket, _) = Socket::open(&ada, &format!("?posts={first}")).await;
    app.publish(&[counts(first, 1)]).await;
    assert_eq!(socket.event("counts").await["id"], first);
    socket
        .say(&format!("{{\"watch\": [{second}, {hidden}]}}"))
        .await;
    // When the wish is granted is seen by what comes.
    let mut likes = 1;
    domain::testing::eventually("the second to be watched", async || {
        likes += 1;
        app.publish(&[counts(second, likes)]).await;
        app.unread(&ada, i64::from(likes)).await;
        let event = socket.next().await.unwrap();
        if event.name == "counts" {
            assert_eq!(event.data["id"], second);
            return true;
        }
        false
    })
    .await;
    app.publish(&[counts(first, 9), counts(hidden, 9)]).await;
    app.publish(&[counts(second, 99)]).await;
    loop {
        let event = socket.next().await.unwrap();
        if event.name == "counts" {
            assert_eq!(event.data["id"], second);
            if event.data["likes"] == 99 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_wish_ends_the_conversation_and_says_why() {
    let app = TestApp::start(1).await;
    let many: Vec<String> = (1..=101).map(|id| id.to_string()).collect();
    let long = "x".repeat(5_000);
    for (text, code) in [
        ("hello", CloseCode::Policy),
        (r#"{"watch": [0]}"#, CloseCode::Policy),
        (r#"{"look": [1]}"#, CloseCode::Policy),
        (
            &format!("{{\"watch\": [{}]}}", many.join(",")),
            CloseCode::Policy,
        ),
        (&long, CloseCode::Size),
    ] {
        let (mut socket, _) = Socket::open(&app.client(0), "").await;
        socket.say(text).await;
        let farewell = socket.farewell().await.expect("a word of farewell");
        assert_eq!(farewell.code, code, "{text}: {farewell:?}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_is_refused() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    let own = format!("http://{}", ada.address);
    Socket::connect(&ada, "", Some(&own))
        .await
        .expect("a socket");
    for foreign in ["http://evil.example", "null"] {
        let refused = Socket::connect(&ada, "", Some(foreign))
            .await
            .err()
            .expect("a refusal");
        let tungstenite::Error::Http(answer) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(answer.status(), 403);
    }
    let refused = ada
        .request("GET", "/api/ws")
        .header("origin", "http://evil.example");
    refused.send().await.refused(403, "another site");
    ada.get("/api/ws").await.refused(400, "WebSocket");
}

#[tokio::test]
async fn asking_again_and_again_is_limited() {
    let app = TestApp::with(1, |config| {
        config.rate_limits.rate_limiter = true;
        config.rate_limits.rate_limit_reads = "3/3600".parse().unwrap();
    })
    .await;
    let (mut socket, _) = Socket::open(&app.client(0), "").await;
    for _ in 0..3 {
        socket.say(r#"{"watch": [1]}"#).await;
    }
    let farewell = socket.farewell().await.expect("a word of farewell");
    assert!(farewell.reason.contains("too many"), "{farewell:?}");
}
