//! Posts: write, read, change, delete; the feed.

pub mod cache;
mod model;
mod queries;

pub use cache::FeedPage;
pub use model::{PostText, PostView, ReplyTo, Repost, ViewerFlags};

use std::sync::Arc;

use sqlx::{Postgres, Transaction};

use crate::{
    Ctx, Error, Result,
    analysis::AnalysisView,
    ids::{PostId, UserId},
    jobs::AnalyzePost,
    page::{Limit, Page},
    users::User,
};

/// A new post.
pub struct NewPost {
    /// What it says.
    pub text: PostText,
    /// The request that brings it, so that it can be followed to its verdict.
    pub request_id: String,
}

/// Writes a post. When this returns, every read that starts afterwards sees it, on any replica, and a worker has
/// been told of it or will find it.
///
/// # Errors
/// Those of the database.
pub async fn create(ctx: &Ctx, author: &User, new: NewPost) -> Result<PostView> {
    let (ctx, author) = (ctx.clone(), author.clone());
    crate::to_the_end(async move {
        let row = queries::insert(&ctx.db, author.id, &new.text, &new.request_id).await?;
        announce(&ctx, row.id, row.revision, new.request_id).await;
        // Put together here and not read again: it saves every writer a statement.
        Ok(PostView {
            entry: row.id,
            id: row.id,
            content: new.text.as_str().to_owned(),
            user_id: author.id,
            username: author.username,
            display_name: row.display_name,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: None,
            edited: false,
            reply_to: None,
            thread_id: None,
            likes: 0,
            reposts: 0,
            replies: 0,
            repost: None,
            viewer: Some(ViewerFlags::default()),
            analysis: Some(AnalysisView::pending()),
        })
    })
    .await
}

/// What follows a COMMIT that wrote a text: the feed's new version and the hint, side by side.
async fn announce(ctx: &Ctx, post_id: PostId, revision: i32, request_id: String) {
    let hint = AnalyzePost {
        post_id,
        revision,
        request_id,
    };
    tokio::join!(ctx.feed.bump(), ctx.jobs.hint(hint));
}

/// One post, as `viewer` may see it.
///
/// # Errors
/// [`Error::NotFound`], which is also what somebody hears who is blocked.
pub async fn get(ctx: &Ctx, viewer: Option<UserId>, id: PostId) -> Result<PostView> {
    queries::find(&ctx.db, viewer, id, false)
        .await?
        .ok_or(Error::NotFound("post"))
}

/// The entries of a list as `viewer` may see them, newest first, in one statement. Left out are those that are deleted
/// or between people with a block.
///
/// # Errors
/// Those of the database.
pub async fn by_entries(
    ctx: &Ctx,
    viewer: Option<UserId>,
    entries: &[PostId],
) -> Result<Vec<PostView>> {
    Ok(queries::by_entries(&ctx.db, viewer, entries).await?)
}

/// The feed's first page, rendered and cached. `render` must give the same bytes for the same posts wherever it
/// runs, since replicas share what it made.
///
/// # Errors
/// Those of the database.
pub async fn feed(
    ctx: &Ctx,
    limit: Limit,
    render: fn(&[PostView]) -> Vec<u8>,
) -> Result<Arc<FeedPage>> {
    ctx.feed
        .page(limit, render, || page(ctx, None, None, limit))
        .await
}

/// Posts of everybody below the id `before` as `viewer` may and wants to see them, newest first.
///
/// # Errors
/// Those of the database.
pub async fn page(
    ctx: &Ctx,
    viewer: Option<UserId>,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<PostView>> {
    let before = before.unwrap_or(i64::MAX);
    let rows = queries::page(&ctx.db, viewer, before, limit.probe()).await?;
    Ok(Page::from_probe(rows, limit, |post| post.entry.0))
}

/// Why a change of `id` by `author` found nothing to change.
async fn refusal(ctx: &Ctx, caller: UserId, id: PostId) -> Error {
    match get(ctx, Some(caller), id).await {
        Ok(_) => Error::Forbidden("this post is somebody else's"),
        Err(error) => error,
    }
}

/// Changes the text of one's own post; a new text is judged anew.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`] (not one's own).
pub async fn update(ctx: &Ctx, author: &User, id: PostId, new: NewPost) -> Result<PostView> {
    let (ctx, author) = (ctx.clone(), author.id);
    crate::to_the_end(async move {
        let updated = queries::update(&ctx.db, id, author, &new.text, &new.request_id).await?;
        let Some(revision) = updated else {
            return Err(refusal(&ctx, author, id).await);
        };
        announce(&ctx, id, revision, new.request_id).await;
        get(&ctx, Some(author), id).await
    })
    .await
}

/// Deletes one's own post; answers it as it was, with the time of its deletion.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`] (not one's own).
pub async fn delete(ctx: &Ctx, author: &User, id: PostId) -> Result<PostView> {
    let (ctx, author) = (ctx.clone(), author.id);
    crate::to_the_end(async move {
        if !queries::delete(&ctx.db, id, author).await? {
            return Err(refusal(&ctx, author, id).await);
        }
        ctx.feed.bump().await;
        queries::find(&ctx.db, Some(author), id, true)
            .await?
            .ok_or(Error::NotFound("post"))
    })
    .await
}

/// Deletes every post of an account, as part of the account's deletion.
pub(crate) async fn delete_all_of(
    tx: &mut Transaction<'_, Postgres>,
    author: UserId,
) -> Result<()> {
    Ok(queries::delete_all_of(&mut **tx, author).await?)
}
