//! Posts that people keep for themselves; nobody else learns of it, and nothing counts them.

mod queries;

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::{
    Ctx, Result,
    ids::{PostId, UserId},
    page::{Limit, Page},
    posts::{self, PostView},
    users::User,
};

/// Keeps a post, once however often it is asked for; answers the post.
///
/// # Errors
/// [`crate::Error::NotFound`], also for a repost (it is the original that is kept) and for what is hidden from the
/// caller.
pub async fn add(ctx: &Ctx, caller: &User, id: PostId) -> Result<PostView> {
    posts::get(ctx, Some(caller.id), id).await?;
    queries::insert(&ctx.db, caller.id, id).await?;
    posts::get(ctx, Some(caller.id), id).await
}

/// Keeps a post no more; answers the post.
///
/// # Errors
/// [`crate::Error::NotFound`], also for what is hidden from the caller.
pub async fn remove(ctx: &Ctx, caller: &User, id: PostId) -> Result<PostView> {
    posts::get(ctx, Some(caller.id), id).await?;
    queries::delete(&ctx.db, caller.id, id).await?;
    posts::get(ctx, Some(caller.id), id).await
}

/// The posts that the caller keeps, those first that were kept last; continued below the bookmark's number `before`.
/// Without those that are deleted or hidden from the caller by now.
///
/// # Errors
/// Those of the database.
pub async fn list(
    ctx: &Ctx,
    caller: &User,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<PostView>> {
    let before = before.unwrap_or(i64::MAX);
    let rows = queries::list(&ctx.db, caller.id, before, limit.probe()).await?;
    let kept = Page::from_probe(rows, limit, |row| row.id);
    let ids: Vec<PostId> = kept.items.iter().map(|row| row.post).collect();
    let posts = posts::by_entries(ctx, Some(caller.id), &ids).await?;
    let mut posts: HashMap<PostId, PostView> =
        posts.into_iter().map(|post| (post.id, post)).collect();
    Ok(Page {
        items: ids.iter().filter_map(|id| posts.remove(id)).collect(),
        next: kept.next,
    })
}

/// Removes every bookmark of an account, as part of its deletion.
pub(crate) async fn remove_all(tx: &mut PgConnection, user: UserId) -> Result<()> {
    Ok(queries::remove_all(tx, user).await?)
}
