//! Accounts and logins, where time or timing matters.

use std::time::Duration;

use domain::{
    Ctx, Error,
    auth::{self, AppEnv, AuthConfig, LIFETIME, Password, Session, Tokens},
    clock::Clock,
    testing,
    users::{self, NewUser, User, UserChange, Username},
};
use secrecy::SecretString;

const PASSWORD: &str = "correct horse battery";

fn tokens() -> Tokens {
    let config = AuthConfig {
        jwt_secret: None,
        app_env: AppEnv::Development,
    };
    Tokens::new(&config).unwrap()
}

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
