//! What happens, told to whoever is looking: use cases publish events after their COMMIT, every API replica hears them
//! through Redis and passes on to its open streams what concerns them. Nothing here is the truth of anything: an event
//! that is lost costs a reader a reload.
//!
//! Also what a replica must know to pass events on to the right ones, and what a stream has missed that is resumed. The
//! streams themselves are the API's.

mod listen;
mod model;
mod queries;

pub use listen::{Heard, listen};
pub use model::{Audience, Feed, Mark, Missed, MissedPosts, Verdict, Viewer};

use std::collections::HashMap;

use deadpool_redis::redis;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Ctx, Result,
    ids::{PostId, UserId},
    notifications,
    redis::Redis,
};

/// How many posts a stream can watch.
pub const MAX_WATCHED: usize = 100;
/// The most posts that a resumed stream is told of; whoever missed more had better load the page again.
pub const MAX_MISSED: usize = 50;
/// The longest absence that can be made good, in milliseconds: an hour. What a page shows after that is old anyway.
const MAX_ABSENCE: i64 = 3_600_000;
/// A verdict's time is PostgreSQL's, a mark's time is the replica's; they may differ by this many milliseconds.
const CLOCKS_DIFFER: i64 = 5_000;

/// The channel's name under the stack's prefix.
const CHANNEL: &str = "live";

/// A post that has reached home timelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Its number.
    pub post: PostId,
    /// Who wrote it; for a repost, who reposted.
    pub author: UserId,
    /// Whom else it answers: it is at home only with those who follow, or are, both.
    pub answered: Option<UserId>,
    /// Whose post a repost shows: it is not at home with those who hide that person.
    pub original: Option<UserId>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Posts that have reached the home timelines of their authors' followers.
    Posts {
        /// Which.
        posts: Vec<Arrival>,
    },
    /// The analysis of a post has changed.
    Analysis {
        /// Which post.
        post: PostId,
        /// Whose.
        author: UserId,
    },
    /// A post has other counts now.
    Counts {
        /// Which post.
        post: PostId,
        /// How many people like it.
        likes: i32,
        /// How many people have reposted it.
        reposts: i32,
        /// How many posts answer it.
        replies: i32,
    },
    /// Somebody has a new notification, or has read some.
    Notification {
        /// Who.
        user: UserId,
        /// The newest one's number, if it is a new one.
        id: Option<i64>,
        /// How many are unread now.
        unread: i64,
    },
    /// Somebody sees more or less of somebody else from now on: a follow, block or mute came or went.
    Relation {
        /// Whose view has changed.
        viewer: UserId,
    },
}

/// Tells every replica, in one call. Never fails: without Redis nobody is told.
pub async fn publish(ctx: &Ctx, events: &[Event]) {
    send(&ctx.redis, events).await;
}

async fn send(redis: &Redis, events: &[Event]) {
    if events.is_empty() {
        return;
    }
    let channel = redis.key(CHANNEL);
    let mut pipe = redis::pipe();
    for event in events {
        // These types hold nothing that JSON cannot.
        if let Ok(text) = serde_json::to_vec(event) {
            pipe.cmd("PUBLISH").arg(&channel).arg(text).ignore();
        }
    }
    let _nobody_is_told = redis
        .optional(|mut connection| async move { pipe.exec_async(&mut connection).await })
        .await;
}

/// Whom each of these people follows, has muted, and has a block with; in any order.
///
/// # Errors
/// Those of the database.
pub async fn audiences(ctx: &Ctx, viewers: &[UserId]) -> Result<Vec<Audience>> {
    Ok(queries::audiences(&ctx.db, viewers).await?)
}

/// Those of `posts` that this viewer may see, each with its author.
///
/// # Errors
/// Those of the database.
pub async fn visible(
    ctx: &Ctx,
    viewer: Option<UserId>,
    posts: &[PostId],
) -> Result<HashMap<PostId, UserId>> {
    if posts.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(queries::visible(&ctx.db, viewer, posts).await?)
}

/// Who wrote these posts, as far as there are such posts.
///
/// # Errors
/// Those of the database.
pub async fn authors(ctx: &Ctx, posts: &[PostId]) -> Result<HashMap<PostId, UserId>> {
    visible(ctx, None, posts).await
}

/// Those of `posts` that are in the public feed, newest first.
///
/// # Errors
/// Those of the database.
pub async fn public(ctx: &Ctx, posts: &[PostId]) -> Result<Vec<(PostId, UserId)>> {
    Ok(queries::public(&ctx.db, posts).await?)
}

/// The analyses of these posts as they are now.
///
/// # Errors
/// Those of the database.
pub async fn verdicts(ctx: &Ctx, posts: &[PostId]) -> Result<Vec<Verdict>> {
    Ok(queries::verdicts(&ctx.db, posts, None).await?)
}

/// Those of these sessions that still count.
///
/// # Errors
/// Those of the database.
pub async fn lasting(ctx: &Ctx, sessions: &[Uuid]) -> Result<Vec<Uuid>> {
    Ok(queries::lasting(&ctx.db, sessions, ctx.clock.now()).await?)
}

/// The number of the newest post; 0 when there is none.
///
/// # Errors
/// Those of the database.
pub async fn newest(ctx: &Ctx) -> Result<PostId> {
    Ok(queries::newest(&ctx.db).await?)
}

/// What a stream has missed since `mark`. `watched` are posts that the viewer may see.
///
/// # Errors
/// Those of the database.
pub async fn missed(
    ctx: &Ctx,
    viewer: Option<UserId>,
    feed: Feed,
    watched: &[PostId],
    mark: Mark,
) -> Result<Missed> {
    let now = ctx.clock.now().timestamp_millis();
    if now.saturating_sub(mark.millis) > MAX_ABSENCE {
        return Ok(Missed::too_much());
    }
    // A mark from the future, of a clock that is ahead or of whoever made it up, is one of this moment.
    let since = chrono::DateTime::from_timestamp_millis(mark.millis.min(now) - CLOCKS_DIFFER);
    let posts = queries::posts_since(&ctx.db, viewer, feed, mark.post).await?;
    let own = match viewer {
        Some(viewer) => queries::own(&ctx.db, viewer).await?,
        None => Vec::new(),
    };
    let of: Vec<PostId> = [watched, &own].concat();
    Ok(Missed {
        posts: match posts.len() > MAX_MISSED {
            true => MissedPosts::TooMany,
            false => MissedPosts::These(posts),
        },
        verdicts: queries::verdicts(&ctx.db, &of, since).await?,
        // Counts and unread notifications have no history; they are told as they are.
        counts: queries::counts(&ctx.db, watched).await?,
        notifications: match viewer {
            Some(viewer) => {
                let newest = queries::newest_notification(&ctx.db, viewer).await?;
                Some((newest, notifications::unread(ctx, viewer).await?))
            }
            None => None,
        },
    })
}
