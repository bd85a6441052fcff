//! Logging in and out, and who a token belongs to.

mod password;
mod queries;
mod sessions;
mod token;

pub use password::{Password, Passwords};
pub(crate) use sessions::sessions_in;
pub use sessions::{SessionView, end_other, sessions};
pub use token::{AppEnv, AuthConfig, LIFETIME, Tokens};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::{
    Ctx, Error, Result,
    batch::{self, Batch},
    ids::UserId,
    users::User,
};
use password::Check;
use token::Ticket;

/// Tokens checked by one statement at most.
const LOOKUPS_MAX: usize = 256;
/// Expired sessions removed at once.
const PURGE_BATCH: i64 = 1_000;

/// Somebody who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub user: User,
    pub(crate) id: Uuid,
}

/// A login that worked.
pub struct Login {
    /// Who logged in.
    pub user: User,
    /// The token to send along from now on; good for [`LIFETIME`].
    pub token: String,
}

/// Logs in with a name (whatever its case) and a password; `user_agent` is what the caller's program calls itself, and
/// may be anything.
///
/// # Errors
/// [`Error::Unauthenticated`], the same for a wrong name and a wrong password and after the same work.
pub async fn login(
    ctx: &Ctx,
    tokens: &Tokens,
    username: &str,
    password: SecretString,
    user_agent: &str,
) -> Result<Login> {
    const REFUSED: Error = Error::Unauthenticated("Invalid credentials");
    let account = prove(ctx, username, password).await?.ok_or(REFUSED)?;
    let user = User {
        id: account.id,
        username: account.username,
    };
    open(ctx, tokens, user, &account.password_hash, user_agent)
        .await?
        .ok_or(REFUSED)
}

/// Checks the password of somebody who is logged in, before a deed that the login alone is not enough for; opens
/// nothing.
///
/// # Errors
/// [`Error::Unauthenticated`] when it is not theirs.
pub async fn confirm(ctx: &Ctx, session: &Session, password: SecretString) -> Result<()> {
    let user = &session.user;
    match prove(ctx, &user.username, password).await? {
        Some(account) if account.id == user.id => Ok(()),
        _ => Err(Error::Unauthenticated("this is not your password")),
    }
}

/// The account with this name, if this is its password; a hash of the Node service's is one of ours by then.
async fn prove(
    ctx: &Ctx,
    username: &str,
    password: SecretString,
) -> Result<Option<queries::Credentials>> {
    // PostgreSQL's text holds no NUL; a name with one is simply nobody's.
    let found = if username.contains('\0') {
        None
    } else {
        queries::credentials(&ctx.db, username).await?
    };
    let stored = found.as_ref().map(|account| account.password_hash.clone());
    let checked = ctx.passwords.check(password.clone(), stored).await?;
    let Some(mut account) = found.filter(|_| checked != Check::Wrong) else {
        return Ok(None);
    };
    if checked == Check::RightButOld {
        let new = ctx.passwords.rehash(password).await?;
        queries::rehash(&ctx.db, account.id, &account.password_hash, &new).await?;
        account.password_hash = new;
    }
    Ok(Some(account))
}

/// Opens a session for somebody who has just proved in another way who they are; `user_agent` as for [`login`].
///
/// # Errors
/// [`Error::NotFound`] when the account has gone.
pub async fn renew(ctx: &Ctx, tokens: &Tokens, user: User, user_agent: &str) -> Result<Login> {
    const GONE: Error = Error::NotFound("user");
    let account = queries::credentials(&ctx.db, &user.username)
        .await?
        .filter(|account| account.id == user.id)
        .ok_or(GONE)?;
    open(ctx, tokens, user, &account.password_hash, user_agent)
        .await?
        .ok_or(GONE)
}

/// Opens a session, unless the account has gone or has another password by now.
async fn open(
    ctx: &Ctx,
    tokens: &Tokens,
    user: User,
    hash: &str,
    user_agent: &str,
) -> Result<Option<Login>> {
    let now = ctx.clock.now();
    let ticket = Ticket {
        user: user.id,
        session: Uuid::new_v4(),
    };
    let opened = queries::open_session(
        &ctx.db,
        ticket.session,
        user.id,
        hash,
        now + LIFETIME,
        &sessions::shortened(user_agent),
    )
    .await?;
    let token = tokens.sign(ticket, now).map_err(Error::internal)?;
    Ok(opened.then_some(Login { user, token }))
}

/// Whose token this is, if it still counts.
///
/// # Errors
/// [`Error::Unauthenticated`] when it is not ours, has expired or was revoked.
pub async fn authenticate(ctx: &Ctx, tokens: &Tokens, token: &str) -> Result<Session> {
    const REFUSED: Error =
        Error::Unauthenticated("the login has expired or was ended: log in again");
    let ticket = tokens.read(token).ok_or(REFUSED)?;
    // Whose token is checked while another check is under way shares the next one's statement.
    let user = ctx
        .sessions
        .call((ticket, ctx.clock.now()))
        .await??
        .ok_or(REFUSED)?;
    Ok(Session {
        user,
        id: ticket.session,
    })
}

/// Checks of tokens as of a time, many in one statement.
pub(crate) type Lookups = Batch<(Ticket, DateTime<Utc>), Result<Option<User>>>;

pub(crate) fn lookups(db: PgPool) -> Lookups {
    Batch::new(
        "sessions.find",
        LOOKUPS_MAX,
        batch::outage(&db),
        move |tickets: Vec<(Ticket, DateTime<Utc>)>| {
            let db = db.clone();
            async move {
                let sessions: Vec<Uuid> =
                    tickets.iter().map(|(ticket, _)| ticket.session).collect();
                let found = queries::session_users(&db, &sessions).await;
                let found = found.map_err(Error::from);
                batch::answers(&tickets, found, |found, (ticket, now)| {
                    let mut rows = found.iter();
                    rows.find(|row| row.session == ticket.session && row.id == ticket.user)
                        .filter(|row| row.expires_at > *now)
                        .map(|row| User {
                            id: row.id,
                            username: row.username.clone(),
                        })
                })
            }
        },
    )
}

/// Ends the session; its token is refused by every replica from now on.
///
/// # Errors
/// Those of the database.
pub async fn logout(ctx: &Ctx, session: &Session) -> Result<()> {
    Ok(queries::end_session(&ctx.db, session.id).await?)
}

/// Ends every session of an account, as part of the change that calls for it.
pub(crate) async fn end_all_sessions(
    tx: &mut Transaction<'_, Postgres>,
    user: UserId,
) -> Result<()> {
    Ok(queries::end_all_sessions(&mut **tx, user).await?)
}

/// Removes sessions that have expired, some at a time; answers how many.
///
/// # Errors
/// Those of the database.
pub async fn purge_expired(ctx: &Ctx) -> Result<u64> {
    Ok(queries::purge_expired(&ctx.db, ctx.clock.now(), PURGE_BATCH).await?)
}
