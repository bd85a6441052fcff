//! Who people are, as others see them: what they say of themselves, and their figures.

mod model;
mod queries;

pub use model::{BIO_MAX, Bio, DISPLAY_NAME_MAX, DisplayName, Person, Profile, ProfileChange};
pub(crate) use queries::{PersonRow, select_people};

use std::collections::HashMap;

use crate::{Ctx, Error, Result, auth::Session, ids::UserId};

/// The profile of `id`.
///
/// # Errors
/// [`Error::NotFound`], also when its owner blocks the viewer, who is not to know.
pub async fn get(ctx: &Ctx, viewer: Option<UserId>, id: UserId) -> Result<Profile> {
    queries::find(&ctx.db, viewer, Some(id), None)
        .await?
        .ok_or(Error::NotFound("user"))
}

/// The profile of whoever is called `username`, whatever its case.
///
/// # Errors
/// As [`get`].
pub async fn by_name(ctx: &Ctx, viewer: Option<UserId>, username: &str) -> Result<Profile> {
    const GONE: Error = Error::NotFound("user");
    // PostgreSQL's text holds no NUL; a name with one is simply nobody's.
    if username.contains('\0') {
        return Err(GONE);
    }
    queries::find(&ctx.db, viewer, None, Some(username))
        .await?
        .ok_or(GONE)
}

/// The people with these numbers in the order of the numbers, without those who have gone and those with a block
/// between them and the viewer; for lists that other slices keep.
///
/// # Errors
/// Those of the database.
pub async fn people(ctx: &Ctx, viewer: Option<UserId>, ids: &[UserId]) -> Result<Vec<Person>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let people = queries::people(&ctx.db, viewer, &numbers).await?;
    let mut by_id: HashMap<UserId, Person> = people
        .into_iter()
        .map(|person| (person.id, person))
        .collect();
    Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
}

/// Changes one's own profile. A new display name is on old posts at once.
///
/// # Errors
/// [`Error::NotFound`] when the account has just gone.
pub async fn update(ctx: &Ctx, caller: &Session, change: ProfileChange) -> Result<Profile> {
    let (ctx, id) = (ctx.clone(), caller.user.id);
    crate::to_the_end(async move {
        let renamed = queries::update(&ctx.db, id, &change)
            .await?
            .ok_or(Error::NotFound("user"))?;
        if renamed {
            ctx.feed.bump().await;
        }
        get(&ctx, Some(id), id).await
    })
    .await
}
