//! Logins: how they end, on every replica at once, and passwords that came from the Node service.

use serde_json::json;

use crate::app::{JWT_SECRET, PASSWORD, TestApp};

#[tokio::test]
async fn logging_out_ends_this_login_on_every_replica_and_no_other() {
    let app = TestApp::start(2).await;
    let ada = app.member("ada").await;
    let mut phone = app.client(1);
    phone.login("ada", PASSWORD).await.ok(200);
    let elsewhere = app.elsewhere(&ada, 1);
    assert!(
        elsewhere.is_logged_in().await,
        "a token counts on every replica"
    );

    ada.get("/api/auth/logout").await.ok(200);
    assert!(!elsewhere.is_logged_in().await);
    assert!(!ada.is_logged_in().await);
    elsewhere
        .post("/api/posts", json!({"content": "x"}))
        .await
        .refused(401, "log in again");
    assert!(phone.is_logged_in().await);
}

#[tokio::test]
async fn a_new_password_ends_every_other_login_and_renews_this_one() {
    let app = TestApp::start(2).await;
    let mut ada = app.member("ada").await;
    let mut thief = app.client(1);
    thief.login("ada", PASSWORD).await.ok(200);
    let old = app.elsewhere(&ada, 1);

    let change = json!({"password": "another good one"});
    let changed = ada.put(&format!("/api/user/{}", ada.id), change).await;
    ada.token = Some(changed.token());
    changed.ok(200);
    assert!(!thief.is_logged_in().await);
    assert!(!old.is_logged_in().await);
    assert!(ada.is_logged_in().await);
    assert!(app.elsewhere(&ada, 1).is_logged_in().await);
    thief
        .login("ada", PASSWORD)
        .await
        .refused(401, "Invalid credentials");
    thief.login("ada", "another good one").await.ok(200);
}

#[tokio::test]
async fn a_login_that_has_expired_is_refused() {
    let app = TestApp::start(1).await;
    let (ada, bob) = (app.member("ada").await, app.member("bob").await);
    let sql = app.sql().await;
    let expire = "UPDATE sessions SET expires_at = now() - interval '1 second' WHERE user_id = $1";
    sqlx::query(expire)
        .bind(ada.id)
        .execute(&sql)
        .await
        .unwrap();
    assert!(!ada.is_logged_in().await);
    ada.post("/api/posts", json!({"content": "x"}))
        .await
        .refused(401, "has expired");
    assert!(bob.is_logged_in().await);
    // A day, as the cookie says.
    let (seconds,): (f64,) =
        sqlx::query_as("SELECT extract(epoch FROM expires_at - created_at)::float8 FROM sessions WHERE user_id = $1")
            .bind(bob.id)
            .fetch_one(&sql)
            .await
            .unwrap();
    assert!((86_390.0..=86_410.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_token_signed_with_another_secret_is_refused() {
    let app = TestApp::start(1).await;
    let ada = app.member("ada").await;
    // The same database and the same session, but a replica that was given another secret.
    let stranger = TestApp::with(1, |config| {
        config.database = app.config.database.clone();
        config.redis = app.config.redis.clone();
        config.auth.jwt_secret = Some("Zt1vXw93LkYb7Rj2Nf5Hs0Pd6Gm4Ca9q".into());
    })
    .await;
    assert!(ada.is_logged_in().await);
    assert!(!stranger.elsewhere(&ada, 0).is_logged_in().await);
}

#[tokio::test]
async fn nobody_is_logged_out_while_the_secret_changes() {
    const NEW: &str = "Zt1vXw93LkYb7Rj2Nf5Hs0Pd6Gm4Ca9q";
    let app = TestApp::start(1).await;
    let mut ada = app.member("ada").await;
    let replica = async |secret: &str, previous: Option<&str>| {
        TestApp::with(1, |config| {
            config.database = app.config.database.clone();
            config.redis = app.config.redis.clone();
            config.auth.jwt_secret = Some(secret.into());
            config.auth.jwt_secret_previous = previous.map(Into::into);
        })
        .await
    };
    // As docs/operations.md has it: believed everywhere first, then signed with, then alone.
    let accepting = replica(JWT_SECRET, Some(NEW)).await;
    let signing = replica(NEW, Some(JWT_SECRET)).await;
    let done = replica(NEW, None).await;
    for stage in [&accepting, &signing] {
        assert!(stage.elsewhere(&ada, 0).is_logged_in().await);
    }
    assert!(!done.elsewhere(&ada, 0).is_logged_in().await);
    // Whoever logs in at a replica that signs with the new secret is known to one that does not yet.
    let mut late = signing.elsewhere(&ada, 0);
    late.login("ada", PASSWORD).await.ok(200);
    for stage in [&accepting, &signing, &done] {
        assert!(stage.elsewhere(&late, 0).is_logged_in().await);
    }
    ada.login("ada", PASSWORD).await.ok(200);
    assert!(!done.elsewhere(&ada, 0).is_logged_in().await);
}

#[tokio::test]
async fn whoever_comes_from_the_node_service_logs_in_with_their_password() {
    let app = TestApp::start(1).await;
    let sql = app.sql().await;
    // bcrypt of "old friend" with cost 4, as Node's bcrypt writes it.
    let hash = "$2b$04$1EQYMHWVzhHHmrPIYOKPK.7ynrXQroL/2IjuHVTlU53OG.Eu6cRC6";
    sqlx::query("INSERT INTO users (username, password_hash) VALUES ('grace', $1)")
        .bind(hash)
        .execute(&sql)
        .await
        .unwrap();
    let stored = async || -> String {
        let query = sqlx::query_scalar("SELECT password_hash FROM users WHERE username = 'grace'");
        query.fetch_one(&sql).await.unwrap()
    };
    let mut grace = app.client(0);
    grace
        .login("grace", "wrong")
        .await
        .refused(401, "Invalid credentials");
    assert_eq!(stored().await, hash);
    grace.login("grace", "old friend").await.ok(200);
    assert!(grace.is_logged_in().await);
    let upgraded = stored().await;
    assert!(
        upgraded.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{upgraded}"
    );
    grace.login("grace", "old friend").await.ok(200);
    assert_eq!(stored().await, upgraded, "once is enough");
    grace
        .login("grace", "wrong")
        .await
        .refused(401, "Invalid credentials");
}
