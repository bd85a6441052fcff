//! What people are to each other: who follows, blocks and mutes whom. Each of these is done once however often it is
//! asked for, and answers what the two are to each other afterwards.

mod model;
mod queries;

pub use model::Relation;

use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::{
    Ctx, Error, Result,
    batch::{self, Batch},
    error::Violation,
    ids::UserId,
    live::{self, Event},
    notifications::{self, Kind, Notice},
    page::{Limit, Page},
    profiles::Person,
    timelines,
    users::User,
};
use model::Pair;

/// The most people anybody can follow: what a home timeline is put together from must stay bounded.
pub const MAX_FOLLOWED: i32 = 10_000;

/// People asked about by one statement at most.
const LIMITS_MAX: usize = 256;

const GONE: Error = Error::NotFound("user");

/// Oneself and `other`, which must be two.
fn pair(own: &User, other: UserId) -> Result<Pair> {
    if own.id == other {
        return Err(Violation {
            field: "id",
            rule: "be the account of somebody else".into(),
            length: None,
        }
        .into());
    }
    Ok(Pair { own: own.id, other })
}

/// What follows the COMMIT of a change: home timelines are made anew and open pages told.
async fn announce(ctx: &Ctx, viewers: &[UserId]) {
    for viewer in viewers {
        timelines::forget(ctx, *viewer).await;
    }
    let events: Vec<Event> = viewers
        .iter()
        .map(|viewer| Event::Relation { viewer: *viewer })
        .collect();
    live::publish(ctx, &events).await;
}

/// Begins a change of what the caller does to `pair.other`, who must be there and not hidden from the caller.
async fn begin(ctx: &Ctx, pair: Pair) -> Result<(Transaction<'static, Postgres>, bool)> {
    let mut tx = ctx.db.begin().await?;
    if !queries::hold(&mut tx, pair).await? {
        return Err(GONE);
    }
    let blocks = queries::blocks(&mut *tx, pair).await?;
    if blocks.blocked {
        return Err(GONE);
    }
    Ok((tx, blocks.blocking))
}

/// Follows somebody and tells them.
///
/// # Errors
/// [`Error::NotFound`], also when they block the caller, who is not to know; [`Error::Forbidden`] when the caller
/// blocks them; [`Error::Conflict`] beyond [`MAX_FOLLOWED`]; [`Error::Invalid`] for oneself.
pub async fn follow(ctx: &Ctx, caller: &User, other: UserId) -> Result<Relation> {
    let (ctx, pair) = (ctx.clone(), pair(caller, other)?);
    crate::to_the_end(async move {
        let (mut tx, blocking) = begin(&ctx, pair).await?;
        if blocking {
            return Err(Error::Forbidden(
                "you block this person: unblock them before you follow them",
            ));
        }
        let is_new = queries::follow(&mut *tx, pair).await?;
        let mut told = Vec::new();
        if is_new {
            // Counted by now, and the row is ours until the end: of two follows at once none is overlooked.
            if queries::followed_count(&mut *tx, pair.own).await? > MAX_FOLLOWED {
                return Err(Error::Conflict(
                    "you follow 10,000 people, which is the most: unfollow somebody first",
                ));
            }
            let notice = Notice {
                to: pair.other,
                actor: pair.own,
                kind: Kind::Follow,
                post: None,
            };
            told = notifications::notify(&mut tx, &[notice]).await?;
        }
        let relation = queries::relation(&mut *tx, pair).await?;
        tx.commit().await?;
        if is_new {
            announce(&ctx, &[pair.own]).await;
            notifications::announce(&ctx, told).await;
        }
        Ok(relation)
    })
    .await
}

/// Follows somebody no more.
///
/// # Errors
/// [`Error::NotFound`], also when they block the caller; [`Error::Invalid`] for oneself.
pub async fn unfollow(ctx: &Ctx, caller: &User, other: UserId) -> Result<Relation> {
    let (ctx, pair) = (ctx.clone(), pair(caller, other)?);
    crate::to_the_end(async move {
        let (mut tx, _) = begin(&ctx, pair).await?;
        let changed = queries::unfollow(&mut *tx, pair).await?;
        let relation = queries::relation(&mut *tx, pair).await?;
        tx.commit().await?;
        if changed {
            announce(&ctx, &[pair.own]).await;
        }
        Ok(relation)
    })
    .await
}

/// Blocks somebody: neither follows the other from now on, and neither sees or reaches anything of the other's. Who is
/// blocked may block in turn.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] for oneself.
pub async fn block(ctx: &Ctx, caller: &User, other: UserId) -> Result<Relation> {
    let (ctx, pair) = (ctx.clone(), pair(caller, other)?);
    crate::to_the_end(async move {
        let mut tx = ctx.db.begin().await?;
        if !queries::hold_alone(&mut tx, pair).await? {
            return Err(GONE);
        }
        let changed = queries::block(&mut *tx, pair).await?;
        if changed {
            queries::part(&mut *tx, pair).await?;
            notifications::remove_between(&mut tx, pair.own, pair.other).await?;
        }
        let relation = queries::relation(&mut *tx, pair).await?;
        tx.commit().await?;
        if changed {
            announce(&ctx, &[pair.own, pair.other]).await;
            notifications::recount(&ctx, &[pair.own, pair.other]).await;
        }
        Ok(relation)
    })
    .await
}

/// Blocks somebody no more. Follows that the block ended stay ended.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] for oneself.
pub async fn unblock(ctx: &Ctx, caller: &User, other: UserId) -> Result<Relation> {
    let (ctx, pair) = (ctx.clone(), pair(caller, other)?);
    crate::to_the_end(async move {
        let mut tx = ctx.db.begin().await?;
        if !queries::hold_alone(&mut tx, pair).await? {
            return Err(GONE);
        }
        let changed = queries::unblock(&mut *tx, pair).await?;
        let relation = queries::relation(&mut *tx, pair).await?;
        tx.commit().await?;
        if changed {
            announce(&ctx, &[pair.own, pair.other]).await;
        }
        Ok(relation)
    })
    .await
}

/// Mutes somebody, who does not learn of it: the caller's timelines and notifications are without them.
///
/// # Errors
/// [`Error::NotFound`], also when they block the caller; [`Error::Invalid`] for oneself.
pub async fn mute(ctx: &Ctx, caller: &User, other: UserId) -> Result<Relation> {
    let (ctx, pair) = (ctx.clone(), pair(caller, other)?);
    crate::to_the_end(async move {
        let (mut tx, _) = begin(&ctx, pair).await?;
        let changed = queries::mute(&mut *tx, pair).await?;
        finish_mute(&ctx, tx, pair, changed).await
    })
    .await
}

/// Mutes somebody no more.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] for oneself.
pub async fn unmute(ctx: &Ctx, caller: &User, other: UserId) -> Result<Relation> {
    let (ctx, pair) = (ctx.clone(), pair(caller, other)?);
    crate::to_the_end(async move {
        let mut tx = ctx.db.begin().await?;
        if !queries::hold(&mut tx, pair).await? {
            return Err(GONE);
        }
        let changed = queries::unmute(&mut *tx, pair).await?;
        finish_mute(&ctx, tx, pair, changed).await
    })
    .await
}

async fn finish_mute(
    ctx: &Ctx,
    mut tx: Transaction<'static, Postgres>,
    pair: Pair,
    changed: bool,
) -> Result<Relation> {
    let relation = queries::relation(&mut *tx, pair).await?;
    tx.commit().await?;
    if changed {
        announce(ctx, &[pair.own]).await;
        notifications::recount(ctx, &[pair.own]).await;
    }
    Ok(relation)
}

async fn visible(ctx: &Ctx, viewer: Option<UserId>, id: UserId) -> Result<()> {
    if queries::is_visible(&ctx.db, viewer, id).await? {
        Ok(())
    } else {
        Err(GONE)
    }
}

fn page(people: Vec<Person>, limit: Limit) -> Page<Person> {
    Page::from_probe(people, limit, |person| person.id.0)
}

/// Who follows `of`, below the number `before`, the newest accounts first; without those with a block between them and
/// the viewer.
///
/// # Errors
/// [`Error::NotFound`], also when `of` blocks the viewer.
pub async fn followers(
    ctx: &Ctx,
    viewer: Option<UserId>,
    of: UserId,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<Person>> {
    visible(ctx, viewer, of).await?;
    let before = before.unwrap_or(i64::MAX);
    let people = queries::followers(&ctx.db, viewer, of, before, limit.probe()).await?;
    Ok(page(people, limit))
}

/// Whom `of` follows; otherwise as [`followers`].
///
/// # Errors
/// As [`followers`].
pub async fn followed(
    ctx: &Ctx,
    viewer: Option<UserId>,
    of: UserId,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<Person>> {
    visible(ctx, viewer, of).await?;
    let before = before.unwrap_or(i64::MAX);
    let people = queries::followed(&ctx.db, viewer, of, before, limit.probe()).await?;
    Ok(page(people, limit))
}

/// Whom the caller blocks, below the number `before`, the newest accounts first.
///
/// # Errors
/// Those of the database.
pub async fn blocked(
    ctx: &Ctx,
    caller: &User,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<Person>> {
    let (own, before) = (caller.id, before.unwrap_or(i64::MAX));
    let people = queries::blocked(&ctx.db, Some(own), own, before, limit.probe()).await?;
    Ok(page(people, limit))
}

/// Whom the caller mutes, below the number `before`, the newest accounts first.
///
/// # Errors
/// Those of the database.
pub async fn muted(
    ctx: &Ctx,
    caller: &User,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<Person>> {
    let (own, before) = (caller.id, before.unwrap_or(i64::MAX));
    let people = queries::muted(&ctx.db, Some(own), own, before, limit.probe()).await?;
    Ok(page(people, limit))
}

/// Whether `id` sees less than everybody sees: they block, mute or are blocked.
///
/// # Errors
/// Those of the database.
pub async fn has_limits(ctx: &Ctx, id: UserId) -> Result<bool> {
    ctx.limits.call(id).await?
}

/// Questions of [`has_limits`], many in one statement.
pub(crate) type Limits = Batch<UserId, Result<bool>>;

pub(crate) fn limits(db: PgPool) -> Limits {
    Batch::new(
        "relations.limits",
        LIMITS_MAX,
        batch::outage(&db),
        move |people: Vec<UserId>| {
            let db = db.clone();
            async move {
                let limited = queries::with_limits(&db, &people)
                    .await
                    .map_err(Error::from);
                batch::answers(&people, limited, |limited, id| limited.contains(id))
            }
        },
    )
}

/// Ends all that ties an account to others, as part of its deletion.
pub(crate) async fn remove_all(tx: &mut PgConnection, id: UserId) -> Result<()> {
    Ok(queries::remove_all(tx, id).await?)
}
