//! Posts that answer each other, and what a post said before.

use super::{Edit, PostView, Thread, by_entries, get, queries};
use crate::{
    Ctx, Error, Result,
    ids::{PostId, UserId},
    page::{Limit, Page},
};

/// So many posts above one are shown with it, the nearest ones.
pub const ANCESTORS_MAX: usize = 50;
/// So many texts of one post are shown, the newest ones.
pub const HISTORY_MAX: usize = 100;

/// A post with what it answers and the answers above the id `after`.
///
/// # Errors
/// [`Error::NotFound`], also for what is hidden from the viewer.
pub async fn thread(
    ctx: &Ctx,
    viewer: Option<UserId>,
    id: PostId,
    after: Option<i64>,
    limit: Limit,
) -> Result<Thread> {
    let mut ids = queries::ancestors(&ctx.db, id, ANCESTORS_MAX as i32).await?;
    ids.push(id);
    let mut posts = by_entries(ctx, viewer, &ids).await?;
    // An answer is younger than what it answers, so the post comes first.
    posts.reverse();
    let post = posts
        .pop()
        .filter(|post| post.id == id)
        .ok_or(Error::NotFound("post"))?;
    Ok(Thread {
        ancestors: posts,
        post,
        replies: answers(ctx, viewer, id, after, limit).await?,
    })
}

/// The answers to a post above the id `after`, oldest first.
///
/// # Errors
/// [`Error::NotFound`], also for what is hidden from the viewer.
pub async fn replies(
    ctx: &Ctx,
    viewer: Option<UserId>,
    id: PostId,
    after: Option<i64>,
    limit: Limit,
) -> Result<Page<PostView>> {
    get(ctx, viewer, id).await?;
    answers(ctx, viewer, id, after, limit).await
}

async fn answers(
    ctx: &Ctx,
    viewer: Option<UserId>,
    id: PostId,
    after: Option<i64>,
    limit: Limit,
) -> Result<Page<PostView>> {
    let rows = queries::replies(&ctx.db, viewer, id, after.unwrap_or(0), limit.probe()).await?;
    Ok(Page::from_probe(rows, limit, |post| post.id.0))
}

/// What a post says and said before, oldest first; the newest [`HISTORY_MAX`] texts.
///
/// # Errors
/// [`Error::NotFound`], also for what is hidden from the viewer.
pub async fn history(ctx: &Ctx, viewer: Option<UserId>, id: PostId) -> Result<Vec<Edit>> {
    get(ctx, viewer, id).await?;
    Ok(queries::history(&ctx.db, id, HISTORY_MAX as i64).await?)
}
