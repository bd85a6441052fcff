//! All that is stored of a person, for that person to take along. It is read in parts, so that no account is too large
//! for the memory, and in one transaction, so that the parts fit together.

mod model;
mod queries;

pub use model::{Account, Contact, Edit, Mark, Part, Told, Written};

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
};
use tracing::Instrument as _;

use crate::{
    Ctx, Error, Result,
    auth::{self, Session, SessionView},
    ids::UserId,
};

/// Exports of one process at a time: each keeps a connection to PostgreSQL for as long as its reader takes.
const AT_ONCE: usize = 1;
/// How long one waits for its turn before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a reader may take for one part, and for all of them.
const STALL: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(60);
/// The most items of a part; small next to the memory, large next to the time that a statement takes to get there.
const PART: i64 = 500;
/// The same for posts, which bring their edits along.
const POSTS_PART: i64 = 100;

/// Where exports are read: in the runtime and with the connections of what a process does beside serving, so that
/// nobody who just reads waits for one.
#[derive(Clone)]
pub(crate) struct Exporter {
    db: PgPool,
    runtime: Handle,
    turns: Arc<Semaphore>,
}

impl Exporter {
    /// One that reads through `db` in the runtime that this is called in, which is also where `db` was opened.
    ///
    /// # Errors
    /// When there is no runtime.
    pub(crate) fn new(db: PgPool) -> anyhow::Result<Self> {
        Ok(Self {
            db,
            runtime: Handle::try_current()?,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned());
        // Nobody closes it.
        turn.await
            .ok()
            .and_then(|turn| turn.ok())
            .ok_or(Error::Unavailable {
                what: "the export",
                why: "somebody else's is under way".into(),
                retry_after: Duration::from_secs(10),
            })
    }
}

/// An export under way. It shows everything as it was when it was opened.
pub struct Export {
    account: Account,
    /// `None` is the end; to end without it is to break off.
    parts: mpsc::Receiver<Result<Option<Part>>>,
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
    /// Those of the database, and [`Error::Internal`] when the reader was too slow: a part must be taken within 15 s
    /// and all of them within a minute.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Part>>> {
        let broken_off = || Err(Error::internal("the export was broken off"));
        let part = self.parts.poll_recv(context);
        part.map(|part| part.unwrap_or_else(broken_off))
    }

    /// The same for whoever waits.
    ///
    /// # Errors
    /// As [`Export::poll_next`].
    pub async fn next(&mut self) -> Result<Option<Part>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

/// Begins to read all that is stored of the caller.
///
/// # Errors
/// [`Error::Unavailable`] while somebody else is exported, [`Error::NotFound`] when the account has just gone.
pub async fn open(ctx: &Ctx, caller: &Session) -> Result<Export> {
    let turn = ctx.exports.turn().await?;
    let (db, caller, now) = (ctx.exports.db.clone(), caller.clone(), ctx.clock.now());
    let (tell, opened) = oneshot::channel();
    let (sender, parts) = mpsc::channel(1);
    let work = async move {
        match Reader::open(&db, &caller, now).await {
            Ok((account, reader)) => {
                // Whoever asked may have gone.
                if tell.send(Ok(account)).is_ok() {
                    reader.read(&sender).await;
                }
            }
            Err(error) => {
                let _has_gone = tell.send(Err(error));
            }
        }
        drop(turn);
    };
    let work = tokio::time::timeout(LONGEST, work).in_current_span();
    ctx.exports.runtime.spawn(work);
    let account = opened
        .await
        .unwrap_or_else(|ended| Err(Error::internal(ended)))?;
    Ok(Export { account, parts })
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

/// Reads the parts in one transaction.
struct Reader {
    id: UserId,
    sessions: Vec<SessionView>,
    tx: Transaction<'static, Postgres>,
    /// What is read next, and below which number.
    next: Option<(Section, i64)>,
}

impl Reader {
    async fn open(db: &PgPool, caller: &Session, now: DateTime<Utc>) -> Result<(Account, Self)> {
        let mut tx = db
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .await?;
        let account = queries::account(&mut tx, caller.user.id)
            .await?
            .ok_or(Error::NotFound("user"))?;
        let reader = Self {
            id: account.id,
            sessions: auth::sessions_in(&mut tx, caller, now).await?,
            tx,
            next: Some((Section::Sessions, i64::MAX)),
        };
        Ok((account, reader))
    }

    /// Reads until the end, a failure, or until whoever takes the parts has gone or is too slow.
    async fn read(mut self, parts: &mpsc::Sender<Result<Option<Part>>>) {
        loop {
            let part = self.next().await;
            let is_last = !matches!(part, Ok(Some(_)));
            if parts.send_timeout(part, STALL).await.is_err() || is_last {
                return;
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Part>> {
        let Some((section, before)) = self.next else {
            return Ok(None);
        };
        let (tx, id) = (&mut *self.tx, self.id);
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
