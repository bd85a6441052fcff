//! Home timelines: what the tests of both sides, reading and lists, begin with.

mod lists;
mod reading;

use std::collections::BTreeSet;

use deadpool_redis::redis;
use domain::{
    Ctx,
    page::Limit,
    testing::posts as given,
    timelines::{self, FanOut},
    users::User,
};

const PLENTY: u32 = 10_000;

async fn run(ctx: &Ctx, sql: &'static str, ids: &[i64]) {
    let statement = ids
        .iter()
        .fold(sqlx::query(sql), |statement, id| statement.bind(*id));
    statement.execute(&ctx.db).await.unwrap();
}

async fn follow(ctx: &Ctx, who: &User, whom: &User) {
    let sql = "INSERT INTO follows (follower_id, followed_id) VALUES ($1, $2)";
    run(ctx, sql, &[who.id.0, whom.id.0]).await;
    timelines::forget(ctx, who.id).await;
}

/// What a worker does until nothing waits; for how many lists it was.
async fn bring(ctx: &Ctx, max_followers: u32) -> u64 {
    let (mut fan_out, mut pushes) = (FanOut::new(ctx.clone(), max_followers), 0);
    loop {
        let brought = fan_out.step().await.unwrap();
        pushes += brought.pushes;
        if !brought.more {
            return pushes;
        }
    }
}

/// Lets posts wait that have been brought already, or that were to be.
async fn wait_again(ctx: &Ctx, posts: &[i64]) {
    let sql = "INSERT INTO fanouts SELECT unnest($1::bigint[]) ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql).bind(posts).execute(&ctx.db).await;
    done.unwrap();
}

async fn page(
    ctx: &Ctx,
    reader: &User,
    before: Option<i64>,
    limit: i64,
) -> (Vec<i64>, Option<i64>) {
    let limit = Limit::parse(limit).unwrap();
    let page = timelines::home(ctx, reader, before, limit).await.unwrap();
    let entries = page.items.iter().map(|post| post.entry.0).collect();
    (entries, page.next)
}

/// The first page.
async fn top(ctx: &Ctx, reader: &User) -> Vec<i64> {
    page(ctx, reader, None, 100).await.0
}

/// All pages.
async fn walk(ctx: &Ctx, reader: &User, limit: i64) -> Vec<i64> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let (entries, next) = page(ctx, reader, before, limit).await;
        assert!(
            entries
                .iter()
                .all(|id| before.is_none_or(|before| *id < before))
        );
        all.extend(entries);
        match next {
            Some(next) => before = Some(next),
            None => return all,
        }
    }
}

/// `count` posts without a worker's knowledge, or with it.
async fn posts(ctx: &Ctx, author: &User, count: i32) -> Vec<i64> {
    sqlx::query_scalar(
        "INSERT INTO posts (user_id, content) SELECT $1, 'post ' || n FROM generate_series(1, $2) n RETURNING id",
    )
    .bind(author.id.0)
    .bind(count)
    .fetch_all(&ctx.db)
    .await
    .unwrap()
}

async fn post(ctx: &Ctx, author: &User) -> i64 {
    posts(ctx, author, 1).await[0]
}

async fn reply(ctx: &Ctx, author: &User, to: i64) -> i64 {
    sqlx::query_scalar(
        "INSERT INTO posts (user_id, content, reply_to, thread_id) VALUES ($1, 'yes', $2, $2) RETURNING id",
    )
    .bind(author.id.0)
    .bind(to)
    .fetch_one(&ctx.db)
    .await
    .unwrap()
}

async fn repost(ctx: &Ctx, author: &User, of: i64) -> i64 {
    sqlx::query_scalar(
        "INSERT INTO posts (user_id, content, repost_of) VALUES ($1, '', $2) RETURNING id",
    )
    .bind(author.id.0)
    .bind(of)
    .fetch_one(&ctx.db)
    .await
    .unwrap()
}

async fn delete(ctx: &Ctx, post: i64) {
    run(
        ctx,
        "UPDATE posts SET deleted_at = now() WHERE id = $1",
        &[post],
    )
    .await;
}

/// The elements of somebody's list in Redis.
async fn list(ctx: &Ctx, reader: &User) -> Vec<i64> {
    let mut connection = ctx.redis.patient_connection().await.unwrap();
    let mut call = redis::cmd("LRANGE");
    call.arg(ctx.redis.key(&format!("tl:{}", reader.id)))
        .arg(0)
        .arg(-1);
    call.query_async(&mut connection).await.unwrap()
}

async fn people<const N: usize>(ctx: &Ctx) -> [User; N] {
    let mut people = Vec::new();
    for _ in 0..N {
        people.push(given::author(ctx).await);
    }
    people.try_into().unwrap()
}

fn newest_first(ids: impl IntoIterator<Item = i64>) -> Vec<i64> {
    let ids: BTreeSet<i64> = ids.into_iter().collect();
    ids.into_iter().rev().collect()
}
