//! What is in a home timeline, in which order, and what reading it asks of PostgreSQL.

use domain::{Ctx, config::CacheConfig, testing, timelines, users::User};
use prometheus::Registry;

use super::*;
use crate::statements::Statements;

const UNFOLLOW: &str = "DELETE FROM follows WHERE follower_id = $1 AND followed_id = $2";
const MUTE: &str = "INSERT INTO mutes (muter_id, muted_id) VALUES ($1, $2)";
const UNMUTE: &str = "DELETE FROM mutes WHERE muter_id = $1 AND muted_id = $2";
const BLOCK: &str = "INSERT INTO blocks (blocker_id, blocked_id) VALUES ($1, $2)";
const UNBLOCK: &str = "DELETE FROM blocks WHERE blocker_id = $1 AND blocked_id = $2";

async fn between(ctx: &Ctx, sql: &'static str, who: &User, whom: &User) {
    run(ctx, sql, &[who.id.0, whom.id.0]).await;
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
        "UPDATE user_counts SET is_large = true WHERE user_id = $1",
        &[large.id.0],
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
    run(&ctx, "TRUNCATE fanouts", &[]).await;
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
    run(ctx, "UPDATE posts SET deleted_at = now()", &[]).await;
    timelines::forget(ctx, reader.id).await;
    assert_eq!(top(ctx, reader).await, [] as [i64; 0]);
    assert_eq!(
        list(ctx, reader).await,
        [0],
        "an empty timeline is remembered"
    );
    run(ctx, "UPDATE posts SET deleted_at = NULL", &[]).await;
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

    between(&ctx, UNFOLLOW, &reader, &a).await;
    assert_eq!(
        top(&ctx, &reader).await,
        [shared, by_d, by_c, by_b],
        "nor answers to them"
    );
    between(&ctx, MUTE, &reader, &b).await;
    assert_eq!(top(&ctx, &reader).await, [shared, by_d, by_c]);
    delete(&ctx, by_c).await;
    assert_eq!(top(&ctx, &reader).await, [shared, by_d]);
    for [who, whom] in [[&reader, &e], [&e, &reader]] {
        between(&ctx, BLOCK, who, whom).await;
        assert_eq!(
            top(&ctx, &reader).await,
            [by_d],
            "nor what others share of theirs"
        );
        between(&ctx, UNBLOCK, who, whom).await;
        assert_eq!(top(&ctx, &reader).await, [shared, by_d]);
    }
    between(&ctx, MUTE, &reader, &e).await;
    assert_eq!(top(&ctx, &reader).await, [by_d]);
    between(&ctx, UNMUTE, &reader, &e).await;
    delete(&ctx, by_e).await;
    assert_eq!(
        top(&ctx, &reader).await,
        [by_d],
        "a repost goes with its post"
    );
    for [who, whom] in [[&reader, &d], [&d, &reader]] {
        between(&ctx, BLOCK, who, whom).await;
        assert_eq!(top(&ctx, &reader).await, [] as [i64; 0]);
        between(&ctx, UNBLOCK, who, whom).await;
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
    between(&ctx, MUTE, &reader, &loud).await;
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
    between(&ctx, UNFOLLOW, &third, &grows).await;
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
async fn the_statements_of_a_read_do_not_grow_with_those_one_follows() {
    let ctx = testing::ctx().await;
    let statements = Statements::watch();
    for count in [0, 10, 500] {
        let [reader] = people(&ctx).await;
        run(
            &ctx,
            "INSERT INTO users (username, password_hash) SELECT 'f' || $1 || '-' || n, '' FROM generate_series(1, $2) n",
            &[reader.id.0, count],
        )
        .await;
        for sql in [
            "INSERT INTO follows SELECT $1, id FROM users WHERE id > $1",
            "INSERT INTO posts (user_id, content) SELECT followed_id, 'post ' || n FROM follows, generate_series(1, 5) n
             WHERE follower_id = $1",
            "UPDATE user_counts SET is_large = true WHERE user_id % 10 = 0 AND user_id > $1",
        ] {
            run(&ctx, sql, &[reader.id.0]).await;
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
