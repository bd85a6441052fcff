//! Home timelines: what those write and repost whom one follows, and one's own, newest first.
//!
//! A worker brings every post to the lists of its author's followers in Redis ([`FanOut`]; `lists.rs` says what a list is).
//! Posts of accounts with very many followers are not written to lists but looked up when somebody reads. A list is
//! only a proposal: what is shown, the database decides at each read, so that an unfollow, a block or a deletion holds
//! from the next read on, whatever the list says. Without Redis everything is read from the database.

mod fanout;
mod lists;
mod queries;

pub use fanout::{Brought, FanOut};
pub use lists::HomeLists;

use std::collections::HashSet;

use crate::{
    Ctx, Result,
    cache::Outcome,
    ids::{PostId, UserId},
    page::{Limit, Page},
    posts::{self, PostView},
    users::User,
};
use lists::{Look, MOST, Window};

/// How often a page that has turned out short is filled up from further below, before it is left short.
const ROUNDS: usize = 4;
/// Everybody's newest posts looked through for those of many followed people, for each one that is wanted.
const RECENT: usize = 5;
/// The most posts that are counted as waiting.
const COUNTED: i64 = 10_000;

/// What `viewer` sees of those whom they follow, and their own, below the entry `before`, newest first. A post that is on
/// the page twice, as itself or as reposts, is shown where it is first, so a page may be shorter than `limit` and go on.
///
/// # Errors
/// Those of the database. Redis failing is none.
pub async fn home(
    ctx: &Ctx,
    viewer: &User,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<PostView>> {
    // Most of what is looked at is shown; what is not are answers to strangers and reposts of muted people.
    let window = limit.get() * 2 + 32;
    let mut below = before.unwrap_or(i64::MAX);
    let mut ids: Vec<PostId> = Vec::with_capacity(window);
    for _ in 0..ROUNDS {
        let proposed = propose(ctx, viewer.id, below, window).await?;
        let looked = queries::visible(
            &ctx.db,
            viewer.id,
            &proposed.ids,
            (below, proposed.end),
            i64::try_from(window).unwrap_or(i64::MAX),
            limit.probe(),
        )
        .await?;
        ids.extend(looked.ids);
        below = looked.lowest.unwrap_or(proposed.end);
        if ids.len() > limit.get() || below <= 1 {
            break;
        }
    }
    let next = if ids.len() > limit.get() {
        ids.truncate(limit.get());
        ids.last().map(|id| id.0)
    } else {
        (below > 1).then_some(below)
    };
    let mut items = posts::by_entries(ctx, Some(viewer.id), &ids).await?;
    let mut shown = HashSet::with_capacity(items.len());
    items.retain(|post| shown.insert(post.id));
    Ok(Page { items, next })
}

/// Entries below `before` that `viewer` may want to see, from the list or, as far as it does not go, from the database.
async fn propose(ctx: &Ctx, viewer: UserId, before: i64, count: usize) -> Result<Window> {
    match ctx.home.look(viewer, before, count).await {
        Look::There(window) if window.end < before => {
            ctx.home.count(Outcome::Hit);
            Ok(window)
        }
        Look::There(_) => {
            ctx.home.count(Outcome::Miss);
            pull(ctx, viewer, before, count).await
        }
        Look::Missing => {
            ctx.home.count(Outcome::Miss);
            make(ctx, viewer, before, count).await
        }
        Look::Unknown => {
            ctx.home.count(Outcome::Bypass);
            pull(ctx, viewer, before, count).await
        }
    }
}

/// The same from the database.
async fn pull(ctx: &Ctx, viewer: UserId, before: i64, count: usize) -> Result<Window> {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let recent = number(count * RECENT);
    let ids = queries::pull(&ctx.db, viewer, before, number(count), recent).await?;
    let end = ids.get(count.saturating_sub(1)).copied().unwrap_or(0);
    Ok(Window { ids, end })
}

/// The same from a list that is made on the way. One request makes it, others for the same person wait for it; in other
/// processes they may make it as well, and the last one to begin stores it.
async fn make(ctx: &Ctx, viewer: UserId, before: i64, count: usize) -> Result<Window> {
    let maker = ctx.home.maker(viewer).await;
    let _only_one = maker.lock().await;
    match ctx.home.look(viewer, before, count).await {
        Look::There(window) if window.end < before => return Ok(window),
        Look::Missing => {}
        Look::There(_) | Look::Unknown => return pull(ctx, viewer, before, count).await,
    }
    let Some(mark) = ctx.home.begin(viewer).await else {
        return pull(ctx, viewer, before, count).await;
    };
    let Window { mut ids, end } = pull(ctx, viewer, i64::MAX, MOST).await?;
    ctx.home.finish(viewer, mark, &ids, end == 0).await;
    if end >= before {
        return pull(ctx, viewer, before, count).await;
    }
    ids.retain(|id| *id < before);
    Ok(Window::of(ids, end, count))
}

/// Lets the next read of `viewer` make their list anew. To be called after the COMMIT of what changes whom they see: a
/// follow, an unfollow, a block, a mute or the end of one.
pub async fn forget(ctx: &Ctx, viewer: UserId) {
    ctx.home.drop_list(viewer).await;
}

/// How many posts have not reached their readers yet; no more than ten thousand are counted.
///
/// # Errors
/// Those of the database.
pub async fn waiting(ctx: &Ctx) -> Result<i64> {
    Ok(queries::waiting(&ctx.db, COUNTED).await?)
}
