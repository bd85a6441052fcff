//! All that is stored of a person, for that person to take along. It is read in parts, so that no account is too large
//! for the memory, and in one transaction, so that the parts fit together.

mod model;
mod queries;

pub use model::{Account, Contact, Edit, Mark, Part, Told, Written};

use std::{sync::Arc, time::Duration};

use sqlx::{Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Ctx, Error, Result,
    auth::{self, Session, SessionView},
    ids::UserId,
};

/// Exports of one process at a time. Each keeps a connection to PostgreSQL for as long as its reader takes.
const AT_ONCE: usize = 2;
/// How long one waits for its turn before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most items of a part; small next to the memory, large next to the time that a statement takes to get there.
const PART: i64 = 500;
/// The same for posts, which bring their edits along.
const POSTS_PART: i64 = 100;

/// Whose turn it is; clones share it.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    async fn take(&self) -> Result<OwnedSemaphorePermit> {
        let turn = tokio::time::timeout(PATIENCE, self.0.clone().acquire_owned());
        // Nobody closes it.
        turn.await
            .ok()
            .and_then(|turn| turn.ok())
            .ok_or(Error::Unavailable {
                what: "the export",
                why: format!("{AT_ONCE} are under way"),
                retry_after: Duration::from_secs(30),
            })
    }
}

/// The kinds of parts, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Sessions,
    Followed,
    Followers,
    Blocks,
    Mutes,
    Likes,
    Bookmarks,
    Notifications,
    Posts,
}

impl Section {
    fn next(self) -> Option<Self> {
        Some(match self {
            Self::Sessions => Self::Followed,
            Self::Followed => Self::Followers,
            Self::Followers => Self::Blocks,
            Self::Blocks => Self::Mutes,
            Self::Mutes => Self::Likes,
            Self::Likes => Self::Bookmarks,
            Self::Bookmarks => Self::Notifications,
            Self::Notifications => Self::Posts,
            Self::Posts => return None,
        })
    }
}

/// An export under way. It sees everything as it was when it was opened.
pub struct Export {
    account: Account,
    sessions: Vec<SessionView>,
    tx: Transaction<'static, Postgres>,
    /// What is read next, and below which number.
    next: Option<(Section, i64)>,
    _turn: OwnedSemaphorePermit,
}

/// Begins to read all that is stored of the caller. Whoever opens an export reads on without delay, since it keeps a
/// connection to PostgreSQL until it is dropped.
///
/// # Errors
/// [`Error::Unavailable`] when others are being exported, [`Error::NotFound`] when the account has just gone.
pub async fn open(ctx: &Ctx, caller: &Session) -> Result<Export> {
    let turn = ctx.exports.take().await?;
    let mut tx = ctx
        .db
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .await?;
    let account = queries::account(&mut tx, caller.user.id)
        .await?
        .ok_or(Error::NotFound("user"))?;
    let sessions = auth::sessions_in(&mut tx, caller, ctx.clock.now()).await?;
    Ok(Export {
        account,
        sessions,
        tx,
        next: Some((Section::Sessions, i64::MAX)),
        _turn: turn,
    })
}

impl Export {
    /// Whose it is.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The next part; `None` when all have been read. Every kind comes at least once, if need be empty.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn next(&mut self) -> Result<Option<Part>> {
        let Some((section, before)) = self.next else {
            return Ok(None);
        };
        let (tx, id): (_, UserId) = (&mut *self.tx, self.account.id);
        // Each with the number to continue below, if there may be more.
        let (part, more) = match section {
            Section::Sessions => (Part::Sessions(std::mem::take(&mut self.sessions)), None),
            Section::Followed => {
                let items = queries::followed(tx, id, before, PART).await?;
                let more = after(&items, PART, |contact| contact.id.0);
                (Part::Followed(items), more)
            }
            Section::Followers => {
                let items = queries::followers(tx, id, before, PART).await?;
                let more = after(&items, PART, |contact| contact.id.0);
                (Part::Followers(items), more)
            }
            Section::Blocks => {
                let items = queries::blocks(tx, id, before, PART).await?;
                let more = after(&items, PART, |contact| contact.id.0);
                (Part::Blocks(items), more)
            }
            Section::Mutes => {
                let items = queries::mutes(tx, id, before, PART).await?;
                let more = after(&items, PART, |contact| contact.id.0);
                (Part::Mutes(items), more)
            }
            Section::Likes => {
                let items = queries::likes(tx, id, before, PART).await?;
                let more = after(&items, PART, |mark| mark.key);
                (Part::Likes(items), more)
            }
            Section::Bookmarks => {
                let items = queries::bookmarks(tx, id, before, PART).await?;
                let more = after(&items, PART, |mark| mark.key);
                (Part::Bookmarks(items), more)
            }
            Section::Notifications => {
                let items = queries::notifications(tx, id, before, PART).await?;
                let more = after(&items, PART, |told| told.id);
                (Part::Notifications(items), more)
            }
            Section::Posts => {
                let items = queries::posts(tx, id, before, POSTS_PART).await?;
                let more = after(&items, POSTS_PART, |post| post.id.0);
                (Part::Posts(items), more)
            }
        };
        self.next = match more {
            Some(before) => Some((section, before)),
            None => section.next().map(|section| (section, i64::MAX)),
        };
        Ok(Some(part))
    }
}

/// The key of the last item of a part that is full.
fn after<T>(items: &[T], full: i64, key: impl Fn(&T) -> i64) -> Option<i64> {
    let is_full = i64::try_from(items.len()).is_ok_and(|length| length >= full);
    items.last().filter(|_| is_full).map(key)
}
