//! How streams end: with the replica, with the login, and for whoever does not keep up.

use std::time::{Duration, Instant};

use domain::testing::eventually;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use super::{
    PATIENCE, counts, hearing,
    reader::{Socket, Stream},
    replicas,
};
use crate::{app::TestApp, client::Client};

#[tokio::test]
async fn a_stop_ends_all_streams_at_once_and_waits_for_none() {
    let app = TestApp::with(2, |config| config.api_shutdown_seconds = 60).await;
    let mut app = hearing(app, 2).await;
    let ada = app.member("ada").await;
    let elsewhere = app.elsewhere(&ada, 1);
    let mut stream = Stream::open(&elsewhere, "").await;
    let mut nobody = Stream::open(&app.client(1), "").await;
    let (mut socket, _) = Socket::open(&elsewhere, "").await;

    let began = Instant::now();
    let (_, _, _, farewell) = tokio::join!(
        app.stop(1, PATIENCE),
        async { assert_eq!(stream.end().await, 0) },
        async { assert_eq!(nobody.end().await, 0) },
        socket.farewell(),
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let farewell = farewell.expect("a word of farewell");
    assert!(farewell.reason.contains("about to stop"), "{farewell:?}");

    // And on at the other.
    let mut stream = Stream::resume(&ada, "", Some(&stream.id)).await;
    stream.event("notification").await;
}

#[tokio::test]
async fn a_stream_lives_by_its_heartbeats_and_dies_with_its_login() {
    let app = replicas(2).await;
    let ada = app.member("ada").await;
    let bob = app.member("bob").await;
    let mut stream = Stream::open(&app.elsewhere(&ada, 1), "").await;
    let mut still = Stream::open(&bob, "").await;
    let (mut socket, _) = Socket::open(&ada, "").await;
    ada.get("/api/auth/logout").await.ok(200);
    assert_eq!(stream.end().await, 0);
    assert!(stream.comments >= 1, "a heartbeat came with the look");
    let farewell = socket.farewell().await.expect("a word of farewell");
    assert!(farewell.reason.contains("login"), "{farewell:?}");
    app.unread(&bob, 1).await;
    still.event("notification").await;
}

/// The value of a gauge of open streams.
async fn open(client: &Client, transport: &str) -> f64 {
    let series = format!("live_streams{{transport=\"{transport}\"}}");
    client.metric(&series).await
}

#[tokio::test]
async fn whoever_does_not_keep_up_is_dropped_and_counted_and_the_others_are_not() {
    const DROPPED: &str = r#"live_streams_dropped_total{reason="slow"}"#;
    let app = replicas(1).await;
    let bob = app.member("bob").await;
    let insert = "INSERT INTO posts (user_id, content) SELECT $1, 'x' FROM generate_series(1, 100) RETURNING id";
    let insert = sqlx::query_scalar(insert).bind(bob.id);
    let posts: Vec<i64> = insert.fetch_all(&app.sql().await).await.unwrap();
    let mut healthy = Stream::open(&bob, "").await;
    // Reads nothing, and has little room for what is unread.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(bob.address).await.unwrap();
    let ids: Vec<String> = posts.iter().map(i64::to_string).collect();
    let query = format!("?feed=none&posts={}", ids.join(","));
    let request = format!("GET /api/stream{query} HTTP/1.1\r\nhost: x\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    eventually("both to be open", async || open(&bob, "sse").await == 2.0).await;

    // Some megabytes fit into what lies between the two.
    let mut round = 0;
    eventually("the slow one to be dropped", async || {
        for _ in 0..20 {
            round += 1;
            let counts: Vec<_> = posts.iter().map(|post| counts(*post, round)).collect();
            app.publish(&counts).await;
            // Who keeps up has read one round before the next comes.
            let mut left = posts.len();
            while left > 0 {
                let told = healthy.event("counts").await;
                left -= usize::from(told["likes"] == round);
            }
        }
        bob.metric(DROPPED).await == 1.0
    })
    .await;
    assert_eq!(bob.metric(DROPPED).await, 1.0);

    // What was written before can still be read, then the end.
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, slow.read_to_end(&mut all)).await;
    read.expect("an end in time").expect("an end");
    let text = String::from_utf8(all).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{}", &text[..100]);
    eventually("its place to be free", async || {
        open(&bob, "sse").await == 1.0
    })
    .await;
}

#[tokio::test]
async fn figures_tell_of_streams_and_not_of_their_length_as_latency() {
    let app = replicas(1).await;
    let bob = app.member("bob").await;
    assert_eq!(open(&bob, "sse").await, 0.0);
    let mut stream = Stream::open(&bob, "").await;
    let (socket, _) = Socket::open(&bob, "").await;
    assert_eq!(
        (open(&bob, "sse").await, open(&bob, "websocket").await),
        (1.0, 1.0)
    );
    app.unread(&bob, 1).await;
    stream.event("notification").await;
    let sent = r#"live_events_sent_total{event="notification"}"#;
    assert_eq!(bob.metric(sent).await, 2.0);
    drop((stream, socket));
    eventually("both to be closed", async || {
        (open(&bob, "sse").await, open(&bob, "websocket").await) == (0.0, 0.0)
    })
    .await;
    let figures = bob.get("/metrics").await.text();
    assert!(figures.contains("http_request_duration_seconds"));
    for path in ["/api/stream", "/api/ws"] {
        assert!(!figures.contains(&format!("route=\"{path}\"")), "{figures}");
    }
}
