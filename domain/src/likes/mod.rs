//! Who likes which post.

mod queries;

use sqlx::PgConnection;

use crate::{
    Ctx, Result,
    ids::{PostId, UserId},
    notifications::{self, Kind, Notice},
    page::{Limit, Page},
    posts::{self, PostView},
    profiles::Person,
    users::User,
};

/// Likes a post, once however often it is asked for, and notifies its author; answers the post.
///
/// # Errors
/// [`crate::Error::NotFound`], also for a repost (it is the original that is liked) and for what is hidden from the
/// caller.
pub async fn like(ctx: &Ctx, caller: &User, id: PostId) -> Result<PostView> {
    let (ctx, caller) = (ctx.clone(), caller.id);
    crate::to_the_end(async move {
        let mut tx = ctx.db.begin().await?;
        let author = queries::insert(&mut *tx, caller, id).await?;
        let notice = author.map(|to| Notice {
            to,
            actor: caller,
            kind: Kind::Like,
            post: Some(id),
        });
        let told = notifications::notify(&mut tx, notice.as_slice()).await?;
        tx.commit().await?;
        let post = posts::get(&ctx, Some(caller), id).await?;
        if author.is_some() {
            tokio::join!(
                posts::announce_counts(&ctx, &post),
                notifications::announce(&ctx, told),
            );
        }
        Ok(post)
    })
    .await
}

/// Likes a post no more; answers the post.
///
/// # Errors
/// [`crate::Error::NotFound`], also for what is hidden from the caller.
pub async fn unlike(ctx: &Ctx, caller: &User, id: PostId) -> Result<PostView> {
    let (ctx, caller) = (ctx.clone(), caller.id);
    crate::to_the_end(async move {
        posts::get(&ctx, Some(caller), id).await?;
        let changed = queries::delete(&ctx.db, caller, id).await?;
        let post = posts::get(&ctx, Some(caller), id).await?;
        if changed {
            posts::announce_counts(&ctx, &post).await;
        }
        Ok(post)
    })
    .await
}

/// Who likes a post, below the person's number `before`, the newest accounts first; without those with a block between
/// them and the viewer.
///
/// # Errors
/// [`crate::Error::NotFound`], also for what is hidden from the viewer.
pub async fn people(
    ctx: &Ctx,
    viewer: Option<UserId>,
    post: PostId,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<Person>> {
    posts::get(ctx, viewer, post).await?;
    let before = before.unwrap_or(i64::MAX);
    let people = queries::people(&ctx.db, viewer, post, before, limit.probe()).await?;
    Ok(Page::from_probe(people, limit, |person| person.id.0))
}

/// Takes back every like of an account, as part of its deletion.
pub(crate) async fn remove_all(tx: &mut PgConnection, user: UserId) -> Result<()> {
    Ok(queries::remove_all(tx, user).await?)
}
