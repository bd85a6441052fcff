//! Accounts and logins, where time or timing matters.

use std::time::Duration;

use domain::{
    Ctx, Error,
    auth::{self, LIFETIME, Password, Session},
    clock::Clock,
    ids::UserId,
    insights,
    notifications::{self, Kind, Notice},
    relations,
    testing::{self, posts as given},
    users::{self, NewUser, User, UserChange, Username},
};
use secrecy::SecretString;

use crate::people::{PASSWORD, log_in, member, tokens};

async fn sign_up(ctx: &Ctx, name: &str) -> User {
    let new = NewUser {
        username: Username::parse(name).unwrap(),
        password: Password::parse(PASSWORD.into()).unwrap(),
    };
    users::sign_up(ctx, new).await.unwrap()
}

async fn login(ctx: &Ctx, name: &str) -> domain::Result<String> {
    let login = auth::login(ctx, &tokens(), name, SecretString::from(PASSWORD), "test").await?;
    Ok(login.token)
}

async fn who(ctx: &Ctx, token: &str) -> domain::Result<Session> {
    auth::authenticate(ctx, &tokens(), token).await
}

#[tokio::test]
async fn a_login_counts_for_a_day_and_is_removed_after_it() {
    let mut ctx = testing::ctx().await;
    let ada = sign_up(&ctx, "ada").await;
    let start = Clock::System.now();
    ctx.clock = Clock::Fixed(start);
    let token = login(&ctx, "ada").await.unwrap();
    let second = chrono::Duration::seconds(1);
    ctx.clock = Clock::Fixed(start + LIFETIME - second);
    assert_eq!(who(&ctx, &token).await.unwrap().user, ada);
    assert_eq!(auth::purge_expired(&ctx).await.unwrap(), 0);
    ctx.clock = Clock::Fixed(start + LIFETIME + second);
    let refusal = who(&ctx, &token).await.unwrap_err();
    assert!(matches!(refusal, Error::Unauthenticated(_)), "{refusal}");
    assert_eq!(auth::purge_expired(&ctx).await.unwrap(), 1);
    assert_eq!(auth::purge_expired(&ctx).await.unwrap(), 0);
}

#[tokio::test]
async fn many_expired_logins_are_removed_some_at_a_time() {
    let ctx = testing::ctx().await;
    let ada = sign_up(&ctx, "ada").await;
    sqlx::query(
        "INSERT INTO sessions (id, user_id, expires_at)
         SELECT gen_random_uuid(), $1, now() - interval '1 second' FROM generate_series(1, 2500)",
    )
    .bind(ada.id.0)
    .execute(&ctx.db)
    .await
    .unwrap();
    let token = login(&ctx, "ada").await.unwrap();
    for removed in [1_000, 1_000, 500, 0] {
        assert_eq!(auth::purge_expired(&ctx).await.unwrap(), removed);
    }
    who(&ctx, &token).await.unwrap();
}

#[tokio::test]
async fn a_login_with_the_old_password_does_not_survive_the_new_one() {
    let ctx = testing::ctx().await;
    let ada = sign_up(&ctx, "ada").await;
    let session = who(&ctx, &login(&ctx, "ada").await.unwrap()).await.unwrap();
    // Logins that are under way while the password changes: whichever way each of them ends, afterwards no session
    // that was opened with the old password counts.
    let logins: Vec<_> = (0..6)
        .map(|_| {
            let ctx = ctx.clone();
            tokio::spawn(async move { login(&ctx, "ada").await })
        })
        .collect();
    let change = UserChange {
        username: None,
        password: Some(Password::parse("another good one".into()).unwrap()),
    };
    users::update(&ctx, &session, ada.id, change).await.unwrap();
    for login in logins {
        match login.await.unwrap() {
            Ok(token) => assert!(who(&ctx, &token).await.is_err()),
            Err(refusal) => assert!(matches!(refusal, Error::Unauthenticated(_)), "{refusal}"),
        }
    }
    assert!(login(&ctx, "ada").await.is_err());
}

#[tokio::test]
async fn a_name_that_nobody_has_takes_as_long_as_a_wrong_password() {
    let ctx = testing::ctx().await;
    sign_up(&ctx, "ada").await;
    // The fastest of some: other tests may slow down any of them, and none can be sped up.
    let fastest = async |name: &str| {
        let mut fastest = Duration::MAX;
        for _ in 0..5 {
            let start = std::time::Instant::now();
            let wrong = SecretString::from("a wrong password");
            let answer = auth::login(&ctx, &tokens(), name, wrong, "test").await;
            assert!(matches!(
                answer,
                Err(Error::Unauthenticated("Invalid credentials"))
            ));
            fastest = fastest.min(start.elapsed());
        }
        fastest
    };
    let (known, unknown) = (fastest("ada").await, fastest("nobody").await);
    // A look-up alone takes a hundredth of a hash.
    assert!(unknown > known / 3, "{unknown:?} and {known:?}");
}

#[tokio::test]
async fn people_see_where_they_are_logged_in_and_end_what_they_choose() {
    let mut ctx = testing::ctx().await;
    let (ada, bob) = (member(&ctx, "ada").await, member(&ctx, "bob").await);
    let long = format!("  Phone\r\n\u{1b}[31m {}", "x".repeat(300));
    let phone = log_in(&ctx, "ada", &long).await;
    let seen = auth::sessions(&ctx, &ada).await.unwrap();
    let agents: Vec<&str> = seen.iter().map(|s| s.user_agent.as_str()).collect();
    let kept = format!("Phone[31m {}", "x".repeat(190));
    assert_eq!(agents, [kept.as_str(), "test"], "newest first");
    assert_eq!(
        seen.iter().map(|s| s.current).collect::<Vec<_>>(),
        [false, true]
    );
    let theirs = auth::sessions(&ctx, &phone).await.unwrap();
    assert!(theirs[0].current && !theirs[1].current);

    let of_bob = auth::sessions(&ctx, &bob).await.unwrap()[0].id;
    for others in [of_bob, uuid::Uuid::new_v4()] {
        let refusal = auth::end_other(&ctx, &ada, others).await.unwrap_err();
        assert!(matches!(refusal, Error::NotFound("session")), "{refusal}");
    }
    auth::end_other(&ctx, &ada, seen[0].id).await.unwrap();
    let refusal = auth::end_other(&ctx, &ada, seen[0].id).await.unwrap_err();
    assert!(matches!(refusal, Error::NotFound("session")), "{refusal}");
    assert_eq!(auth::sessions(&ctx, &ada).await.unwrap().len(), 1);
    assert_eq!(auth::sessions(&ctx, &bob).await.unwrap().len(), 1);
    // What has expired is not shown, whether it has been removed yet or not.
    ctx.clock = Clock::Fixed(Clock::System.now() + LIFETIME + chrono::Duration::seconds(1));
    assert_eq!(auth::sessions(&ctx, &ada).await.unwrap(), []);
}

/// How many rows of any table have to do with an account.
async fn traces(ctx: &Ctx, id: UserId) -> i64 {
    sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM sessions WHERE user_id = $1)
              + (SELECT count(*) FROM follows WHERE follower_id = $1 OR followed_id = $1)
              + (SELECT count(*) FROM user_counts WHERE user_id = $1)
              + (SELECT count(*) FROM blocks WHERE blocker_id = $1 OR blocked_id = $1)
              + (SELECT count(*) FROM mutes WHERE muter_id = $1 OR muted_id = $1)
              + (SELECT count(*) FROM notifications WHERE user_id = $1 OR actor_id = $1)
              + (SELECT count(*) FROM likes WHERE user_id = $1)
              + (SELECT count(*) FROM bookmarks WHERE user_id = $1)
              + (SELECT count(*) FROM user_insights WHERE user_id = $1)
              + (SELECT count(*) FROM posts WHERE user_id = $1 AND deleted_at IS NULL)",
    )
    .bind(id.0)
    .fetch_one(&ctx.db)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_go_with_all_that_ties_them_to_others_also_two_at_once() {
    let ctx = testing::ctx().await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "eve", "zoe"] {
        people.push(member(&ctx, name).await);
    }
    let [ada, bob, eve, zoe] = &people[..] else {
        panic!("four")
    };
    for one in &people {
        for other in people.iter().filter(|other| other.user != one.user) {
            relations::follow(&ctx, &one.user, other.user.id)
                .await
                .unwrap();
        }
    }
    relations::mute(&ctx, &ada.user, bob.user.id).await.unwrap();
    relations::mute(&ctx, &bob.user, ada.user.id).await.unwrap();
    relations::block(&ctx, &ada.user, zoe.user.id)
        .await
        .unwrap();
    relations::block(&ctx, &zoe.user, bob.user.id)
        .await
        .unwrap();
    let post = given::write(&ctx, &ada.user, "hello @bob @eve").await.id;
    for who in [ada, bob] {
        for statement in [
            "INSERT INTO likes (user_id, post_id) VALUES ($1, $2)",
            "INSERT INTO bookmarks (user_id, post_id) VALUES ($1, $2)",
        ] {
            let query = sqlx::query(statement).bind(who.user.id.0).bind(post.0);
            query.execute(&ctx.db).await.unwrap();
        }
        insights::get(&ctx, &who.user).await.unwrap();
    }
    let notices = [bob, eve].map(|to| Notice {
        to: to.user.id,
        actor: ada.user.id,
        kind: Kind::Mention,
        post: Some(post),
    });
    let mut tx = ctx.db.begin().await.unwrap();
    notifications::notify(&mut tx, &notices).await.unwrap();
    tx.commit().await.unwrap();
    for gone in [ada, bob] {
        assert!(traces(&ctx, gone.user.id).await > 8);
    }
    let (one, other) = tokio::join!(
        users::delete(&ctx, ada, ada.user.id),
        users::delete(&ctx, bob, bob.user.id)
    );
    assert_eq!(
        (one.unwrap(), other.unwrap()),
        (ada.user.clone(), bob.user.clone())
    );
    for gone in [ada, bob] {
        assert_eq!(traces(&ctx, gone.user.id).await, 0);
    }
    let counts: (i32, i32) =
        sqlx::query_as("SELECT followers, followed FROM user_counts WHERE user_id = $1")
            .bind(eve.user.id.0)
            .fetch_one(&ctx.db)
            .await
            .unwrap();
    assert_eq!(counts, (1, 1), "zoe is left");
}

#[tokio::test]
async fn an_account_with_very_many_followers_can_go() {
    let ctx = testing::ctx().await;
    let ada = member(&ctx, "ada").await;
    for statement in [
        "INSERT INTO users (username, password_hash) SELECT 'user' || n, '' FROM generate_series(1, 30000) AS n",
        "INSERT INTO follows (follower_id, followed_id)
         SELECT u.id, a.id FROM users u, users a WHERE a.username = 'ada' AND u.id <> a.id",
    ] {
        sqlx::query(statement).execute(&ctx.db).await.unwrap();
    }
    let start = std::time::Instant::now();
    users::delete(&ctx, &ada, ada.user.id).await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(traces(&ctx, ada.user.id).await, 0);
    let following: i64 = sqlx::query_scalar("SELECT count(*) FROM user_counts WHERE followed <> 0")
        .fetch_one(&ctx.db)
        .await
        .unwrap();
    assert_eq!(following, 0);
}
