//! Home timelines. Only what others need of them yet; the rest is being written.

use deadpool_redis::redis;

use crate::{Ctx, ids::UserId};

/// Drops somebody's home timeline; the next read makes it anew. Never fails: without Redis there is none.
pub async fn forget(ctx: &Ctx, user: UserId) {
    let key = ctx.redis.key(&format!("tl:{user}"));
    let _there_is_none = ctx
        .redis
        .optional(|mut connection| async move {
            redis::cmd("DEL").arg(key).exec_async(&mut connection).await
        })
        .await;
}
