//! People and posts for tests, made quickly: an account without the time its password's hash takes, a backlog
//! without one request per post.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{
    Ctx,
    ids::{PostId, UserId},
    posts::{self, NewPost, PostText, PostView},
    users::User,
};

/// What [`write`] names as the request.
pub const REQUEST_ID: &str = "test-request";

static AUTHORS: AtomicU32 = AtomicU32::new(0);

/// A new account; nobody can log in to it.
///
/// # Panics
/// When PostgreSQL does not take it.
pub async fn author(ctx: &Ctx) -> User {
    let username = format!("author{}", AUTHORS.fetch_add(1, Ordering::Relaxed));
    let id = sqlx::query_scalar(
        "INSERT INTO users (username, password_hash) VALUES ($1, '') RETURNING id",
    )
    .bind(&username)
    .fetch_one(&ctx.db)
    .await
    .expect("an author");
    User {
        id: UserId(id),
        username,
    }
}

fn new_post(text: &str, reply_to: Option<PostId>) -> NewPost {
    NewPost {
        text: PostText::parse(text, 500).expect("a text"),
        reply_to,
        request_id: REQUEST_ID.into(),
    }
}

/// Writes a post the way the API does.
///
/// # Panics
/// When it is refused.
pub async fn write(ctx: &Ctx, author: &User, text: &str) -> PostView {
    posts::create(ctx, author, new_post(text, None))
        .await
        .expect("a post")
}

/// Answers a post the way the API does.
///
/// # Panics
/// When it is refused.
pub async fn reply(ctx: &Ctx, author: &User, to: PostId, text: &str) -> PostView {
    posts::create(ctx, author, new_post(text, Some(to)))
        .await
        .expect("a post")
}

/// Changes a post the way the API does.
///
/// # Panics
/// When it is refused.
pub async fn edit(ctx: &Ctx, author: &User, post: PostId, text: &str) -> PostView {
    posts::update(ctx, author, post, new_post(text, None))
        .await
        .expect("a post")
}

/// Writes `count` posts that nobody has told the workers of, due at once.
///
/// # Panics
/// When PostgreSQL does not take them.
pub async fn backlog(ctx: &Ctx, author: &User, count: i32) {
    sqlx::query("INSERT INTO posts (user_id, content) SELECT $1, 'post ' || n FROM generate_series(1, $2) AS n")
        .bind(author.id.0)
        .bind(count)
        .execute(&ctx.db)
        .await
        .expect("a backlog");
    make_due(ctx).await;
}

/// Lets time pass for every post that waits: leases and back-offs are over, the sweeper may offer them now.
///
/// # Panics
/// When PostgreSQL does not take it.
pub async fn make_due(ctx: &Ctx) {
    sqlx::query(
        "UPDATE post_analysis SET next_enqueue_at = now() - interval '1 second',
             lease_until = CASE WHEN lease_until IS NULL THEN NULL ELSE now() - interval '1 second' END
         WHERE status = 'pending' OR stale_since IS NOT NULL",
    )
    .execute(&ctx.db)
    .await
    .expect("time to pass");
}

/// How many posts there are whose analysis stands at `status`.
///
/// # Panics
/// When PostgreSQL does not answer.
pub async fn count(ctx: &Ctx, status: crate::analysis::Status) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM post_analysis WHERE status = $1")
        .bind(status.as_str())
        .fetch_one(&ctx.db)
        .await
        .expect("a number")
}
