//! Accounts: sign up, look up, change, delete.

mod model;
mod queries;

pub use model::{User, Username};

use crate::{
    Ctx, Error, Result,
    auth::{self, Password, Session},
    error::breaches,
    ids::UserId,
    insights, notifications,
    page::{Limit, Page},
    posts, relations, timelines,
};

/// What a new account needs.
pub struct NewUser {
    /// Its name.
    pub username: Username,
    /// Its password.
    pub password: Password,
}

/// What may be changed of an account; `None` stays as it is.
pub struct UserChange {
    /// A new name.
    pub username: Option<Username>,
    /// A new password; it ends every session of the account.
    pub password: Option<Password>,
}

fn taken(error: sqlx::Error) -> Error {
    if breaches(&error, "users_username_key") {
        Error::Conflict("username is taken: choose another one")
    } else {
        error.into()
    }
}

/// Makes an account.
///
/// # Errors
/// [`Error::Conflict`] when the name is taken.
pub async fn sign_up(ctx: &Ctx, new: NewUser) -> Result<User> {
    let hash = ctx.passwords.hash(&new.password).await?;
    queries::insert(&ctx.db, new.username.as_str(), &hash)
        .await
        .map_err(taken)
}

/// The account `id`.
///
/// # Errors
/// [`Error::NotFound`], also when its owner blocks the viewer, who is not to know.
pub async fn get(ctx: &Ctx, viewer: Option<UserId>, id: UserId) -> Result<User> {
    queries::find(&ctx.db, viewer, id)
        .await?
        .ok_or(Error::NotFound("user"))
}

/// Accounts, newest first, below the id `before`; without those with a block between them and the viewer.
///
/// # Errors
/// Those of the database.
pub async fn list(
    ctx: &Ctx,
    viewer: Option<UserId>,
    before: Option<i64>,
    limit: Limit,
) -> Result<Page<User>> {
    let before = before.unwrap_or(i64::MAX);
    let rows = queries::list(&ctx.db, viewer, before, limit.probe()).await?;
    Ok(Page::from_probe(rows, limit, |user| user.id.0))
}

/// Checks that `id` is an account and the caller's own.
async fn own(ctx: &Ctx, caller: &Session, id: UserId) -> Result<()> {
    if caller.user.id == id {
        return Ok(());
    }
    get(ctx, Some(caller.user.id), id).await?;
    Err(Error::Forbidden("this account is somebody else's"))
}

/// Changes the caller's own account. After a new password every session has ended.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`] (not one's own), [`Error::Conflict`] (name taken).
pub async fn update(ctx: &Ctx, caller: &Session, id: UserId, change: UserChange) -> Result<User> {
    own(ctx, caller, id).await?;
    let hash = match &change.password {
        Some(password) => Some(ctx.passwords.hash(password).await?),
        None => None,
    };
    let renamed = change.username.is_some();
    let mut tx = ctx.db.begin().await?;
    let user = queries::update(
        &mut *tx,
        id,
        change.username.as_ref().map(Username::as_str),
        hash.as_deref(),
    )
    .await
    .map_err(taken)?
    .ok_or(Error::NotFound("user"))?;
    if hash.is_some() {
        auth::end_all_sessions(&mut tx, id).await?;
    }
    let feed = ctx.feed.clone();
    crate::to_the_end(async move {
        tx.commit().await?;
        if renamed {
            feed.bump().await;
        }
        Ok(())
    })
    .await?;
    Ok(user)
}

/// Deletes the caller's own account with its posts, its sessions, all that ties it to others and all that it has
/// caused; the name is free again.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`] (not one's own).
pub async fn delete(ctx: &Ctx, caller: &Session, id: UserId) -> Result<User> {
    own(ctx, caller, id).await?;
    let ctx = ctx.clone();
    crate::to_the_end(async move {
        let mut tx = ctx.db.begin().await?;
        let user = queries::delete(&mut *tx, id)
            .await?
            .ok_or(Error::NotFound("user"))?;
        auth::end_all_sessions(&mut tx, id).await?;
        relations::remove_all(&mut tx, id).await?;
        notifications::remove_all(&mut tx, id).await?;
        insights::remove(&mut tx, id).await?;
        posts::delete_all_of(&mut tx, id).await?;
        tx.commit().await?;
        tokio::join!(ctx.feed.bump(), timelines::forget(&ctx, id));
        Ok(user)
    })
    .await
}
