//! Every SQL statement about `posts`.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{PostText, PostView, ReplyTo, Repost, ViewerFlags};
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

pub(super) struct Inserted {
    pub id: PostId,
    pub revision: i32,
    pub display_name: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// One statement and so one transaction: the trigger writes the analysis row within it.
pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    author: UserId,
    text: &PostText,
    request_id: &str,
) -> sqlx::Result<Inserted> {
    sqlx::query_as!(
        Inserted,
        r#"INSERT INTO posts (user_id, content, request_id) VALUES ($1, $2, $3)
           RETURNING id AS "id: PostId", revision, created_at, updated_at,
               (SELECT display_name FROM users u WHERE u.id = user_id) AS "display_name!""#,
        author.0,
        text.as_str(),
        request_id
    )
    .fetch_one(db)
    .await
}

/// The one SELECT behind every reading query: `$1` is the viewer or NULL, `$tail` says which entries (`e`; `p` is the
/// post an entry shows, which is another one for a repost). Between people with a block, in either direction, nothing is shown.
///
/// What the viewer has done is looked up post by post. As EXISTS, PostgreSQL would rather read everything that the viewer
/// has ever liked.
macro_rules! select_posts {
    ($viewer:expr, $tail:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT e.id AS "entry: PostId", e.user_id AS "entry_user_id: UserId", eu.username AS entry_username,
                      eu.display_name AS entry_display_name, e.created_at AS entry_created_at,
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
               FROM posts e
               JOIN users eu ON eu.id = e.user_id AND eu.deleted_at IS NULL
               JOIN posts p ON p.id = coalesce(e.repost_of, e.id)
               JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL
               LEFT JOIN posts answered ON answered.id = p.reply_to
               LEFT JOIN users answered_user ON answered_user.id = answered.user_id
               LEFT JOIN post_counts c ON c.post_id = p.id
               LEFT JOIN post_analysis a ON a.post_id = p.id
               WHERE ($1::bigint IS NULL OR NOT EXISTS (
                          SELECT FROM blocks b
                          WHERE (b.blocker_id = $1 AND b.blocked_id IN (e.user_id, p.user_id))
                             OR (b.blocked_id = $1 AND b.blocker_id IN (e.user_id, p.user_id)))) "# + $tail,
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
         ORDER BY e.id DESC LIMIT $3",
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
        "AND e.deleted_at IS NULL AND p.deleted_at IS NULL AND e.id = ANY($2) ORDER BY e.id DESC",
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
        id.0,
        deleted_too
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(PostView::from))
}

/// Changes the author's own post; answers the revision it has now. The trigger resets the analysis if the text is
/// another one.
pub(super) async fn update(
    db: impl PgExecutor<'_>,
    id: PostId,
    author: UserId,
    text: &PostText,
    request_id: &str,
) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar!(
        "UPDATE posts SET content = $3, request_id = $4
         WHERE id = $1 AND user_id = $2 AND repost_of IS NULL AND deleted_at IS NULL RETURNING revision",
        id.0,
        author.0,
        text.as_str(),
        request_id
    )
    .fetch_optional(db)
    .await
}

/// Marks the author's own post as deleted; answers whether there was one.
pub(super) async fn delete(
    db: impl PgExecutor<'_>,
    id: PostId,
    author: UserId,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE posts SET deleted_at = now()
         WHERE id = $1 AND user_id = $2 AND repost_of IS NULL AND deleted_at IS NULL",
        id.0,
        author.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks every post of an author as deleted.
pub(super) async fn delete_all_of(db: impl PgExecutor<'_>, author: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE posts SET deleted_at = now() WHERE user_id = $1 AND deleted_at IS NULL",
        author.0
    )
    .execute(db)
    .await?;
    Ok(())
}
