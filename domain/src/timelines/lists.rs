//! Home timelines in Redis: for everybody who has looked within a week, the ids of the newest entries by those whom they
//! follow, large accounts left out.
//!
//! A list is in order, newest first and without duplicates; its scripts see to that. Its last element says how far it
//! goes: 0, there is nothing older; an entry, the list is complete down to it and the database knows the rest; a
//! number below 0, somebody is making it. A list that is not there is made from the database by the next look.

use std::{sync::Arc, time::Duration};

use deadpool_redis::redis::{self, Script, aio::ConnectionManager};
use moka::future::Cache;
use tokio::sync::Mutex;

use crate::{
    cache::{CacheMetrics, Outcome},
    config::CacheConfig,
    ids::UserId,
    redis::{Redis, RedisDown},
};

/// The label of these lists in `cache_requests_total`.
const NAME: &str = "home";
/// The most elements of a list. Ids take six to ten bytes each in Redis' packed lists.
pub(super) const MOST: usize = 800;
/// How many are left when there would be more: so that a full list is not cut at every push.
const LEFT: usize = 760;
/// How long a list stays after its owner's last look, in seconds.
const KEPT: u64 = 7 * 24 * 60 * 60;
/// Lists that one process makes at a time without two requests for the same person making the same one.
const MAKERS: u64 = 10_000;
/// Between two tries to drop a list that could not be dropped, and how many there are: half an hour.
const FORGET_PAUSE: Duration = Duration::from_secs(2);
const FORGET_TRIES: usize = 900;

/// Some entries of a timeline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Newest first.
    pub ids: Vec<i64>,
    /// There are no others from here on upwards, but for what is not in lists.
    pub end: i64,
}

impl Window {
    /// The first `count` of `ids`, which are all there are down to `end`.
    pub fn of(mut ids: Vec<i64>, end: i64, count: usize) -> Self {
        if ids.len() > count {
            ids.truncate(count);
            let end = ids.last().copied().unwrap_or(end);
            Self { ids, end }
        } else {
            Self { ids, end }
        }
    }
}

/// What Redis says of somebody's list.
pub(super) enum Look {
    /// What was asked for, as far as the list goes.
    There(Window),
    /// It has to be made.
    Missing,
    /// Redis is down, or is not to be asked.
    Unknown,
}

/// Entries that are brought together, in as many calls as it takes.
pub(super) struct Batch {
    /// The oldest of all.
    pub lowest: i64,
    /// The newest of all.
    pub highest: i64,
    name: u64,
}

impl Batch {
    pub fn new(lowest: i64, highest: i64) -> Self {
        Self {
            lowest,
            highest,
            name: rand::random(),
        }
    }
}

/// What one [`HomeLists::push`] is to bring, flat, as its script takes it.
#[derive(Default)]
pub(super) struct Part {
    keys: Vec<String>,
    entries: Vec<i64>,
    /// How many entries for lists.
    pub size: usize,
}

impl Part {
    /// `ids`, the oldest first, for one reader's list.
    pub fn add(&mut self, lists: &HomeLists, reader: UserId, ids: &[i64]) {
        self.keys.push(lists.key(reader));
        self.entries.push(i64::try_from(ids.len()).unwrap_or(0));
        self.entries.extend(ids);
        self.size += ids.len();
    }
}

/// The lists as one process sees them.
pub struct HomeLists {
    redis: Redis,
    active: bool,
    metrics: CacheMetrics,
    makers: Cache<UserId, Arc<Mutex<()>>>,
    begin: Script,
    finish: Script,
    push: Script,
}

impl HomeLists {
    pub(crate) fn new(redis: Redis, config: &CacheConfig, metrics: CacheMetrics) -> Self {
        Self {
            redis,
            active: config.cache_active,
            metrics,
            makers: Cache::builder()
                .max_capacity(MAKERS)
                .time_to_idle(Duration::from_secs(10))
                .build(),
            begin: Script::new(include_str!("begin.lua")),
            finish: Script::new(include_str!("finish.lua")),
            push: Script::new(include_str!("push.lua")),
        }
    }

    fn key(&self, reader: UserId) -> String {
        self.redis.key(&format!("tl:{reader}"))
    }

    /// Where it is kept above what no list has an entry.
    fn mark(&self) -> String {
        self.redis.key("tl:mark")
    }

    /// The newest `count` entries below `before` of somebody's list, which is kept for another week.
    pub(super) async fn look(&self, reader: UserId, before: i64, count: usize) -> Look {
        if !self.active {
            return Look::Unknown;
        }
        let key = self.key(reader);
        // The list is in order, so the first page needs no more than its head.
        let last = if before == i64::MAX {
            isize::try_from(count).unwrap_or(isize::MAX)
        } else {
            -1
        };
        let found: Result<(Vec<i64>, Option<i64>), _> = self
            .redis
            .optional(|mut connection| async move {
                redis::pipe()
                    .lrange(&key, 0, last)
                    .lindex(&key, -1)
                    .expire(&key, i64::try_from(KEPT).unwrap_or(i64::MAX))
                    .ignore()
                    .query_async(&mut connection)
                    .await
            })
            .await;
        match found {
            Ok((ids, Some(tail))) if tail >= 0 => Look::There(window(ids, tail, before, count)),
            Ok(_) => Look::Missing,
            Err(RedisDown(_)) => Look::Unknown,
        }
    }

    /// Counts a look by what became of it.
    pub(super) fn count(&self, outcome: Outcome) {
        self.metrics.count(NAME, outcome);
    }

    /// Lets one request of this process make a list while others for the same person wait.
    pub(super) async fn maker(&self, reader: UserId) -> Arc<Mutex<()>> {
        self.makers.get_with(reader, async { Arc::default() }).await
    }

    /// Announces that a list is being made; answers the mark to finish it with, or nothing if there is a list after all
    /// or no Redis.
    pub(super) async fn begin(&self, reader: UserId) -> Option<i64> {
        // As large as a number of Lua's may be.
        let mark = -rand::random_range(1..1_i64 << 52);
        let mut call = self.begin.key(self.key(reader));
        call.arg(mark).arg(KEPT);
        let begun: Result<bool, _> = self
            .redis
            .optional(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await;
        (begun.ok()?).then_some(mark)
    }

    /// Stores a list that was read after [`Self::begin`], with what has been pushed to it meanwhile. Nothing happens when
    /// it was forgotten in between, or Redis is down.
    pub(super) async fn finish(&self, reader: UserId, mark: i64, ids: &[i64], is_all: bool) {
        let mut call = self.finish.key(self.key(reader));
        call.key(self.mark());
        call.arg(mark).arg(MOST).arg(KEPT).arg(ids);
        if is_all {
            call.arg(0);
        }
        let _made_by_the_next_look: Result<(), _> = self
            .redis
            .optional(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await;
    }

    /// Puts new entries into those lists that are there. Answers for how many entries a list was there.
    ///
    /// # Errors
    /// When Redis does not answer; entries may have arrived all the same, and may be pushed again.
    pub(super) async fn push(
        &self,
        connection: &mut ConnectionManager,
        batch: &Batch,
        part: &Part,
    ) -> redis::RedisResult<u64> {
        let mut call = self.push.key(self.mark());
        for key in &part.keys {
            call.key(key);
        }
        call.arg(MOST).arg(LEFT);
        call.arg(batch.lowest).arg(batch.highest).arg(batch.name);
        call.arg(&part.entries);
        call.invoke_async(connection).await
    }

    /// Drops a list. When Redis is down it is tried again for a while in the background: the list would lack what its
    /// owner sees more of by now.
    pub(super) async fn drop_list(self: &Arc<Self>, reader: UserId) {
        if self.try_to_drop(reader).await {
            return;
        }
        let lists = Arc::clone(self);
        tokio::spawn(async move {
            for _ in 0..FORGET_TRIES {
                tokio::time::sleep(FORGET_PAUSE).await;
                if lists.try_to_drop(reader).await {
                    return;
                }
            }
        });
    }

    async fn try_to_drop(&self, reader: UserId) -> bool {
        let key = self.key(reader);
        let dropped = self.redis.always(|mut connection| async move {
            redis::cmd("DEL").arg(key).exec_async(&mut connection).await
        });
        dropped.await.is_ok()
    }
}

/// What of a list's head `ids` is below `before`; `tail` is the list's last element.
fn window(mut ids: Vec<i64>, tail: i64, before: i64, count: usize) -> Window {
    let reaches_tail = ids.last() == Some(&tail);
    ids.retain(|id| (1..before).contains(id));
    let end = match (reaches_tail, ids.last()) {
        // Below its end the list knows nothing.
        (true, _) => tail.min(before),
        (false, Some(last)) => *last,
        (false, None) => before,
    };
    Window::of(ids, end, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_window_holds_what_the_list_has_and_says_how_far_it_goes(
            mut list in proptest::collection::btree_set(1_i64..2_000, 0..60),
            is_all: bool, before in 1_i64..2_000, from_the_top: bool, count in 1_usize..40
        ) {
            if is_all || list.is_empty() {
                list.insert(0);
            }
            let tail = *list.first().unwrap();
            let elements: Vec<i64> = list.iter().rev().copied().collect();
            let before = if from_the_top { i64::MAX } else { before };
            let head = if from_the_top { elements.iter().take(count + 1).copied().collect() } else { elements.clone() };
            let window = window(head, tail, before, count);
            let below: Vec<i64> = elements.iter().copied().filter(|id| *id > 0 && *id < before).collect();
            prop_assert_eq!(&window.ids, &below[..below.len().min(count)]);
            // All that the list has from `end` up to `before` is there, and it ends above nothing it does not know.
            prop_assert!(below.iter().filter(|id| **id >= window.end).eq(&window.ids));
            prop_assert!(window.end >= tail.min(before) && window.end <= before);
            if below.len() > count { prop_assert_eq!(window.end, *window.ids.last().unwrap()); }
            else { prop_assert_eq!(window.end, tail.min(before)); }
        }
    }
}
