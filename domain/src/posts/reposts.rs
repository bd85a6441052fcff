//! Reposts: somebody's post, shown to one's own followers.

use super::{PostView, announce_counts, get, queries::writing};
use crate::{
    Ctx, Result,
    ids::PostId,
    notifications::{self, Kind, Notice},
    users::User,
};

/// Reposts a post, once however often it is asked for, and notifies its author; answers the post. One's own may be
/// reposted too.
///
/// # Errors
/// [`crate::Error::NotFound`], also for a repost (it is the original that is reposted) and for what is hidden from the
/// caller.
pub async fn repost(ctx: &Ctx, caller: &User, id: PostId) -> Result<PostView> {
    let (ctx, caller) = (ctx.clone(), caller.id);
    crate::to_the_end(async move {
        let mut tx = ctx.db.begin().await?;
        let author = writing::repost(&mut *tx, caller, id).await?;
        let notice = author.map(|to| Notice {
            to,
            actor: caller,
            kind: Kind::Repost,
            post: Some(id),
        });
        let told = notifications::notify(&mut tx, notice.as_slice()).await?;
        tx.commit().await?;
        let post = get(&ctx, Some(caller), id).await?;
        if author.is_some() {
            tokio::join!(
                announce_counts(&ctx, &post),
                notifications::announce(&ctx, told),
            );
        }
        Ok(post)
    })
    .await
}

/// Takes one's repost of a post back, if there is one; answers the post.
///
/// # Errors
/// [`crate::Error::NotFound`], also for what is hidden from the caller.
pub async fn unrepost(ctx: &Ctx, caller: &User, id: PostId) -> Result<PostView> {
    let (ctx, caller) = (ctx.clone(), caller.id);
    crate::to_the_end(async move {
        get(&ctx, Some(caller), id).await?;
        let changed = writing::unrepost(&ctx.db, caller, id).await?;
        let post = get(&ctx, Some(caller), id).await?;
        if changed {
            announce_counts(&ctx, &post).await;
        }
        Ok(post)
    })
    .await
}
