//! Every SQL statement about `notifications`.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::{
    Actor, Kind, Notice, NotificationView, PostExcerpt,
    model::{EXCERPT, excerpt},
};
use crate::ids::{PostId, UserId};

/// Writes those that may be told and were not told before; answers who has a new one.
pub(super) async fn insert(tx: &mut PgConnection, notices: &[Notice]) -> sqlx::Result<Vec<UserId>> {
    let to: Vec<i64> = notices.iter().map(|notice| notice.to.0).collect();
    let actors: Vec<i64> = notices.iter().map(|notice| notice.actor.0).collect();
    let kinds: Vec<&str> = notices.iter().map(|notice| notice.kind.as_str()).collect();
    let posts: Vec<Option<i64>> = notices
        .iter()
        .map(|notice| notice.post.map(|id| id.0))
        .collect();
    sqlx::query_scalar!(
        r#"INSERT INTO notifications (user_id, actor_id, kind, post_id)
           SELECT n.user_id, n.actor_id, n.kind, n.post_id
           FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) AS n (user_id, actor_id, kind, post_id)
           JOIN users u ON u.id = n.user_id AND u.deleted_at IS NULL
           WHERE n.user_id <> n.actor_id
               AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = n.user_id AND blocked_id = n.actor_id)
               AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = n.actor_id AND blocked_id = n.user_id)
               AND NOT EXISTS (SELECT 1 FROM mutes WHERE muter_id = n.user_id AND muted_id = n.actor_id)
           ON CONFLICT DO NOTHING
           RETURNING user_id AS "user_id: UserId""#,
        &to,
        &actors,
        &kinds as &[&str],
        &posts as &[Option<i64>]
    )
    .fetch_all(tx)
    .await
}

/// `$what` of the notifications `n` of a person, with their actors `a` and posts `p`, that are still to be shown: not
/// those from people who have gone or are blocked or muted by now, nor about posts that have gone.
///
/// Looked up one by one: as NOT EXISTS, PostgreSQL compared each with all that somebody blocks, 0.6 s for 6,000 of them.
macro_rules! shown {
    ($query:ident!($($row:ident,)? $what:literal, $tail:literal $(, $value:expr)*)) => {
        sqlx::$query!(
            $($row,)?
            $what + " FROM notifications n
                JOIN users a ON a.id = n.actor_id AND a.deleted_at IS NULL
                LEFT JOIN posts p ON p.id = n.post_id
                WHERE p.deleted_at IS NULL
                    AND (SELECT true FROM blocks WHERE blocker_id = n.user_id AND blocked_id = n.actor_id LIMIT 1) IS NULL
                    AND (SELECT true FROM blocks WHERE blocker_id = n.actor_id AND blocked_id = n.user_id LIMIT 1) IS NULL
                    AND (SELECT true FROM mutes WHERE muter_id = n.user_id AND muted_id = n.actor_id LIMIT 1) IS NULL "
            + $tail
            $(, $value)*
        )
    };
}

struct Row {
    id: i64,
    kind: Kind,
    created_at: DateTime<Utc>,
    read: bool,
    actor_id: UserId,
    username: String,
    display_name: String,
    post_id: Option<PostId>,
    beginning: Option<String>,
    dangerous: bool,
}

impl From<Row> for NotificationView {
    fn from(row: Row) -> Self {
        let post = row.post_id.zip(row.beginning);
        Self {
            id: row.id,
            kind: row.kind,
            created_at: row.created_at,
            read: row.read,
            actor: Actor {
                id: row.actor_id,
                username: row.username,
                display_name: row.display_name,
            },
            post: post.map(|(id, beginning)| PostExcerpt {
                id,
                excerpt: excerpt(&beginning),
                dangerous: row.dangerous,
            }),
        }
    }
}

/// The newest below `before`.
pub(super) async fn list(
    db: impl PgExecutor<'_>,
    user: UserId,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<NotificationView>> {
    // One character more than is shown tells whether there is more.
    let probe = i32::try_from(EXCERPT + 1).unwrap_or(i32::MAX);
    let rows = shown!(query_as!(
        Row,
        r#"SELECT n.id, n.kind AS "kind: Kind", n.created_at, n.read_at IS NOT NULL AS "read!",
                  a.id AS "actor_id: UserId", a.username, a.display_name,
                  p.id AS "post_id?: PostId", left(p.content, $4) AS "beginning?",
                  EXISTS (SELECT 1 FROM post_analysis WHERE post_id = p.id AND safety = 'dangerous') AS "dangerous!""#,
        "AND n.user_id = $1 AND n.id < $2 ORDER BY n.id DESC LIMIT $3",
        user.0,
        before,
        limit,
        probe
    ))
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(NotificationView::from).collect())
}

/// How many are unread, counted up to `most`.
pub(super) async fn unread(db: impl PgExecutor<'_>, user: UserId, most: i64) -> sqlx::Result<i64> {
    shown!(query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (SELECT 1"#,
        "AND n.user_id = $1 AND n.read_at IS NULL LIMIT $2) AS unread",
        user.0,
        most
    ))
    .fetch_one(db)
    .await
}

/// Somebody's notifications in two numbers.
pub(super) struct Standing {
    pub user: UserId,
    pub newest: Option<i64>,
    pub unread: i64,
}

/// How several people stand.
pub(super) async fn standings(
    db: impl PgExecutor<'_>,
    users: &[i64],
    most: i64,
) -> sqlx::Result<Vec<Standing>> {
    shown!(query_as!(
        Standing,
        r#"SELECT who.id AS "user!: UserId",
                  (SELECT max(id) FROM notifications WHERE user_id = who.id) AS newest,
                  (SELECT count(*) FROM (SELECT 1"#,
        r#"AND n.user_id = who.id AND n.read_at IS NULL LIMIT $2) AS unread) AS "unread!"
           FROM unnest($1::bigint[]) AS who (id)"#,
        users,
        most
    ))
    .fetch_all(db)
    .await
}

/// Marks those up to a number as read; answers how many were not. Rows are locked in one order here and wherever many
/// are removed, so that nobody waits in a circle.
pub(super) async fn mark_read(
    db: impl PgExecutor<'_>,
    user: UserId,
    up_to: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "WITH unread AS (
             SELECT id FROM notifications WHERE user_id = $1 AND read_at IS NULL AND id <= $2
             ORDER BY id FOR UPDATE)
         UPDATE notifications SET read_at = $3 FROM unread WHERE notifications.id = unread.id",
        user.0,
        up_to,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Removes what two people have told each other.
pub(super) async fn remove_between(
    tx: &mut PgConnection,
    one: UserId,
    other: UserId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH gone AS (
             SELECT id FROM notifications
             WHERE (user_id = $1 AND actor_id = $2) OR (user_id = $2 AND actor_id = $1)
             ORDER BY id FOR UPDATE)
         DELETE FROM notifications USING gone WHERE notifications.id = gone.id",
        one.0,
        other.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes what somebody was told and has caused.
pub(super) async fn remove_all(tx: &mut PgConnection, id: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH gone AS (
             SELECT id FROM notifications WHERE user_id = $1 OR actor_id = $1 ORDER BY id FOR UPDATE)
         DELETE FROM notifications USING gone WHERE notifications.id = gone.id",
        id.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes the oldest ones from before `then`, at most `most`. The oldest have the smallest numbers, so their index
/// finds them, and one look at the first of it is all that it costs when there are none.
pub(super) async fn purge(
    db: impl PgExecutor<'_>,
    then: DateTime<Utc>,
    most: i64,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "WITH gone AS (
             SELECT id FROM notifications
             WHERE id IN (SELECT id FROM (SELECT id, created_at FROM notifications ORDER BY id LIMIT $2) AS oldest
                          WHERE created_at < $1)
             ORDER BY id FOR UPDATE SKIP LOCKED)
         DELETE FROM notifications USING gone WHERE notifications.id = gone.id",
        then,
        most
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
