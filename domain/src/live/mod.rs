//! What happens, told to whoever is looking: use cases publish events after their COMMIT, every API replica hears them
//! through Redis and passes on to its open streams what concerns them. Nothing here is the truth of anything: an event
//! that is lost costs a reader a reload.

use deadpool_redis::redis;
use serde::{Deserialize, Serialize};

use crate::{
    Ctx,
    ids::{PostId, UserId},
    redis::Redis,
};

/// The channel's name under the stack's prefix.
const CHANNEL: &str = "live";

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Posts that have reached the home timelines of their authors' followers.
    Posts {
        /// Each with its author (for a repost, who reposted).
        posts: Vec<(PostId, UserId)>,
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
