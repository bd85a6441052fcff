//! Every SQL statement about `posts`.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{PostText, PostView};
use crate::{
    analysis::{AnalysisView, Polarity, Safety, Status, without_addresses},
    ids::{PostId, UserId},
};

/// A post joined with its author and its analysis, as every reading query selects it.
struct Row {
    id: PostId,
    content: String,
    user_id: UserId,
    username: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
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
        Self {
            id: row.id,
            content: row.content,
            user_id: row.user_id,
            username: row.username,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
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
           RETURNING id AS "id: PostId", revision, created_at, updated_at"#,
        author.0,
        text.as_str(),
        request_id
    )
    .fetch_one(db)
    .await
}

/// The one SELECT behind every reading query; `$tail` says which posts.
macro_rules! select_posts {
    ($tail:literal, $($value:expr),+) => {
        sqlx::query_as!(
            Row,
            r#"SELECT p.id AS "id: PostId", p.content, p.user_id AS "user_id: UserId", u.username,
                      p.created_at, p.updated_at, p.deleted_at,
                      a.status AS "status?: Status", a.polarity AS "polarity?: Polarity", a.score AS "score?",
                      a.confidence AS "confidence?", a.safety AS "safety?: Safety", a.topics AS "topics?",
                      a.explanation AS "explanation?", a.model AS "model?",
                      CASE WHEN a.status = 'dead' THEN a.error END AS "error?"
               FROM posts p
               JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL
               LEFT JOIN post_analysis a ON a.post_id = p.id "# + $tail,
            $($value),+
        )
    };
}

/// The newest posts below `before`.
pub(super) async fn page(
    db: impl PgExecutor<'_>,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<PostView>> {
    let rows = select_posts!(
        "WHERE p.deleted_at IS NULL AND p.id < $1 ORDER BY p.id DESC LIMIT $2",
        before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(PostView::from).collect())
}

/// One post; a deleted one only when `deleted_too`.
pub(super) async fn find(
    db: impl PgExecutor<'_>,
    id: PostId,
    deleted_too: bool,
) -> sqlx::Result<Option<PostView>> {
    let row = select_posts!(
        "WHERE p.id = $1 AND (p.deleted_at IS NULL OR $2)",
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
         WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL RETURNING revision",
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
        "UPDATE posts SET deleted_at = now() WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL",
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
