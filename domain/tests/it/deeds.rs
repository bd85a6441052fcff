//! Likes, reposts and bookmarks: done once however often and by however many at once, counted, told and taken back.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use domain::{
    Ctx, Error,
    auth::{self, AppEnv, AuthConfig, Password, Session, Tokens},
    bookmarks,
    ids::{PostId, UserId},
    likes,
    live::Event,
    page::Limit,
    posts::{self, PostView},
    relations,
    testing::{self, posts as given},
    users::{self, NewUser, User, Username},
};
use secrecy::SecretString;

use crate::statements::Statements;

fn limit(most: i64) -> Limit {
    Limit::parse(most).unwrap()
}

fn entries(posts: &[PostView]) -> Vec<PostId> {
    posts.iter().map(|post| post.entry).collect()
}

async fn authors(ctx: &Ctx, count: usize) -> Vec<User> {
    let mut authors = Vec::new();
    for _ in 0..count {
        authors.push(given::author(ctx).await);
    }
    authors
}

/// Counts and flags of a post as `viewer` sees them: likes, reposts, replies.
async fn counts(ctx: &Ctx, post: PostId) -> (i32, i32, i32) {
    let post = posts::get(ctx, None, post).await.unwrap();
    (post.likes, post.reposts, post.replies)
}

async fn number(ctx: &Ctx, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&ctx.db).await.unwrap()
}

#[tokio::test]
async fn a_hundred_people_like_a_post_at_once() {
    let ctx = testing::ctx().await;
    let ada = given::author(&ctx).await;
    let post = given::write(&ctx, &ada, "likeable").await.id;
    let people = authors(&ctx, 100).await;
    let deeds: Vec<_> = people
        .iter()
        .flat_map(|person| [person, person])
        .map(|person| {
            let (ctx, person) = (ctx.clone(), person.clone());
            tokio::spawn(async move { likes::like(&ctx, &person, post).await.unwrap() })
        })
        .collect();
    for deed in deeds {
        let seen = deed.await.unwrap();
        assert!(seen.viewer.unwrap().liked && seen.likes >= 1);
    }
    assert_eq!(counts(&ctx, post).await.0, 100);
    assert_eq!(
        number(&ctx, "SELECT count(*) FROM notifications").await,
        100
    );

    let first = likes::people(&ctx, None, post, None, limit(60))
        .await
        .unwrap();
    let second = likes::people(&ctx, None, post, first.next, limit(60))
        .await
        .unwrap();
    assert_eq!(
        (first.items.len(), second.items.len(), second.next),
        (60, 40, None)
    );
    let seen: Vec<UserId> = first
        .items
        .iter()
        .chain(&second.items)
        .map(|p| p.id)
        .collect();
    let expected: Vec<UserId> = people.iter().rev().map(|person| person.id).collect();
    assert_eq!(seen, expected, "the newest accounts first");

    let undone: Vec<_> = people
        .iter()
        .take(70)
        .flat_map(|person| [person, person])
        .map(|person| {
            let (ctx, person) = (ctx.clone(), person.clone());
            tokio::spawn(async move { likes::unlike(&ctx, &person, post).await.unwrap() })
        })
        .collect();
    for deed in undone {
        assert!(!deed.await.unwrap().viewer.unwrap().liked);
    }
    assert_eq!(counts(&ctx, post).await.0, 30);
    // Liking again is told as little as liking twice.
    likes::like(&ctx, &people[0], post).await.unwrap();
    assert_eq!(
        number(&ctx, "SELECT count(*) FROM notifications").await,
        100
    );
}

#[tokio::test]
async fn a_repost_is_an_entry_of_its_own_and_shows_the_original() {
    let ctx = testing::ctx().await;
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    let post = given::write(&ctx, &ada, "worth it").await.id;
    let deeds: Vec<_> = (0..10)
        .map(|_| {
            let (ctx, bob) = (ctx.clone(), bob.clone());
            tokio::spawn(async move { posts::repost(&ctx, &bob, post).await.unwrap() })
        })
        .collect();
    for deed in deeds {
        let seen = deed.await.unwrap();
        assert_eq!((seen.entry, seen.id, seen.reposts), (post, post, 1));
        assert!(seen.viewer.unwrap().reposted);
    }
    let page = posts::by_author(&ctx, Some(ada.id), bob.id, None, limit(10))
        .await
        .unwrap();
    let [shown] = &page.items[..] else {
        panic!("{page:?}")
    };
    assert_eq!(
        (shown.id, &*shown.content, shown.user_id),
        (post, "worth it", ada.id)
    );
    let repost = shown.repost.clone().unwrap();
    assert_eq!((repost.id, repost.user_id), (shown.entry, bob.id));
    assert_ne!(shown.entry, post);
    assert!(!shown.viewer.unwrap().reposted, "ada has not");
    // It waits to be brought to bob's followers, and nobody has it judged.
    assert_eq!(number(&ctx, "SELECT count(*) FROM fanouts").await, 2);
    assert_eq!(number(&ctx, "SELECT count(*) FROM post_analysis").await, 1);
    assert_eq!(
        number(
            &ctx,
            "SELECT count(*) FROM notifications WHERE kind = 'repost'"
        )
        .await,
        1
    );
    // The public feed has the post once.
    let feed = posts::page(&ctx, None, None, limit(10)).await.unwrap();
    assert_eq!(entries(&feed.items), [post]);
    // The repost's number is no post's.
    for refused in [
        posts::get(&ctx, None, repost.id).await,
        posts::repost(&ctx, &ada, repost.id).await,
        likes::like(&ctx, &ada, repost.id).await,
        bookmarks::add(&ctx, &ada, repost.id).await,
        posts::delete(&ctx, &bob, repost.id).await,
    ] {
        assert!(
            matches!(refused, Err(Error::NotFound("post"))),
            "{refused:?}"
        );
    }
    let thread = posts::thread(&ctx, None, repost.id, None, limit(1)).await;
    assert!(matches!(thread, Err(Error::NotFound("post"))));

    let seen = posts::unrepost(&ctx, &bob, post).await.unwrap();
    assert_eq!((seen.reposts, seen.viewer.unwrap().reposted), (0, false));
    assert_eq!(posts::unrepost(&ctx, &bob, post).await.unwrap().reposts, 0);
    let page = posts::by_author(&ctx, None, bob.id, None, limit(10))
        .await
        .unwrap();
    assert!(page.items.is_empty());
    // One's own may be reposted, and again what was taken back.
    assert_eq!(posts::repost(&ctx, &ada, post).await.unwrap().reposts, 1);
    assert_eq!(posts::repost(&ctx, &bob, post).await.unwrap().reposts, 2);
    let page = posts::by_author(&ctx, None, ada.id, None, limit(10))
        .await
        .unwrap();
    assert_eq!(page.items.len(), 2);
}

#[tokio::test]
async fn reposts_go_with_the_post_even_those_of_the_same_moment() {
    let ctx = testing::ctx().await;
    let (ada, people) = (given::author(&ctx).await, authors(&ctx, 6).await);
    for round in 0..10 {
        let post = given::write(&ctx, &ada, &format!("round {round}")).await.id;
        let deeds: Vec<_> = people
            .iter()
            .map(|person| {
                let (ctx, person) = (ctx.clone(), person.clone());
                tokio::spawn(async move { posts::repost(&ctx, &person, post).await })
            })
            .collect();
        posts::delete(&ctx, &ada, post).await.unwrap();
        for deed in deeds {
            let done = deed.await.unwrap();
            assert!(
                matches!(done, Ok(_) | Err(Error::NotFound("post"))),
                "{done:?}"
            );
        }
    }
    let left = number(&ctx, "SELECT count(*) FROM posts WHERE deleted_at IS NULL").await;
    assert_eq!(left, 0);
    for person in &people {
        let page = posts::by_author(&ctx, None, person.id, None, limit(10))
            .await
            .unwrap();
        assert!(page.items.is_empty());
    }
}

#[tokio::test]
async fn bookmarks_are_listed_as_they_were_made() {
    let ctx = testing::ctx().await;
    let (ada, bob, eve) = (
        given::author(&ctx).await,
        given::author(&ctx).await,
        given::author(&ctx).await,
    );
    let mut kept = Vec::new();
    for i in 0..5 {
        kept.push(given::write(&ctx, &ada, &format!("post {i}")).await.id);
    }
    let hidden = given::write(&ctx, &eve, "to be hidden").await.id;
    let order = [kept[3], hidden, kept[0], kept[4], kept[1], kept[2]];
    for post in order {
        let seen = bookmarks::add(&ctx, &bob, post).await.unwrap();
        assert!(seen.viewer.unwrap().bookmarked);
    }
    // Again is not anew.
    bookmarks::add(&ctx, &bob, kept[3]).await.unwrap();
    bookmarks::remove(&ctx, &bob, kept[4]).await.unwrap();
    let seen = bookmarks::remove(&ctx, &bob, kept[4]).await.unwrap();
    assert!(!seen.viewer.unwrap().bookmarked);
    posts::delete(&ctx, &ada, kept[1]).await.unwrap();
    relations::block(&ctx, &eve, bob.id).await.unwrap();
    let first = bookmarks::list(&ctx, &bob, None, limit(2)).await.unwrap();
    assert_eq!(entries(&first.items), [kept[2], kept[0]]);
    let second = bookmarks::list(&ctx, &bob, first.next, limit(2))
        .await
        .unwrap();
    assert_eq!(entries(&second.items), [kept[3]]);
    assert_eq!(second.next, None);
    let others = bookmarks::list(&ctx, &ada, None, limit(2)).await.unwrap();
    assert!(others.items.is_empty());
    relations::unblock(&ctx, &eve, bob.id).await.unwrap();
    let all = bookmarks::list(&ctx, &bob, None, limit(10)).await.unwrap();
    assert_eq!(entries(&all.items), [kept[2], kept[0], hidden, kept[3]]);
}

#[tokio::test]
async fn the_statements_of_lists_do_not_grow_with_them() {
    let ctx = testing::ctx().await;
    let (ada, bob, eve) = (
        given::author(&ctx).await,
        given::author(&ctx).await,
        given::author(&ctx).await,
    );
    let root = given::write(&ctx, &ada, "root").await.id;
    let mut tip = root;
    for i in 0..30 {
        let side = given::reply(&ctx, &bob, root, &format!("side {i}"))
            .await
            .id;
        tip = given::reply(&ctx, &ada, tip, &format!("deeper {i}"))
            .await
            .id;
        posts::repost(&ctx, &bob, tip).await.unwrap();
        likes::like(&ctx, &bob, side).await.unwrap();
        bookmarks::add(&ctx, &bob, side).await.unwrap();
    }
    likes::like(&ctx, &eve, root).await.unwrap();
    let me = Some(bob.id);
    let statements = Statements::watch();
    for size in [1, 10, 30] {
        let most = limit(size);
        let page = posts::page(&ctx, me, None, most).await.unwrap();
        assert_eq!((page.items.len(), statements.take("")), (most.get(), 1));
        let page = posts::by_author(&ctx, me, bob.id, None, most)
            .await
            .unwrap();
        assert_eq!((page.items.len(), statements.take("")), (most.get(), 2));
        let thread = posts::thread(&ctx, me, root, None, most).await.unwrap();
        assert_eq!(
            (thread.replies.items.len(), statements.take("")),
            (most.get(), 3)
        );
        let thread = posts::thread(&ctx, me, tip, None, most).await.unwrap();
        assert_eq!((thread.ancestors.len(), statements.take("")), (30, 3));
        let page = posts::replies(&ctx, me, root, None, most).await.unwrap();
        assert_eq!((page.items.len(), statements.take("")), (most.get(), 2));
        let page = bookmarks::list(&ctx, &bob, None, most).await.unwrap();
        assert_eq!((page.items.len(), statements.take("")), (most.get(), 2));
        likes::people(&ctx, me, root, None, most).await.unwrap();
        assert_eq!(statements.take(""), 2);
        posts::history(&ctx, me, root).await.unwrap();
        assert_eq!(statements.take(""), 2);
    }
}

async fn session(ctx: &Ctx, name: &str) -> Session {
    let password = "correct horse battery";
    let new = NewUser {
        username: Username::parse(name).unwrap(),
        password: Password::parse(password.into()).unwrap(),
    };
    users::sign_up(ctx, new).await.unwrap();
    let config = AuthConfig {
        jwt_secret: None,
        jwt_secret_previous: None,
        app_env: AppEnv::Development,
    };
    let tokens = Tokens::new(&config).unwrap();
    let secret = SecretString::from(password);
    let login = auth::login(ctx, &tokens, name, secret, "test")
        .await
        .unwrap();
    auth::authenticate(ctx, &tokens, &login.token)
        .await
        .unwrap()
}

#[tokio::test]
async fn accounts_that_go_at_once_take_all_that_they_did_with_them() {
    let ctx = testing::ctx().await;
    let eve = given::author(&ctx).await;
    let stays = given::write(&ctx, &eve, "stays").await.id;
    for round in 0..4 {
        let (ada, bob) = (
            session(&ctx, &format!("ada{round}")).await,
            session(&ctx, &format!("bob{round}")).await,
        );
        // Each has to do with all that the other wrote.
        let mut written = Vec::new();
        for i in 0..5 {
            for author in [&ada, &bob] {
                written.push(
                    given::write(&ctx, &author.user, &format!("post {i}"))
                        .await
                        .id,
                );
            }
        }
        written.push(stays);
        for post in &written {
            for person in [&ada, &bob] {
                likes::like(&ctx, &person.user, *post).await.unwrap();
                posts::repost(&ctx, &person.user, *post).await.unwrap();
                bookmarks::add(&ctx, &person.user, *post).await.unwrap();
                given::reply(&ctx, &person.user, *post, "an answer").await;
            }
        }
        assert_eq!(counts(&ctx, stays).await, (2, 2, 2));
        let (ada_gone, bob_gone) = tokio::join!(
            tokio::spawn({
                let ctx = ctx.clone();
                async move { users::delete(&ctx, &ada, ada.user.id).await }
            }),
            tokio::spawn({
                let ctx = ctx.clone();
                async move { users::delete(&ctx, &bob, bob.user.id).await }
            })
        );
        ada_gone.unwrap().unwrap();
        bob_gone.unwrap().unwrap();
        assert_eq!(counts(&ctx, stays).await, (0, 0, 0));
        let wrong =
            "SELECT count(*) FROM post_counts WHERE likes <> 0 OR reposts <> 0 OR replies <> 0";
        assert_eq!(number(&ctx, wrong).await, 0);
        let left = number(&ctx, "SELECT count(*) FROM posts WHERE deleted_at IS NULL").await;
        assert_eq!(left, 1);
    }
}

#[tokio::test]
async fn open_pages_learn_the_counts() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let ctx = testing::replica(&database, &redis);
    let mut stream = TcpStream::connect(("127.0.0.1", redis.redis_port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    write!(stream, "SUBSCRIBE {}\r\n", ctx.redis.key("live")).unwrap();
    // What is heard comes line by line between lines of the protocol. The first ends what confirms the subscription.
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.find(|line| line == ":1").unwrap();
    let (ada, bob) = (given::author(&ctx).await, given::author(&ctx).await);
    let post = given::write(&ctx, &ada, "post").await.id;
    likes::like(&ctx, &bob, post).await.unwrap();
    likes::like(&ctx, &bob, post).await.unwrap();
    posts::repost(&ctx, &bob, post).await.unwrap();
    let answer = given::reply(&ctx, &bob, post, "answer").await.id;
    posts::delete(&ctx, &bob, answer).await.unwrap();
    posts::unrepost(&ctx, &bob, post).await.unwrap();
    likes::unlike(&ctx, &bob, post).await.unwrap();
    let (mut seen, mut notified) = (Vec::new(), 0);
    while seen.last() != Some(&(0, 0, 0)) {
        let message = lines.find(|line| line.starts_with('{')).unwrap();
        let event: Event = serde_json::from_str(&message).unwrap();
        match event {
            Event::Counts {
                post: of,
                likes,
                reposts,
                replies,
            } => {
                assert_eq!(of, post);
                seen.push((likes, reposts, replies));
            }
            Event::Notification { user, .. } => {
                assert_eq!(user, ada.id);
                notified += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let expected = [
        (1, 0, 0),
        (1, 1, 0),
        (1, 1, 1),
        (1, 1, 0),
        (1, 0, 0),
        (0, 0, 0),
    ];
    assert_eq!(seen, expected);
    assert_eq!(notified, 3, "a like, a repost and an answer");
}
