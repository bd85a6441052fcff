//! Posts: reading them one by one and in lists; the feed. Writing is in `writing.rs`, answers in `conversation.rs`,
//! reposts in `reposts.rs`.

pub mod cache;
mod conversation;
pub mod entities;
mod model;
mod queries;
mod reposts;
mod together;
mod writing;

pub use cache::FeedPage;
pub use conversation::{ANCESTORS_MAX, HISTORY_MAX, history, replies, thread};
pub use model::{Edit, PostText, PostView, ReplyTo, Repost, Thread, ViewerFlags};
pub use reposts::{repost, unrepost};
pub(crate) use together::Together;
pub(crate) use writing::delete_all_of;
pub use writing::{NewPost, create, delete, update};

use std::sync::Arc;

use crate::{
    Ctx, Error, Result,
    ids::{PostId, UserId},
    live::{self, Event},
    page::{Limit, Page},
    relations,
};

/// One post, as `viewer` may see it.
///
/// # Errors
/// [`Error::NotFound`], which is also what somebody hears who is blocked.
pub async fn get(ctx: &Ctx, viewer: Option<UserId>, id: PostId) -> Result<PostView> {
    let found = match viewer {
        // Many look at a post that is talked about, and what they see is the same.
        None => ctx.posts.find(id).await?,
        Some(_) => Box::pin(queries::find(&ctx.db, viewer, id, false)).await?,
    };
    found.ok_or(Error::NotFound("post"))
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

/// A page of the feed as bytes: posts of everybody below the id `before`, newest first. The first page is rendered once
/// for everybody and cached, without anybody's flags; people who block or mute or are blocked get one of their own.
/// `render` must give the same bytes for the same posts wherever it runs, since replicas share what it made.
///
/// # Errors
/// Those of the database.
pub async fn feed(
    ctx: &Ctx,
    viewer: Option<UserId>,
    before: Option<i64>,
    limit: Limit,
    render: fn(&[PostView]) -> Vec<u8>,
) -> Result<Arc<FeedPage>> {
    let is_everybodys = match (before, viewer) {
        (None, None) => true,
        (None, Some(viewer)) => !relations::has_limits(ctx, viewer).await?,
        (Some(_), _) => false,
    };
    if is_everybodys {
        let load = || page(ctx, None, None, limit);
        return ctx.feed.page(limit, render, load).await;
    }
    let page = Box::pin(page(ctx, viewer, before, limit)).await?;
    let body = render(&page.items).into();
    Ok(Arc::new(FeedPage::new(body, page.next, None)))
}

/// Posts of everybody below the id `before` as `viewer` may and wants to see them, newest first, without reposts.
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

/// An author's posts, answers and reposts below the id `before`, newest first.
///
/// # Errors
/// [`Error::NotFound`] when there is no such account or it blocks the viewer.
pub async fn by_author(
    ctx: &Ctx,
    viewer: Option<UserId>,
    author: UserId,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<PostView>> {
    if !queries::has_author(&ctx.db, viewer, author).await? {
        return Err(Error::NotFound("user"));
    }
    let before = before.unwrap_or(i64::MAX);
    let rows = queries::by_author(&ctx.db, viewer, author, before, limit.probe()).await?;
    Ok(Page::from_probe(rows, limit, |post| post.entry.0))
}

/// What follows the COMMIT of a deed that is counted: a new version of the feed soon, and open pages learn the counts.
/// `post` must have been read after that COMMIT.
pub(crate) async fn announce_counts(ctx: &Ctx, post: &PostView) {
    ctx.feed.bump_soon();
    let event = Event::Counts {
        post: post.id,
        likes: post.likes,
        reposts: post.reposts,
        replies: post.replies,
    };
    live::publish(ctx, &[event]).await;
}
