//! New posts: of those one follows, of everybody, and never of those one must not see.

use crate::client::Client;

use super::{TestApp, reader::Stream, replicas};

/// Follows, and tells the replicas so.
async fn follow(app: &TestApp, from: &Client, to: &Client) {
    app.relate("follows", from, to).await;
    app.relations_changed(&[from]).await;
}

#[tokio::test]
async fn a_follower_hears_of_a_post_at_whichever_replica() {
    let app = replicas(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let eve = app.member("eve").await;
    follow(&app, &ada, &bob).await;
    let mut stream = Stream::open(&app.elsewhere(&ada, 1), "").await;
    let mut second = Stream::open(&ada, "").await;
    let mut bobs = Stream::open(&bob, "").await;

    let (theirs, post) = (eve.write("hello").await, bob.write("hello").await);
    app.fan_out(&[(theirs, &eve), (post, &bob)]).await;
    assert_eq!(stream.posts().await, [post], "and not of strangers' posts");
    assert_eq!(second.posts().await, [post]);

    // Followed while the stream is open; unfollowed while it is open.
    follow(&app, &ada, &eve).await;
    sqlx::query("DELETE FROM follows WHERE follower_id = $1 AND followed_id = $2")
        .bind(ada.id)
        .bind(bob.id)
        .execute(&app.sql().await)
        .await
        .unwrap();
    app.relations_changed(&[&ada]).await;
    let (theirs, post) = (eve.write("again").await, bob.write("again").await);
    app.fan_out(&[(post, &bob)]).await;
    app.fan_out(&[(theirs, &eve)]).await;
    assert_eq!(stream.posts().await, [theirs]);
    assert_eq!(second.posts().await, [theirs]);

    app.unread(&bob, 1).await;
    assert_eq!(
        bobs.event("notification").await["unread"],
        1,
        "one's own posts are no news"
    );
}

#[tokio::test]
async fn many_posts_of_one_author_are_one_event() {
    let app = replicas(1).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    follow(&app, &ada, &bob).await;
    let mut stream = Stream::open(&ada, "").await;
    let posts = [bob.write("one").await, bob.write("two").await];
    app.fan_out(&[(posts[0], &bob), (posts[1], &bob)]).await;
    assert_eq!(stream.posts().await, posts);
}

#[tokio::test]
async fn a_muted_author_is_not_heard_and_a_blocking_one_neither() {
    let app = replicas(2).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let (eve, kim) = (app.member("eve").await, app.member("kim").await);
    for author in [&bob, &eve, &kim] {
        follow(&app, &ada, author).await;
    }
    let mut stream = Stream::open(&app.elsewhere(&ada, 1), "").await;
    app.relate("mutes", &ada, &bob).await;
    app.relate("blocks", &eve, &ada).await;
    app.relations_changed(&[&eve, &ada]).await;
    let mut fresh = Stream::open(&ada, "").await;
    for author in [&bob, &eve, &kim] {
        let post = author.write("hello").await;
        app.fan_out(&[(post, author)]).await;
    }
    let newest = kim.feed().await[0];
    assert_eq!(stream.posts().await, [newest]);
    assert_eq!(fresh.posts().await, [newest]);
}

#[tokio::test]
async fn anybody_hears_of_public_posts_now_and_then() {
    let app = replicas(1).await;
    let (bob, eve) = (app.member("bob").await, app.member("eve").await);
    let mut nobody = Stream::open(&app.client(0), "").await;
    let mut member = Stream::open(&bob, "?feed=public").await;
    app.relate("mutes", &bob, &eve).await;
    app.relations_changed(&[&bob]).await;

    let mut posts = Vec::new();
    for n in 0..30 {
        let author = if n % 2 == 0 { &bob } else { &eve };
        posts.push((author.write(&format!("post {n}")).await, author));
    }
    let repost: i64 = sqlx::query_scalar(
        "INSERT INTO posts (user_id, content, repost_of) VALUES ($1, '', $2) RETURNING id",
    )
    .bind(eve.id)
    .bind(posts[0].0)
    .fetch_one(&app.sql().await)
    .await
    .unwrap();
    posts.push((repost, &eve));
    app.fan_out(&posts).await;
    posts.pop();
    posts.reverse();

    let told = nobody.posts().await;
    let newest: Vec<i64> = posts.iter().take(20).map(|(post, _)| *post).collect();
    assert_eq!(told, newest, "the newest, in one event, without reposts");
    let told = member.posts().await;
    let newest = posts
        .iter()
        .take(20)
        .filter(|(_, author)| author.id == bob.id);
    assert_eq!(
        told,
        newest.map(|(post, _)| *post).collect::<Vec<_>>(),
        "without whom one has muted"
    );
}

#[tokio::test]
async fn a_feed_can_be_left_out() {
    let app = replicas(1).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    follow(&app, &ada, &bob).await;
    let mut stream = Stream::open(&ada, "?feed=none").await;
    let mut nobody = Stream::open(
        &app.client(0),
        &format!("?feed=none&posts={}", bob.write("x").await),
    )
    .await;
    let post = bob.write("hello").await;
    app.fan_out(&[(post, &bob)]).await;
    app.unread(&ada, 7).await;
    stream.event("notification").await;
    // The public feed is told within a second or so; a second stream says when.
    let mut other = Stream::open(&app.client(0), "").await;
    let later = bob.write("later").await;
    app.fan_out(&[(later, &bob)]).await;
    assert!(other.posts().await.contains(&later));
    app.publish(&[super::counts(post - 1, 1)]).await;
    nobody.event("counts").await;
}
