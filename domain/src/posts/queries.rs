//! The SQL statements that read `posts`; those that write are in `queries/writing.rs`.

pub(super) mod writing;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{Edit, PostView, ReplyTo, Repost, ViewerFlags};
use crate::{
    analysis::{AnalysisView, Polarity, Safety, Status, without_addresses},
    ids::{PostId, UserId},
};

/// An entry of a list joined with the post it shows, as every reading query selects it.
struct Row {
    entry: PostId,
    entry_user_id: UserId,
    entry_username: String,
    entry_display_name: String,
    entry_created_at: DateTime<Utc>,
    id: PostId,
    content: String,
    revision: i32,
    user_id: UserId,
    username: String,
    display_name: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    thread_id: Option<PostId>,
    reply_to: Option<PostId>,
    reply_to_user_id: Option<UserId>,
    reply_to_username: Option<String>,
    likes: Option<i32>,
    reposts: Option<i32>,
    replies: Option<i32>,
    has_viewer: bool,
    liked: bool,
    reposted: bool,
    bookmarked: bool,
    status: Option<Status>,
    polarity: Option<Polarity>,
    score: Option<f32>,
    confidence: Option<f32>,
    safety: Option<Safety>,
    topics: Option<Vec<String>>,
    explanation: Option<String>,
    model: Option<String>,
    error: Option<String>,
}

impl From<Row> for PostView {
    fn from(row: Row) -> Self {
        let reply_to = || {
            Some(ReplyTo {
                post_id: row.reply_to?,
                user_id: row.reply_to_user_id?,
                username: row.reply_to_username?,
            })
        };
        Self {
            reply_to: reply_to(),
            repost: (row.entry != row.id).then_some(Repost {
                id: row.entry,
                user_id: row.entry_user_id,
                username: row.entry_username,
                display_name: row.entry_display_name,
                created_at: row.entry_created_at,
            }),
            entry: row.entry,
            id: row.id,
            content: row.content,
            user_id: row.user_id,
            username: row.username,
            display_name: row.display_name,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
            edited: row.revision > 1,
            thread_id: row.thread_id,
            likes: row.likes.unwrap_or(0),
            reposts: row.reposts.unwrap_or(0),
            replies: row.replies.unwrap_or(0),
            viewer: row.has_viewer.then_some(ViewerFlags {
                liked: row.liked,
                reposted: row.reposted,
                bookmarked: row.bookmarked,
            }),
            analysis: row.status.map(|status| AnalysisView {
                status,
                polarity: row.polarity,
                score: row.score,
                confidence: row.confidence,
                safety: row.safety,
                topics: row.topics.unwrap_or_default(),
                explanation: row.explanation,
                model: row.model,
                error: row.error.as_deref().map(without_addresses),
            }),
        }
    }
}

/// The one SELECT behind every reading query: `$1` is the viewer or NULL, `$entries` says which entries (`e`; `p` is the
/// post an entry shows, which is another one for a repost), `$order` their order and number. Between people with a block,
/// in either direction, nothing is shown.
///
/// A list chooses its entries with `LIMIT 101` (the longest page, and one that tells whether there is another): planned
/// once for all values, a LIMIT in a parameter counts as a tenth of the table, and PostgreSQL would join tenths of
/// tables. It takes no more of them than the LIMIT of `$order` wants.
///
/// What the viewer has done is looked up post by post. As EXISTS, PostgreSQL would rather read everything that the viewer
/// has ever liked.
macro_rules! select_posts {
    ($viewer:expr, $entries:literal, $order:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT p.entry AS "entry: PostId", p.entry_user_id AS "entry_user_id: UserId",
                      eu.username AS entry_username, eu.display_name AS entry_display_name, p.entry_created_at,
                      p.id AS "id: PostId", p.content, p.revision, p.user_id AS "user_id: UserId", u.username, u.display_name,
                      p.created_at, p.updated_at, p.deleted_at, p.thread_id AS "thread_id: PostId",
                      p.reply_to AS "reply_to: PostId", answered.user_id AS "reply_to_user_id?: UserId",
                      answered_user.username AS "reply_to_username?",
                      c.likes AS "likes?", c.reposts AS "reposts?", c.replies AS "replies?",
                      $1::bigint IS NOT NULL AS "has_viewer!",
                      (SELECT true FROM likes l WHERE l.post_id = p.id AND l.user_id = $1 LIMIT 1) IS NOT NULL AS "liked!",
                      (SELECT true FROM posts r WHERE r.repost_of = p.id AND r.user_id = $1 AND r.deleted_at IS NULL LIMIT 1)
                          IS NOT NULL AS "reposted!",
                      (SELECT true FROM bookmarks k WHERE k.post_id = p.id AND k.user_id = $1 LIMIT 1) IS NOT NULL
                          AS "bookmarked!",
                      a.status AS "status?: Status", a.polarity AS "polarity?: Polarity", a.score AS "score?",
                      a.confidence AS "confidence?", a.safety AS "safety?: Safety", a.topics AS "topics?",
                      a.explanation AS "explanation?", a.model AS "model?",
                      CASE WHEN a.status = 'dead' THEN a.error END AS "error?"
               FROM (SELECT e.id AS entry, e.user_id AS entry_user_id, e.created_at AS entry_created_at, p.*
                     FROM posts e
                     JOIN posts p ON p.id = coalesce(e.repost_of, e.id)
                     WHERE ($1::bigint IS NULL OR NOT EXISTS (
                                SELECT FROM blocks b
                                WHERE (b.blocker_id = $1 AND b.blocked_id IN (e.user_id, p.user_id))
                                   OR (b.blocked_id = $1 AND b.blocker_id IN (e.user_id, p.user_id)))) "# + $entries + r#") AS p
               JOIN users eu ON eu.id = p.entry_user_id AND eu.deleted_at IS NULL
               JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL
               LEFT JOIN posts answered ON answered.id = p.reply_to AND answered.deleted_at IS NULL
                   AND ($1::bigint IS NULL OR NOT EXISTS (
                            SELECT FROM blocks b
                            WHERE (b.blocker_id = $1 AND b.blocked_id = answered.user_id)
                               OR (b.blocked_id = $1 AND b.blocker_id = answered.user_id)))
               LEFT JOIN users answered_user ON answered_user.id = answered.user_id
               LEFT JOIN post_counts c ON c.post_id = p.id
               LEFT JOIN post_analysis a ON a.post_id = p.id "# + $order,
            $viewer as Option<UserId> $(, $value)*
        )
    };
}

/// The newest posts of everybody below `before`, without reposts; without those of people whom the viewer has muted.
pub(super) async fn page(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<PostView>> {
    let rows = select_posts!(
        viewer,
        "AND e.deleted_at IS NULL AND e.repost_of IS NULL AND e.id < $2
         AND NOT EXISTS (SELECT FROM mutes m WHERE m.muter_id = $1 AND m.muted_id = e.user_id)
         ORDER BY e.id DESC LIMIT 101",
        "ORDER BY p.entry DESC LIMIT $3",
        before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(PostView::from).collect())
}

/// The entries that are there and may be seen, newest first.
pub(super) async fn by_entries(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    entries: &[PostId],
) -> sqlx::Result<Vec<PostView>> {
    let rows = select_posts!(
        viewer,
        "AND e.deleted_at IS NULL AND p.deleted_at IS NULL AND e.id = ANY($2)",
        "ORDER BY p.entry DESC",
        entries as &[PostId]
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(PostView::from).collect())
}

/// One post; a deleted one only when `deleted_too`. A repost is no post of its own.
pub(super) async fn find(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    id: PostId,
    deleted_too: bool,
) -> sqlx::Result<Option<PostView>> {
    let row = select_posts!(
        viewer,
        "AND e.id = $2 AND e.repost_of IS NULL AND (e.deleted_at IS NULL OR $3)",
        "",
        id.0,
        deleted_too
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(PostView::from))
}

/// An author's posts and reposts below `before`, newest first.
pub(super) async fn by_author(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    author: UserId,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<PostView>> {
    let rows = select_posts!(
        viewer,
        "AND e.user_id = $2 AND e.deleted_at IS NULL AND p.deleted_at IS NULL AND e.id < $3
         ORDER BY e.id DESC LIMIT 101",
        "ORDER BY p.entry DESC LIMIT $4",
        author.0,
        before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(PostView::from).collect())
}

/// Whether there is such an author who does not block the viewer.
pub(super) async fn has_author(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    author: UserId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM users u WHERE u.id = $2 AND u.deleted_at IS NULL
                   AND NOT EXISTS (SELECT FROM blocks b WHERE b.blocker_id = u.id AND b.blocked_id = $1)) AS "has!""#,
        viewer as Option<UserId>,
        author.0
    )
    .fetch_one(db)
    .await
}

/// The answers to a post above `after`, oldest first.
pub(super) async fn replies(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    id: PostId,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<PostView>> {
    let rows = select_posts!(
        viewer,
        "AND e.reply_to = $2 AND e.deleted_at IS NULL AND e.id > $3 ORDER BY e.id LIMIT 101",
        "ORDER BY p.entry LIMIT $4",
        id.0,
        after,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(PostView::from).collect())
}

/// What a post answers, what that answers, and so on: at most `most`, in no order.
pub(super) async fn ancestors(
    db: impl PgExecutor<'_>,
    id: PostId,
    most: i32,
) -> sqlx::Result<Vec<PostId>> {
    sqlx::query_scalar!(
        r#"WITH RECURSIVE above (id, height) AS (
               SELECT reply_to, 1 FROM posts WHERE id = $1
               UNION ALL
               SELECT p.reply_to, height + 1 FROM above JOIN posts p ON p.id = above.id WHERE height < $2)
           SELECT id AS "id!: PostId" FROM above WHERE id IS NOT NULL"#,
        id.0,
        most
    )
    .fetch_all(db)
    .await
}

/// The texts that a post has had and the one it has: the newest `most`, oldest first.
pub(super) async fn history(
    db: impl PgExecutor<'_>,
    id: PostId,
    most: i64,
) -> sqlx::Result<Vec<Edit>> {
    let mut edits = sqlx::query_as!(
        Edit,
        r#"SELECT revision AS "revision!", content AS "content!", created_at AS "created_at!"
           FROM (SELECT revision, content, created_at FROM post_edits WHERE post_id = $1
                 UNION ALL SELECT revision, content, updated_at FROM posts WHERE id = $1) AS texts
           ORDER BY revision DESC LIMIT $2"#,
        id.0,
        most
    )
    .fetch_all(db)
    .await?;
    edits.reverse();
    Ok(edits)
}

/// How a post is counted.
#[derive(Default)]
pub(super) struct Counts {
    pub likes: i32,
    pub reposts: i32,
    pub replies: i32,
}

pub(super) async fn counts(db: impl PgExecutor<'_>, id: PostId) -> sqlx::Result<Counts> {
    let counts = sqlx::query_as!(
        Counts,
        "SELECT likes, reposts, replies FROM post_counts WHERE post_id = $1",
        id.0
    )
    .fetch_optional(db)
    .await?;
    Ok(counts.unwrap_or_default())
}
