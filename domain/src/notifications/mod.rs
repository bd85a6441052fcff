//! What others did that concerns oneself. Written within the deed's transaction by the slice whose deed it is, and
//! told to open pages after its COMMIT.

mod model;
mod queries;

pub use model::{Actor, EXCERPT, Kind, Notice, NotificationView, PostExcerpt};

use chrono::Duration;
use sqlx::PgConnection;

use crate::{
    Ctx, Result,
    ids::UserId,
    live::{self, Event},
    page::{Limit, Page},
    users::User,
};

/// Unread ones are counted up to here; more is "many", and counting them at each new one would cost as much as they
/// are.
pub const MAX_UNREAD: i64 = 1_000;
/// How long a notification is kept.
pub const KEPT: Duration = Duration::days(90);
/// Old notifications removed at once.
pub const PURGE_BATCH: u64 = 1_000;

/// Writes down, in the transaction of the deed, what is to be told; answers who has something new, for [`announce`]
/// after the COMMIT. Left out are oneself, people with a block between them and the actor, people who mute the actor,
/// people who have gone, and what was told before.
///
/// # Errors
/// Those of the database.
pub async fn notify(tx: &mut PgConnection, notices: &[Notice]) -> sqlx::Result<Vec<UserId>> {
    if notices.is_empty() {
        return Ok(Vec::new());
    }
    let mut told = queries::insert(tx, notices).await?;
    told.sort_unstable();
    told.dedup();
    Ok(told)
}

/// Tells open pages of what [`notify`] has written. Never fails: a page that was not told shows it when it is loaded
/// again.
pub async fn announce(ctx: &Ctx, users: Vec<UserId>) {
    tell(ctx, &users, true).await;
}

/// Tells open pages that some of their notifications are not to be shown any more, or to be shown again.
pub(crate) async fn recount(ctx: &Ctx, users: &[UserId]) {
    tell(ctx, users, false).await;
}

async fn tell(ctx: &Ctx, users: &[UserId], is_new: bool) {
    if users.is_empty() {
        return;
    }
    let users: Vec<i64> = users.iter().map(|user| user.0).collect();
    match queries::standings(&ctx.db, &users, MAX_UNREAD).await {
        Ok(standings) => {
            let events: Vec<Event> = standings
                .into_iter()
                .map(|standing| Event::Notification {
                    user: standing.user,
                    id: standing.newest.filter(|_| is_new),
                    unread: standing.unread,
                })
                .collect();
            live::publish(ctx, &events).await;
        }
        Err(error) => tracing::debug!(%error, "nobody is told of new notifications"),
    }
}

/// What the caller was told, below the number `before`, newest first; without what came from people who have gone or
/// are blocked or muted by now, and what was about posts that have gone.
///
/// # Errors
/// Those of the database.
pub async fn list(
    ctx: &Ctx,
    caller: &User,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<NotificationView>> {
    let before = before.unwrap_or(i64::MAX);
    let rows = queries::list(&ctx.db, caller.id, before, limit.probe()).await?;
    Ok(Page::from_probe(rows, limit, |notification| {
        notification.id
    }))
}

/// How many of those that [`list`] shows are unread; [`MAX_UNREAD`] means so many or more.
///
/// # Errors
/// Those of the database.
pub async fn unread(ctx: &Ctx, user: UserId) -> Result<i64> {
    Ok(queries::unread(&ctx.db, user, MAX_UNREAD).await?)
}

/// Marks the notifications up to the number `up_to` (all when not given) as read; answers how many are unread then.
///
/// # Errors
/// Those of the database.
pub async fn mark_read(ctx: &Ctx, user: UserId, up_to: Option<i64>) -> Result<i64> {
    let ctx = ctx.clone();
    crate::to_the_end(async move {
        let (now, up_to) = (ctx.clock.now(), up_to.unwrap_or(i64::MAX));
        let marked = queries::mark_read(&ctx.db, user, up_to, now).await?;
        let unread = unread(&ctx, user).await?;
        if marked > 0 {
            let event = Event::Notification {
                user,
                id: None,
                unread,
            };
            live::publish(&ctx, &[event]).await;
        }
        Ok(unread)
    })
    .await
}

/// Removes notifications that are older than [`KEPT`], some at a time; answers how many.
///
/// # Errors
/// Those of the database.
pub async fn purge_old(ctx: &Ctx) -> Result<u64> {
    Ok(queries::purge(&ctx.db, ctx.clock.now() - KEPT, PURGE_BATCH as i64).await?)
}

/// Removes what two people have told each other, as part of a block.
pub(crate) async fn remove_between(
    tx: &mut PgConnection,
    one: UserId,
    other: UserId,
) -> Result<()> {
    Ok(queries::remove_between(tx, one, other).await?)
}

/// Removes what an account was told and has caused, as part of its deletion.
pub(crate) async fn remove_all(tx: &mut PgConnection, id: UserId) -> Result<()> {
    Ok(queries::remove_all(tx, id).await?)
}
