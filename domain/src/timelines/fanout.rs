//! Bringing posts to the lists of their readers, for the worker.

use std::collections::HashMap;

use chrono::TimeDelta;
use deadpool_redis::redis::aio::ConnectionManager;

use super::{
    lists::{Batch, Part},
    queries::{self, Waiting},
};
use crate::{
    Ctx, Error, Result,
    ids::UserId,
    live::{self, Arrival, Event},
};

/// The most posts in one transaction.
const POSTS: i64 = 500;
/// About as many entries for lists in one transaction, which is then over in a fraction of a second.
const PUSHES: i64 = 50_000;
/// Entries in one call of Redis, which serves nobody else meanwhile: about a millisecond.
const CALL: usize = 500;

/// What one step has brought.
#[derive(Debug, Default)]
pub struct Brought {
    /// For each post how long it had waited since it was written.
    pub delays: Vec<TimeDelta>,
    /// Entries put into lists.
    pub pushes: u64,
    /// Whether posts wait that this step has left.
    pub more: bool,
}

/// Takes posts that wait and brings them to their readers. Any number may do so at once.
pub struct FanOut {
    ctx: Ctx,
    max_followers: i32,
    /// Its own, which rather waits than fails.
    connection: Option<ConnectionManager>,
}

impl FanOut {
    /// Posts of accounts with more than `max_followers` are left to their readers, for good.
    #[must_use]
    pub fn new(ctx: Ctx, max_followers: u32) -> Self {
        Self {
            ctx,
            max_followers: i32::try_from(max_followers).unwrap_or(i32::MAX),
            connection: None,
        }
    }

    /// Brings the oldest posts that wait to their readers, at most 500 of them, and tells the live streams. Either all
    /// of them count as brought or none; what has reached lists when a step fails is not doubled by the next.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database or Redis is down.
    pub async fn step(&mut self) -> Result<Brought> {
        // Spares an idle stack the transaction.
        if queries::waiting(&self.ctx.db, 1).await? == 0 {
            return Ok(Brought::default());
        }
        let mut connection = self.connection().await?;
        let mut tx = self.ctx.db.begin_with(queries::BEGIN).await?;
        let taken = queries::take(&mut *tx, POSTS, PUSHES, self.max_followers).await?;
        if taken.is_empty() {
            return Ok(Brought::default());
        }
        let lists = self.timelines(&mut tx, &taken).await?;
        let pushes = match self.push(&mut connection, &lists).await {
            Ok(pushes) => pushes,
            Err(error) => {
                self.connection = None;
                return Err(redis_down(error));
            }
        };
        let grown: Vec<UserId> = of(&taken, |post| post.has_grown);
        if !grown.is_empty() {
            tracing::info!(accounts = ?grown, "too many followers to write to: their readers look for their posts");
            queries::mark_large(&mut *tx, &grown).await?;
        }
        tx.commit().await?;
        self.announce(&taken).await;
        let now = self.ctx.clock.now();
        Ok(Brought {
            delays: taken.iter().map(|post| now - post.created_at).collect(),
            pushes,
            more: true,
        })
    }

    async fn connection(&mut self) -> Result<ConnectionManager> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection = self.ctx.redis.patient_connection().await;
        let connection = connection.map_err(redis_down)?;
        Ok(self.connection.insert(connection).clone())
    }

    /// The new entries of each reader's list, the oldest first.
    async fn timelines(
        &self,
        tx: &mut sqlx::PgConnection,
        taken: &[Waiting],
    ) -> Result<HashMap<i64, Vec<i64>>> {
        let mut written: HashMap<(UserId, Option<UserId>), Vec<i64>> = HashMap::new();
        for post in taken {
            if !(post.is_deleted || post.is_large || post.has_grown) {
                let posts = written.entry((post.author, post.answered)).or_default();
                posts.push(post.id.0);
            }
        }
        let (authors, answered): (Vec<_>, Vec<_>) = written.keys().copied().unzip();
        let mut lists: HashMap<i64, Vec<i64>> = HashMap::new();
        for readers in queries::readers(tx, &authors, &answered).await? {
            let posts = written.get(&(readers.author, readers.answered));
            for follower in readers.followers {
                lists
                    .entry(follower)
                    .or_default()
                    .extend(posts.into_iter().flatten());
            }
        }
        for entries in lists.values_mut() {
            entries.sort_unstable();
        }
        Ok(lists)
    }

    async fn push(
        &self,
        connection: &mut ConnectionManager,
        lists: &HashMap<i64, Vec<i64>>,
    ) -> deadpool_redis::redis::RedisResult<u64> {
        let entries = || lists.values().flatten().copied();
        let (Some(lowest), Some(highest)) = (entries().min(), entries().max()) else {
            return Ok(0);
        };
        let batch = Batch::new(lowest, highest);
        let (mut part, mut pushes) = (Part::default(), 0);
        for (reader, entries) in lists {
            part.add(&self.ctx.home, UserId(*reader), entries);
            if part.size >= CALL {
                pushes += self.ctx.home.push(connection, &batch, &part).await?;
                part = Part::default();
            }
        }
        if part.size > 0 {
            pushes += self.ctx.home.push(connection, &batch, &part).await?;
        }
        Ok(pushes)
    }

    async fn announce(&self, taken: &[Waiting]) {
        let there = taken.iter().filter(|post| !post.is_deleted);
        let arrival = |post: &Waiting| Arrival {
            post: post.id,
            author: post.author,
            answered: post.answered,
            original: post.original,
        };
        let posts: Vec<_> = there.map(arrival).collect();
        if !posts.is_empty() {
            live::publish(&self.ctx, &[Event::Posts { posts }]).await;
        }
    }
}

/// The authors of those posts that are so, each once.
fn of(posts: &[Waiting], is_so: impl Fn(&Waiting) -> bool) -> Vec<UserId> {
    let mut authors: Vec<UserId> = posts
        .iter()
        .filter(|post| is_so(post))
        .map(|post| post.author)
        .collect();
    authors.sort_unstable();
    authors.dedup();
    authors
}

fn redis_down(error: impl std::fmt::Display) -> Error {
    Error::Unavailable {
        what: "Redis",
        why: error.to_string(),
        retry_after: std::time::Duration::from_secs(1),
    }
}
