//! Home timelines: what is in them, in which order, and that neither a worker's death nor Redis' loses or doubles a post.

use std::collections::BTreeSet;

use deadpool_redis::redis;
use domain::{
    Ctx,
    config::{CacheConfig, DatabaseConfig},
    ids::{PostId, UserId},
    page::Limit,
    testing::{self, PrivateRedis, posts as given},
    timelines::{self, FanOut},
    users::User,
};
use prometheus::Registry;
use rand::{Rng as _, RngExt as _, seq::SliceRandom as _};

use crate::statements::Statements;

const PLENTY: u32 = 10_000;

async fn run(ctx: &Ctx, sql: &'static str, a: i64, b: i64) {
    let done = sqlx::query(sql).bind(a).bind(b).execute(&ctx.db).await;
    done.unwrap();
}

async fn follow(ctx: &Ctx, who: &User, whom: &User) {
    let sql = "INSERT INTO follows (follower_id, followed_id) VALUES ($1, $2)";
    run(ctx, sql, who.id.0, whom.id.0).await;
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
        "UPDATE posts SET deleted_at = now() WHERE id = $1 AND $2 = 0",
        post,
        0,
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

#[tokio::test]
async fn it_shows_those_one_follows_and_oneself_newest_first() {
    let ctx = testing::ctx().await;
    let [reader, followed, other, stranger] = people(&ctx).await;
    follow(&ctx, &reader, &followed).await;
    follow(&ctx, &reader, &other).await;
    assert_eq!(top(&ctx, &reader).await, [] as [i64; 0]);
    // Once with the worker, then once more from the database alone.
    let first = post(&ctx, &followed).await;
    let strange = post(&ctx, &stranger).await;
    let own = post(&ctx, &reader).await;
    let shared = repost(&ctx, &other, strange).await;
    let answer = reply(&ctx, &followed, own).await;
    let between = reply(&ctx, &followed, first).await;
    let unheard = reply(&ctx, &followed, strange).await;
    let to_other = reply(&ctx, &other, first).await;
    let own_answer = reply(&ctx, &reader, strange).await;
    assert_eq!(
        top(&ctx, &reader).await,
        [own_answer, own],
        "one's own are there at once"
    );
    let pushes = bring(&ctx, PLENTY).await;
    assert_eq!(pushes, 5, "what nobody would see reaches no list");
    let expected = [own_answer, to_other, between, answer, shared, own, first];
    assert_eq!(top(&ctx, &reader).await, expected);
    timelines::forget(&ctx, reader.id).await;
    assert_eq!(top(&ctx, &reader).await, expected);
    assert!(!expected.contains(&unheard));
}

#[tokio::test]
async fn a_post_that_is_there_twice_is_shown_where_it_is_first() {
    let ctx = testing::ctx().await;
    let [reader, a, b] = people(&ctx).await;
    follow(&ctx, &reader, &a).await;
    follow(&ctx, &reader, &b).await;
    let original = post(&ctx, &a).await;
    let another = post(&ctx, &a).await;
    let shared = repost(&ctx, &b, original).await;
    bring(&ctx, PLENTY).await;
    assert_eq!(top(&ctx, &reader).await, [shared, another]);
    assert_eq!(walk(&ctx, &reader, 1).await, [shared, another, original]);
}

#[tokio::test]
async fn the_pages_lead_through_everything_once_also_beyond_the_lists_end() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let ctx = testing::replica(&database, &redis);
    let [reader, a, b, large] = people(&ctx).await;
    for author in [&a, &b, &large] {
        follow(&ctx, &reader, author).await;
    }
    run(
        &ctx,
        "UPDATE user_counts SET is_large = true WHERE user_id = $1 AND $2 = 0",
        large.id.0,
        0,
    )
    .await;
    let mut all = Vec::new();
    for _ in 0..10 {
        for author in [&a, &b, &large, &reader] {
            all.extend(posts(&ctx, author, 41).await);
        }
    }
    let expected = newest_first(all.clone());
    // Lists from the database; then lists that have grown by pushes and been cut; then none.
    for limit in [7, 50, 100] {
        assert_eq!(walk(&ctx, &reader, limit).await, expected, "{limit}");
    }
    assert_eq!(list(&ctx, &reader).await.len(), 800);
    run(&ctx, "TRUNCATE fanouts", 0, 0).await;
    bring_in_order(&ctx, &all, &reader).await;
    for limit in [7, 50, 100] {
        assert_eq!(walk(&ctx, &reader, limit).await, expected, "{limit}");
    }
    let off = CacheConfig {
        cache_active: false,
    };
    let without = Ctx::new(&database, &redis, &off, &Registry::new()).unwrap();
    for limit in [7, 50, 100] {
        assert_eq!(walk(&without, &reader, limit).await, expected, "{limit}");
    }
}

/// Starts from an empty list and pushes everything to it.
async fn bring_in_order(ctx: &Ctx, posts: &[i64], reader: &User) {
    run(
        ctx,
        "UPDATE posts SET deleted_at = now() WHERE $1 = 0 AND $2 = 0",
        0,
        0,
    )
    .await;
    timelines::forget(ctx, reader.id).await;
    assert_eq!(top(ctx, reader).await, [] as [i64; 0]);
    assert_eq!(
        list(ctx, reader).await,
        [0],
        "an empty timeline is remembered"
    );
    run(
        ctx,
        "UPDATE posts SET deleted_at = NULL WHERE $1 = 0 AND $2 = 0",
        0,
        0,
    )
    .await;
    for some in posts.chunks(10) {
        wait_again(ctx, some).await;
        bring(ctx, PLENTY).await;
        assert!(list(ctx, reader).await.len() <= 800);
    }
}

#[tokio::test]
async fn what_one_must_not_or_will_not_see_is_gone_with_the_next_read_whatever_the_list_says() {
    let ctx = testing::ctx().await;
    let [reader, a, b, c, d, e] = people(&ctx).await;
    for author in [&a, &b, &c, &d] {
        follow(&ctx, &reader, author).await;
    }
    top(&ctx, &reader).await;
    let (by_a, by_b, by_c, by_d) = (
        post(&ctx, &a).await,
        post(&ctx, &b).await,
        post(&ctx, &c).await,
        post(&ctx, &d).await,
    );
    let by_e = post(&ctx, &e).await;
    let shared = repost(&ctx, &d, by_e).await;
    let answer = reply(&ctx, &d, by_a).await;
    bring(&ctx, PLENTY).await;
    assert_eq!(
        top(&ctx, &reader).await,
        [answer, shared, by_d, by_c, by_b, by_a]
    );
    let kept = list(&ctx, &reader).await;

    run(
        &ctx,
        "DELETE FROM follows WHERE follower_id = $1 AND followed_id = $2",
        reader.id.0,
        a.id.0,
    )
    .await;
    assert_eq!(
        top(&ctx, &reader).await,
        [shared, by_d, by_c, by_b],
        "nor answers to them"
    );
    run(
        &ctx,
        "INSERT INTO mutes (muter_id, muted_id) VALUES ($1, $2)",
        reader.id.0,
        b.id.0,
    )
    .await;
    assert_eq!(top(&ctx, &reader).await, [shared, by_d, by_c]);
    delete(&ctx, by_c).await;
    assert_eq!(top(&ctx, &reader).await, [shared, by_d]);
    for [who, whom] in [[&reader, &e], [&e, &reader]] {
        run(
            &ctx,
            "INSERT INTO blocks (blocker_id, blocked_id) VALUES ($1, $2)",
            who.id.0,
            whom.id.0,
        )
        .await;
        assert_eq!(
            top(&ctx, &reader).await,
            [by_d],
            "nor what others share of theirs"
        );
        run(
            &ctx,
            "DELETE FROM blocks WHERE blocker_id = $1 AND blocked_id = $2",
            who.id.0,
            whom.id.0,
        )
        .await;
        assert_eq!(top(&ctx, &reader).await, [shared, by_d]);
    }
    run(
        &ctx,
        "INSERT INTO mutes (muter_id, muted_id) VALUES ($1, $2)",
        reader.id.0,
        e.id.0,
    )
    .await;
    assert_eq!(top(&ctx, &reader).await, [by_d]);
    run(
        &ctx,
        "DELETE FROM mutes WHERE muter_id = $1 AND muted_id = $2",
        reader.id.0,
        e.id.0,
    )
    .await;
    delete(&ctx, by_e).await;
    assert_eq!(
        top(&ctx, &reader).await,
        [by_d],
        "a repost goes with its post"
    );
    for [who, whom] in [[&reader, &d], [&d, &reader]] {
        run(
            &ctx,
            "INSERT INTO blocks (blocker_id, blocked_id) VALUES ($1, $2)",
            who.id.0,
            whom.id.0,
        )
        .await;
        assert_eq!(top(&ctx, &reader).await, [] as [i64; 0]);
        run(
            &ctx,
            "DELETE FROM blocks WHERE blocker_id = $1 AND blocked_id = $2",
            who.id.0,
            whom.id.0,
        )
        .await;
    }
    assert_eq!(
        list(&ctx, &reader).await,
        kept,
        "the list was not made anew"
    );
}

#[tokio::test]
async fn a_page_whose_posts_are_mostly_hidden_is_filled_from_further_below() {
    let ctx = testing::ctx().await;
    let [reader, loud, quiet] = people(&ctx).await;
    follow(&ctx, &reader, &loud).await;
    follow(&ctx, &reader, &quiet).await;
    let seen = posts(&ctx, &quiet, 30).await;
    posts(&ctx, &loud, 150).await;
    run(
        &ctx,
        "INSERT INTO mutes (muter_id, muted_id) VALUES ($1, $2)",
        reader.id.0,
        loud.id.0,
    )
    .await;
    let expected = newest_first(seen);
    assert_eq!(page(&ctx, &reader, None, 20).await.0, expected[..20]);
    // So many that it is left short, and goes on.
    posts(&ctx, &loud, 2_000).await;
    bring(&ctx, PLENTY).await;
    let (entries, next) = page(&ctx, &reader, None, 5).await;
    assert!(entries.len() < 5 && next.is_some());
    assert_eq!(walk(&ctx, &reader, 5).await, expected);
}

#[tokio::test]
async fn posts_of_a_large_account_are_found_without_being_written_to_its_followers() {
    let ctx = testing::ctx().await;
    let [reader, second, third, grows, other] = people(&ctx).await;
    follow(&ctx, &reader, &grows).await;
    follow(&ctx, &reader, &other).await;
    follow(&ctx, &second, &grows).await;
    top(&ctx, &reader).await;
    let small = posts(&ctx, &grows, 3).await;
    assert_eq!(bring(&ctx, 2).await, 3);
    follow(&ctx, &third, &grows).await;
    let large = posts(&ctx, &grows, 2).await;
    let beside = posts(&ctx, &other, 2).await;
    let larger = posts(&ctx, &grows, 2).await;
    assert_eq!(bring(&ctx, 2).await, 2, "only those of the other account");
    let expected = newest_first([small, large, beside, larger].concat());
    assert_eq!(top(&ctx, &reader).await, expected);
    // It stays large, with fewer followers and with another limit, or its posts of that time would be lost.
    run(
        &ctx,
        "DELETE FROM follows WHERE follower_id = $1 AND followed_id = $2",
        third.id.0,
        grows.id.0,
    )
    .await;
    let last = post(&ctx, &grows).await;
    assert_eq!(bring(&ctx, PLENTY).await, 0);
    let expected = newest_first(expected.into_iter().chain([last]));
    assert_eq!(top(&ctx, &reader).await, expected);
    timelines::forget(&ctx, reader.id).await;
    assert_eq!(top(&ctx, &reader).await, expected);
    for limit in [1, 2, 3] {
        assert_eq!(walk(&ctx, &reader, limit).await, expected);
    }
}

#[tokio::test]
async fn a_list_that_redis_has_lost_is_made_again() {
    let database = testing::database().await;
    let mut redis = PrivateRedis::start();
    let ctx = testing::replica(&database, &redis.config);
    let [reader, author] = people(&ctx).await;
    follow(&ctx, &reader, &author).await;
    let mut written = Vec::new();
    for round in 0..4 {
        written.push(post(&ctx, &author).await);
        bring(&ctx, PLENTY).await;
        assert_eq!(
            top(&ctx, &reader).await,
            newest_first(written.clone()),
            "{round}"
        );
        redis.flush();
        written.push(post(&ctx, &author).await);
        assert_eq!(bring(&ctx, PLENTY).await, 0, "there is no list");
        assert_eq!(
            top(&ctx, &reader).await,
            newest_first(written.clone()),
            "{round}"
        );
    }
    // Away: everything is read from the database, posts wait, and a dropped list does not come back.
    let kept = given::author(&ctx).await;
    redis.stop();
    written.push(post(&ctx, &author).await);
    assert_eq!(top(&ctx, &reader).await, newest_first(written.clone()));
    assert_eq!(walk(&ctx, &reader, 2).await, newest_first(written.clone()));
    assert!(FanOut::new(ctx.clone(), PLENTY).step().await.is_err());
    assert_eq!(timelines::waiting(&ctx).await.unwrap(), 1);
    follow(&ctx, &reader, &kept).await;
    redis.start_again();
    testing::eventually("Redis to be asked again", async || {
        ctx.redis.ping().await.is_ok()
    })
    .await;
    bring(&ctx, PLENTY).await;
    assert_eq!(timelines::waiting(&ctx).await.unwrap(), 0);
    assert_eq!(top(&ctx, &reader).await, newest_first(written));
}

#[tokio::test]
async fn posts_that_come_again_or_late_are_in_their_place_and_once() {
    let ctx = testing::ctx().await;
    let [reader, author] = people(&ctx).await;
    follow(&ctx, &reader, &author).await;
    top(&ctx, &reader).await;
    let mut all = posts(&ctx, &author, 1_500).await;
    run(&ctx, "TRUNCATE fanouts", 0, 0).await;
    let mut random = rand::rng();
    all.shuffle(&mut random);
    let mut brought = BTreeSet::new();
    let mut rest = &all[..];
    while !rest.is_empty() {
        let (some, others) = rest.split_at(random.random_range(1..=rest.len().min(200)));
        // A worker that dies after its push and before its COMMIT leaves what it has pushed to the next.
        let again: Vec<i64> = all
            .iter()
            .filter(|_| random.next_u32() % 50 == 0 && !brought.is_empty())
            .copied()
            .collect();
        let again: Vec<i64> = again
            .into_iter()
            .filter(|id| brought.contains(id))
            .collect();
        wait_again(&ctx, &[some, &again].concat()).await;
        bring(&ctx, PLENTY).await;
        brought.extend(some);
        rest = others;
        let elements = list(&ctx, &reader).await;
        let tail = *elements.last().unwrap();
        assert!(elements.len() <= 800);
        let expected: Vec<i64> = brought.range(tail..).rev().copied().collect();
        let expected = [&expected[..], if tail == 0 { &[0] } else { &[] }].concat();
        assert_eq!(elements, expected);
    }
    assert_eq!(walk(&ctx, &reader, 100).await, newest_first(all));
}

/// Several replicas and workers on the same services.
fn replicas(database: &DatabaseConfig, redis: &domain::config::RedisConfig) -> [Ctx; 3] {
    [(); 3].map(|()| testing::replica(database, redis))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_made_while_posts_arrive_and_lists_are_dropped_lose_none() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let [a, b, c] = replicas(&database, &redis);
    let [reader, author, other] = people(&a).await;
    follow(&a, &reader, &author).await;
    follow(&a, &reader, &other).await;
    let mut written = Vec::new();
    for round in 0..60 {
        let writing = async {
            let mut ids = Vec::new();
            for _ in 0..5 {
                ids.push(given::write(&a, &author, "a post").await.id.0);
                bring(&a, PLENTY).await;
            }
            ids
        };
        let more = async {
            let mut ids = Vec::new();
            for _ in 0..5 {
                ids.push(given::write(&b, &other, "a post").await.id.0);
                bring(&b, PLENTY).await;
            }
            ids
        };
        let reading = |ctx: Ctx| {
            let reader = reader.clone();
            async move {
                for _ in 0..6 {
                    timelines::forget(&ctx, reader.id).await;
                    let seen = top(&ctx, &reader).await;
                    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
                }
            }
        };
        let (ids, others, (), ()) =
            tokio::join!(writing, more, reading(b.clone()), reading(c.clone()));
        bring(&a, PLENTY).await;
        written.extend(ids);
        written.extend(others);
        let expected = newest_first(written.clone());
        let expected = &expected[..expected.len().min(100)];
        for ctx in [&a, &b, &c] {
            assert_eq!(top(ctx, &reader).await, expected, "{round}");
        }
    }
    let elements = list(&a, &reader).await;
    assert!(
        elements.starts_with(&newest_first(written)),
        "and it is the list that says so"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_one_has_just_followed_is_in_the_next_read_though_others_read_meanwhile() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let [a, b, c] = replicas(&database, &redis);
    let [reader] = people(&a).await;
    let mut expected = Vec::new();
    for round in 0..40 {
        let author = given::author(&a).await;
        expected.insert(0, post(&a, &author).await);
        bring(&a, PLENTY).await;
        timelines::forget(&a, reader.id).await;
        let reading = |ctx: Ctx| {
            let reader = reader.clone();
            async move {
                for _ in 0..5 {
                    top(&ctx, &reader).await;
                }
            }
        };
        tokio::join!(
            reading(b.clone()),
            follow(&a, &reader, &author),
            reading(c.clone())
        );
        for ctx in [&a, &b, &c] {
            assert_eq!(top(ctx, &reader).await, expected, "{round}");
        }
    }
}

#[tokio::test]
async fn the_statements_of_a_read_do_not_grow_with_those_one_follows() {
    let ctx = testing::ctx().await;
    let statements = Statements::watch();
    for count in [0, 10, 500] {
        let [reader] = people(&ctx).await;
        for sql in [
            "INSERT INTO users (username, password_hash) SELECT 'f' || $1 || '-' || n, '' FROM generate_series(1, $2) n",
            "INSERT INTO follows SELECT $1, id FROM users WHERE id > $1 AND $2 >= 0",
            "INSERT INTO posts (user_id, content) SELECT followed_id, 'post ' || n FROM follows, generate_series(1, 5) n
             WHERE follower_id = $1 AND $2 >= 0",
            "UPDATE user_counts SET is_large = true WHERE user_id % 10 = 0 AND user_id > $1 AND $2 >= 0",
        ] {
            run(&ctx, sql, reader.id.0, count).await;
        }
        statements.take("");
        for (what, most) in [("made", 3), ("read", 2)] {
            let shown = page(&ctx, &reader, None, 50).await.0.len();
            let asked = statements.take("");
            assert_eq!(shown, 50.min(usize::try_from(count).unwrap() * 5));
            assert_eq!(asked, most, "{count} followed, {what}");
        }
    }
}

#[tokio::test]
async fn nothing_is_kept_for_those_who_do_not_look() {
    let ctx = testing::ctx().await;
    let [reader, absent, author] = people(&ctx).await;
    follow(&ctx, &reader, &author).await;
    follow(&ctx, &absent, &author).await;
    top(&ctx, &reader).await;
    let id = post(&ctx, &author).await;
    assert_eq!(bring(&ctx, PLENTY).await, 1);
    assert_eq!(list(&ctx, &reader).await, [id, 0]);
    assert_eq!(list(&ctx, &absent).await, [] as [i64; 0]);
    let mut connection = ctx.redis.patient_connection().await.unwrap();
    let mut call = redis::cmd("TTL");
    call.arg(ctx.redis.key(&format!("tl:{}", reader.id)));
    let seconds: i64 = call.query_async(&mut connection).await.unwrap();
    assert!((604_000..=604_800).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn several_workers_bring_every_post_once_and_deleted_ones_never() {
    let (database, redis) = (testing::database().await, testing::redis().await);
    let workers = replicas(&database, &redis);
    let ctx = &workers[0];
    let [reader, author] = people(ctx).await;
    follow(ctx, &reader, &author).await;
    top(ctx, &reader).await;
    let all = posts(ctx, &author, 700).await;
    delete(ctx, all[10]).await;
    let pushes = tokio::join!(
        bring(&workers[0], PLENTY),
        bring(&workers[1], PLENTY),
        bring(&workers[2], PLENTY)
    );
    assert_eq!(pushes.0 + pushes.1 + pushes.2, 699);
    assert_eq!(timelines::waiting(ctx).await.unwrap(), 0);
    let expected = newest_first(all.iter().copied().filter(|id| *id != all[10]));
    assert_eq!(list(ctx, &reader).await, [&expected[..], &[0]].concat());
    let found = domain::posts::by_entries(ctx, Some(UserId(reader.id.0)), &[PostId(all[10])]).await;
    assert!(found.unwrap().is_empty());
}
