//! Every SQL statement about `follows`, `blocks` and `mutes`.

use sqlx::{PgConnection, PgExecutor};

use super::{Relation, model::Pair};
use crate::{
    ids::UserId,
    profiles::{Person, PersonRow, select_people},
};

/// Holds both accounts as they are until the transaction ends, against their deletion and against a block between
/// them; answers whether both stand. The smaller number first, always, so that two who do this to each other wait in
/// one line.
pub(super) async fn hold(tx: &mut PgConnection, pair: Pair) -> sqlx::Result<bool> {
    let held = sqlx::query!(
        "SELECT id FROM users WHERE id IN ($1, $2) AND deleted_at IS NULL ORDER BY id FOR SHARE",
        pair.own.0,
        pair.other.0
    )
    .fetch_all(tx)
    .await?;
    Ok(held.len() == 2)
}

/// The same for whoever blocks: nobody else holds either account meanwhile.
pub(super) async fn hold_alone(tx: &mut PgConnection, pair: Pair) -> sqlx::Result<bool> {
    let held = sqlx::query!(
        "SELECT id FROM users WHERE id IN ($1, $2) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE",
        pair.own.0,
        pair.other.0
    )
    .fetch_all(tx)
    .await?;
    Ok(held.len() == 2)
}

/// Whether one of two people blocks the other.
pub(super) struct Blocks {
    /// They block the viewer.
    pub blocked: bool,
    /// The viewer blocks them.
    pub blocking: bool,
}

pub(super) async fn blocks(db: impl PgExecutor<'_>, pair: Pair) -> sqlx::Result<Blocks> {
    sqlx::query_as!(
        Blocks,
        r#"SELECT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS "blocked!",
                  EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS "blocking!""#,
        pair.own.0,
        pair.other.0
    )
    .fetch_one(db)
    .await
}

pub(super) async fn relation(db: impl PgExecutor<'_>, pair: Pair) -> sqlx::Result<Relation> {
    sqlx::query_as!(
        Relation,
        r#"SELECT EXISTS (SELECT 1 FROM follows WHERE follower_id = $1 AND followed_id = $2) AS "following!",
                  EXISTS (SELECT 1 FROM follows WHERE follower_id = $2 AND followed_id = $1) AS "followed_by!",
                  EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS "blocking!",
                  EXISTS (SELECT 1 FROM mutes WHERE muter_id = $1 AND muted_id = $2) AS "muting!""#,
        pair.own.0,
        pair.other.0
    )
    .fetch_one(db)
    .await
}

/// Whether the account stands and does not block the viewer.
pub(super) async fn is_visible(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    id: UserId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM users u WHERE u.id = $2 AND u.deleted_at IS NULL
                   AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = u.id AND blocked_id = $1)
           ) AS "is!""#,
        viewer.map(|id| id.0),
        id.0
    )
    .fetch_one(db)
    .await
}

/// Answers whether there was no follow yet. A trigger counts it.
pub(super) async fn follow(db: impl PgExecutor<'_>, pair: Pair) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO follows (follower_id, followed_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        pair.own.0,
        pair.other.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many people `id` follows.
pub(super) async fn followed_count(db: impl PgExecutor<'_>, id: UserId) -> sqlx::Result<i32> {
    let count = sqlx::query_scalar!("SELECT followed FROM user_counts WHERE user_id = $1", id.0)
        .fetch_optional(db)
        .await?;
    Ok(count.unwrap_or(0))
}

/// Answers whether there was a follow.
pub(super) async fn unfollow(db: impl PgExecutor<'_>, pair: Pair) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM follows WHERE follower_id = $1 AND followed_id = $2",
        pair.own.0,
        pair.other.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the follows between two people.
pub(super) async fn part(db: impl PgExecutor<'_>, pair: Pair) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM follows
         WHERE (follower_id = $1 AND followed_id = $2) OR (follower_id = $2 AND followed_id = $1)",
        pair.own.0,
        pair.other.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Answers whether there was no block yet.
pub(super) async fn block(db: impl PgExecutor<'_>, pair: Pair) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO blocks (blocker_id, blocked_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        pair.own.0,
        pair.other.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Answers whether there was a block.
pub(super) async fn unblock(db: impl PgExecutor<'_>, pair: Pair) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM blocks WHERE blocker_id = $1 AND blocked_id = $2",
        pair.own.0,
        pair.other.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Answers whether there was no mute yet.
pub(super) async fn mute(db: impl PgExecutor<'_>, pair: Pair) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO mutes (muter_id, muted_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        pair.own.0,
        pair.other.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Answers whether there was a mute.
pub(super) async fn unmute(db: impl PgExecutor<'_>, pair: Pair) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM mutes WHERE muter_id = $1 AND muted_id = $2",
        pair.own.0,
        pair.other.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Those of these people who block somebody, are blocked or mute somebody. Looked up person by person: as EXISTS, the
/// tables would be read whole.
pub(super) async fn with_limits(
    db: impl PgExecutor<'_>,
    people: &[UserId],
) -> sqlx::Result<Vec<UserId>> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id!: UserId" FROM unnest($1::bigint[]) AS id
           WHERE (SELECT true FROM blocks WHERE blocker_id = id LIMIT 1) IS NOT NULL
               OR (SELECT true FROM blocks WHERE blocked_id = id LIMIT 1) IS NOT NULL
               OR (SELECT true FROM mutes WHERE muter_id = id LIMIT 1) IS NOT NULL"#,
        people as &[UserId]
    )
    .fetch_all(db)
    .await
}

/// Removes all that ties an account to others. Rows are locked in one order, so that two accounts that go at once and
/// had to do with each other wait in one line.
pub(super) async fn remove_all(tx: &mut PgConnection, id: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH gone AS (
             SELECT follower_id, followed_id FROM follows WHERE follower_id = $1 OR followed_id = $1
             ORDER BY follower_id, followed_id FOR UPDATE)
         DELETE FROM follows USING gone
         WHERE follows.follower_id = gone.follower_id AND follows.followed_id = gone.followed_id",
        id.0
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("DELETE FROM user_counts WHERE user_id = $1", id.0)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "WITH gone AS (
             SELECT blocker_id, blocked_id FROM blocks WHERE blocker_id = $1 OR blocked_id = $1
             ORDER BY blocker_id, blocked_id FOR UPDATE)
         DELETE FROM blocks USING gone
         WHERE blocks.blocker_id = gone.blocker_id AND blocks.blocked_id = gone.blocked_id",
        id.0
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "WITH gone AS (
             SELECT muter_id, muted_id FROM mutes WHERE muter_id = $1 OR muted_id = $1
             ORDER BY muter_id, muted_id FOR UPDATE)
         DELETE FROM mutes USING gone
         WHERE mutes.muter_id = gone.muter_id AND mutes.muted_id = gone.muted_id",
        id.0
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// People whose number is below `before`, the newest accounts first; one's own lists show everybody, lists of others
/// nobody with a block between them and the viewer.
macro_rules! list {
    ($(#[$doc:meta])* $name:ident $from:literal) => {
        $(#[$doc])*
        pub(super) async fn $name(
            db: impl PgExecutor<'_>,
            viewer: Option<UserId>,
            of: UserId,
            before: i64,
            limit: i64,
        ) -> sqlx::Result<Vec<Person>> {
            let viewer_id = viewer.map(|id| id.0);
            let rows = select_people!($from, viewer_id, of.0, before, limit).fetch_all(db).await?;
            Ok(rows.into_iter().map(|row| row.seen_by(viewer)).collect())
        }
    };
}

list! {
    /// Who follows `of`.
    followers
    "follows l JOIN users u ON u.id = l.follower_id AND u.deleted_at IS NULL
     WHERE l.followed_id = $2 AND l.follower_id < $3
         AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = u.id AND blocked_id = $1)
         AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $1 AND blocked_id = u.id)
     ORDER BY l.follower_id DESC LIMIT $4"
}

list! {
    /// Whom `of` follows.
    followed
    "follows l JOIN users u ON u.id = l.followed_id AND u.deleted_at IS NULL
     WHERE l.follower_id = $2 AND l.followed_id < $3
         AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = u.id AND blocked_id = $1)
         AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $1 AND blocked_id = u.id)
     ORDER BY l.followed_id DESC LIMIT $4"
}

list! {
    /// Whom `of` blocks.
    blocked
    "blocks l JOIN users u ON u.id = l.blocked_id AND u.deleted_at IS NULL
     WHERE l.blocker_id = $2 AND l.blocked_id < $3
     ORDER BY l.blocked_id DESC LIMIT $4"
}

list! {
    /// Whom `of` mutes.
    muted
    "mutes l JOIN users u ON u.id = l.muted_id AND u.deleted_at IS NULL
     WHERE l.muter_id = $2 AND l.muted_id < $3
     ORDER BY l.muted_id DESC LIMIT $4"
}
