//! The logins of an account, as its owner sees and ends them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Session, queries};
use crate::{Ctx, Error, Result};

/// The most sessions that are shown. They last a day, and nobody logs in more often by hand.
const MOST: i64 = 100;
/// How much is kept of what a program calls itself, in Unicode scalar values.
const USER_AGENT: usize = 200;

/// A login that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its number; it opens nothing.
    pub id: Uuid,
    /// When its owner logged in.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
    /// What the program called itself; may be empty.
    pub user_agent: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// What is kept of what a program calls itself.
pub(super) fn shortened(user_agent: &str) -> String {
    let sound = user_agent.trim().chars().filter(|c| !c.is_control());
    sound.take(USER_AGENT).collect()
}

/// The caller's logins, newest first.
///
/// # Errors
/// Those of the database.
pub async fn sessions(ctx: &Ctx, caller: &Session) -> Result<Vec<SessionView>> {
    let now = ctx.clock.now();
    Ok(queries::sessions(&ctx.db, caller.user.id, caller.id, now, MOST).await?)
}

/// The same as part of an export.
pub(crate) async fn sessions_in(
    tx: &mut PgConnection,
    caller: &Session,
    now: DateTime<Utc>,
) -> Result<Vec<SessionView>> {
    Ok(queries::sessions(tx, caller.user.id, caller.id, now, MOST).await?)
}

/// Ends one of the caller's own logins; its token is refused by every replica from now on.
///
/// # Errors
/// [`Error::NotFound`], also for somebody else's.
pub async fn end_other(ctx: &Ctx, caller: &Session, id: Uuid) -> Result<()> {
    if queries::end_session_of(&ctx.db, caller.user.id, id).await? {
        Ok(())
    } else {
        Err(Error::NotFound("session"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_a_program_calls_itself_is_cut_and_clean(text in "(?s).{0,300}") {
            let kept = shortened(&text);
            prop_assert!(kept.chars().count() <= USER_AGENT);
            prop_assert!(!kept.contains(|c: char| c.is_control()));
        }
    }
}
