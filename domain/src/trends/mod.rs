//! What the last hours are about, computed by the workers about every minute; and the posts about it.
//!
//! Within the last [`WINDOW_HOURS`] hours each person counts once for a tag or topic, by their latest post with it: 1 for
//! a post of this moment, half as much for each [`HALF_LIFE_HOURS`] hours since. The sums are what trends are ranked by,
//! so one person's hundred posts are no trend, and what was talked about all night gives way to what came up an hour ago.
//! What only one person says is none at all, and posts that were judged dangerous do not count.

mod model;
mod queries;

pub use model::{Tag, Topic, Trend, Trends};

use std::time::Duration;

use crate::{
    Ctx, Result,
    ids::{PostId, UserId},
    page::{Limit, Page},
    posts::{self, PostView},
    schedules,
};

/// How far back trends look.
pub const WINDOW_HOURS: f64 = 24.0;
/// The hours after which a post weighs half.
pub const HALF_LIFE_HOURS: f64 = 6.0;
/// How many trends there are of each kind.
pub const MOST: i64 = 30;
/// How many people make a trend.
pub const FEWEST_PEOPLE: i64 = 2;
/// How often they are computed.
const EVERY: Duration = Duration::from_secs(60);
/// Under this name in `schedules`.
const JOB: &str = "trends";

/// The trends as they were last computed, in one statement.
///
/// # Errors
/// Those of the database.
pub async fn current(ctx: &Ctx) -> Result<Trends> {
    Ok(queries::current(&ctx.db, JOB).await?)
}

/// Computes the trends anew, unless another process is at it or did it less than a minute ago; answers whether it did.
///
/// # Errors
/// Those of the database; the old trends stay.
pub async fn recompute(ctx: &Ctx) -> Result<bool> {
    let mut tx = ctx.db.begin().await?;
    if schedules::take(&mut tx, JOB, EVERY).await?.is_none() {
        tx.rollback().await?;
        return Ok(false);
    }
    schedules::take_time(&mut tx).await?;
    queries::clear(&mut tx).await?;
    queries::fill(&mut tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// Posts with a tag below the id `before` as `viewer` may and wants to see them, newest first.
///
/// # Errors
/// Those of the database.
pub async fn tagged(
    ctx: &Ctx,
    viewer: Option<UserId>,
    tag: &Tag,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<PostView>> {
    let before = before.unwrap_or(i64::MAX);
    let ids = queries::tagged(&ctx.db, viewer, tag.as_str(), before, limit.probe()).await?;
    let page = Page::from_probe(ids, limit, |id| id.0);
    hydrated(ctx, viewer, page).await
}

/// Posts that the language model found to be about a topic, as [`tagged`].
///
/// # Errors
/// Those of the database.
pub async fn about(
    ctx: &Ctx,
    viewer: Option<UserId>,
    topic: &Topic,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<PostView>> {
    let before = before.unwrap_or(i64::MAX);
    let ids = queries::about(&ctx.db, viewer, topic.as_str(), before, limit.probe()).await?;
    let page = Page::from_probe(ids, limit, |id| id.0);
    hydrated(ctx, viewer, page).await
}

async fn hydrated(ctx: &Ctx, viewer: Option<UserId>, page: Page<PostId>) -> Result<Page<PostView>> {
    let items = match page.items.is_empty() {
        true => Vec::new(),
        false => posts::by_entries(ctx, viewer, &page.items).await?,
    };
    Ok(Page {
        items,
        next: page.next,
    })
}
