//! What happens to a post: told to its author and to whoever watches it.

use domain::analysis::Verdict;
use serde_json::json;

use super::{counts, hearing, reader::Stream, replicas};
use crate::{app::verdict, model::Model};

#[tokio::test]
async fn a_verdict_reaches_the_author_and_those_who_watch() {
    let app = replicas(2).await;
    let bob = app.member("bob").await;
    let (first, second) = (bob.write("hello").await, bob.write("world").await);
    let mut author = Stream::open(&bob, "").await;
    let watching = format!("?feed=none&posts={first},{second},999999");
    let mut watcher = Stream::open(&app.client(1), &watching).await;
    let mut other = Stream::open(&app.client(1), &format!("?feed=none&posts={second}")).await;
    // An author who watches is told once.
    let mut both = Stream::open(&bob, &watching).await;

    app.judge(first, &verdict()).await;
    for stream in [&mut author, &mut watcher, &mut both] {
        let data = stream.event("analysis").await;
        assert_eq!(
            (&data["id"], &data["userId"]),
            (&json!(first), &json!(bob.id))
        );
        let post = bob.get(&format!("/api/posts/{first}")).await.ok(200);
        assert_eq!(data["analysis"], post["analysis"], "as in the post");
        assert_eq!(data["analysis"]["status"], "done");
    }
    app.give_up(second, "the model fell over").await;
    for stream in [&mut author, &mut watcher, &mut both, &mut other] {
        let data = stream.event("analysis").await;
        assert_eq!(data["id"], second);
        assert_eq!(data["analysis"]["status"], "dead");
        assert_eq!(data["analysis"]["error"], "the model fell over");
    }
}

#[tokio::test]
async fn an_explanation_is_told_when_it_comes() {
    let explained = Verdict {
        explanation: "It is merry.".into(),
        ..verdict()
    };
    let model = Model::start(200, json!({"verdicts": [explained]}));
    let app = hearing(model.app(2).await, 2).await;
    let bob = app.member("bob").await;
    let post = bob.write("hello").await;
    app.judge(post, &verdict()).await;
    let mut watcher = Stream::open(&app.client(1), &format!("?feed=none&posts={post}")).await;
    let path = format!("/api/posts/{post}/explanation");
    app.client(0).get(&path).await.ok(200);
    let mut told = watcher.event("analysis").await;
    if told["analysis"]["explanation"] == "" {
        // The verdict itself was heard as late as that.
        told = watcher.event("analysis").await;
    }
    assert_eq!(told["analysis"]["explanation"], "It is merry.");
}

#[tokio::test]
async fn counts_reach_the_author_and_those_who_watch() {
    let app = replicas(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let (post, other) = (bob.write("hello").await, ada.write("other").await);
    let mut author = Stream::open(&app.elsewhere(&bob, 1), "").await;
    let mut watcher = Stream::open(&ada, &format!("?posts={post}")).await;
    app.publish(&[counts(other, 1), counts(999_999, 1), counts(post, 5)])
        .await;
    let data = json!({"id": post, "likes": 5, "reposts": 2, "replies": 3});
    assert_eq!(author.event("counts").await, data);
    let mut told = [watcher.event("counts").await, watcher.event("counts").await];
    told.sort_by_key(|data| data["id"].as_i64());
    assert_eq!(told[0], data, "and of one's own post");
    assert_eq!(told[1]["id"], other);
}

#[tokio::test]
async fn a_notification_reaches_the_one_it_is_for_on_every_stream() {
    let app = replicas(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let mut streams = [
        Stream::open(&ada, "").await,
        Stream::open(&app.elsewhere(&ada, 1), "?feed=none").await,
    ];
    app.unread(&bob, 9).await;
    app.unread(&ada, 2).await;
    for stream in &mut streams {
        let data = json!({"id": null, "unread": 2});
        assert_eq!(stream.event("notification").await, data);
    }
}

#[tokio::test]
async fn who_is_blocked_cannot_watch() {
    let app = replicas(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let (kim, eve) = (app.member("kim").await, app.member("eve").await);
    let mut posts = Vec::new();
    for author in [&bob, &kim, &eve] {
        posts.push(author.write("hello").await);
    }
    let watching = format!("?posts={},{},{}", posts[0], posts[1], posts[2]);
    app.relate("blocks", &bob, &ada).await;
    let mut stream = Stream::open(&app.elsewhere(&ada, 1), &watching).await;
    // While the stream is open, the other way round.
    app.relate("blocks", &ada, &kim).await;
    app.relations_changed(&[&ada, &kim]).await;
    for post in &posts {
        app.publish(&[counts(*post, 1)]).await;
    }
    assert_eq!(stream.event("counts").await["id"], posts[2]);
    for post in &posts {
        app.judge(*post, &verdict()).await;
    }
    assert_eq!(stream.event("analysis").await["id"], posts[2]);
}
