//! Seeded people, whom they follow, and the counts of both. No posts.

use std::collections::HashSet;

use anyhow::Context as _;
use argon2::{Argon2, password_hash::PasswordHasher as _};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::{Connection as _, PgConnection};

use super::{PEOPLE_STEP, SeedArgs, copy, next_id, used, words::skewed};
use crate::progress::Progress;

/// The first so many accounts are followed by most people; above 14,000 people they are large ones.
const FAMOUS: usize = 3;
/// By so many of ten.
const FAMOUS_BY: u32 = 7;

/// Everybody who is already seeded: number and place among them, in order.
pub(super) async fn known(db: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT id FROM users WHERE username ~ '^seed[0-9]+$' AND deleted_at IS NULL ORDER BY id",
    )
    .fetch_all(db)
    .await
}

/// Adds people until there are as many as asked for.
pub(super) async fn fill(
    db: &mut PgConnection,
    args: &SeedArgs,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut people = known(db).await?;
    let wanted = usize::try_from(args.people)?;
    if people.len() >= wanted {
        return Ok(());
    }
    // One for all: a hash takes tens of milliseconds.
    let hash = Argon2::default()
        .hash_password(args.password.as_bytes())
        .map_err(|error| anyhow::anyhow!("the password cannot be hashed: {error}"))?
        .to_string();
    let mut number: i64 = sqlx::query_scalar(
        "SELECT coalesce(max(substr(username, 5)::bigint), 0) FROM users WHERE username ~ '^seed[0-9]{1,15}$'",
    )
    .fetch_one(&mut *db)
    .await?;
    progress.begin("people", i64::try_from(people.len())?, args.people);
    while people.len() < wanted {
        let count = (wanted - people.len()).min(usize::try_from(PEOPLE_STEP)?);
        let mut transaction = db.begin().await?;
        let first = next_id(&mut transaction, "users").await?;
        let new: Vec<i64> = (first..).take(count).collect();
        let lines: String = new
            .iter()
            .map(|id| {
                number += 1;
                format!("{id}\tseed{number}\tSeed {number}\t{hash}\n")
            })
            .collect();
        copy(
            &mut transaction,
            "users (id, username, display_name, password_hash)",
            lines,
        )
        .await?;
        let last = first + i64::try_from(count)? - 1;
        used(&mut transaction, "users", last).await?;
        people.extend(&new);
        let lines = follows(&people, count, args.follows, first.unsigned_abs());
        copy(
            &mut transaction,
            "follows (follower_id, followed_id)",
            lines,
        )
        .await?;
        sqlx::query(
            "INSERT INTO user_counts AS c (user_id, followers, followed)
             SELECT id, sum(followers), sum(followed)
             FROM (SELECT follower_id AS id, 0 AS followers, 1 AS followed FROM follows WHERE follower_id BETWEEN $1 AND $2
                   UNION ALL SELECT followed_id, 1, 0 FROM follows WHERE follower_id BETWEEN $1 AND $2) side
             GROUP BY id ORDER BY id
             ON CONFLICT (user_id) DO UPDATE
                 SET followers = c.followers + excluded.followers, followed = c.followed + excluded.followed",
        )
        .bind(first)
        .bind(last)
        .execute(&mut *transaction)
        .await
        .context("the counts of follows could not be written")?;
        transaction.commit().await?;
        progress.at(i64::try_from(people.len())?);
    }
    Ok(())
}

/// Whom the last `count` of `people` follow: the famous, and others among everybody who is there.
fn follows(people: &[i64], count: usize, each: u32, seed: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    let mut lines = String::new();
    let mut chosen = HashSet::new();
    for follower in &people[people.len() - count..] {
        chosen.clear();
        for famous in people.iter().take(FAMOUS) {
            if random.random_ratio(FAMOUS_BY, 10) {
                chosen.insert(*famous);
            }
        }
        // From none to twice as many as asked for.
        for _ in 0..random.random_range(0..=2 * each) {
            chosen.insert(people[skewed(&mut random, people.len(), 2.0)]);
        }
        chosen.remove(follower);
        for followed in &chosen {
            lines += &format!("{follower}\t{followed}\n");
        }
    }
    lines
}

/// Accounts with too many followers to write to their timelines. The worker says so when it next brings a post of
/// theirs; nothing of what is seeded is brought.
pub(super) async fn mark_large(db: &mut PgConnection, above: i32) -> sqlx::Result<()> {
    sqlx::query("UPDATE user_counts SET is_large = true WHERE followers > $1 AND NOT is_large")
        .bind(above)
        .execute(db)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_follows_themselves_or_anybody_twice_and_most_follow_the_famous() {
        let people: Vec<i64> = (1..=1_000).collect();
        let lines = follows(&people, 1_000, 10, 7);
        let pairs: Vec<(i64, i64)> = lines
            .lines()
            .map(|line| {
                let (a, b) = line.split_once('\t').unwrap();
                (a.parse().unwrap(), b.parse().unwrap())
            })
            .collect();
        assert!(pairs.iter().all(|(a, b)| a != b));
        assert_eq!(pairs.iter().collect::<HashSet<_>>().len(), pairs.len());
        let of_the_first = pairs.iter().filter(|(_, b)| *b == 1).count();
        assert!((650..900).contains(&of_the_first), "{of_the_first}");
        assert!((8_000..13_000).contains(&pairs.len()), "{}", pairs.len());
    }
}
