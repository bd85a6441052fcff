//! Every SQL statement of an export. They read the tables of many slices, for one person and in one transaction.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Account, Contact, Edit, Mark, Told, Written};
use crate::{
    analysis::{AnalysisView, Polarity, Safety, Status, without_addresses},
    ids::{PostId, UserId},
    notifications::Kind,
};

pub(super) async fn account(tx: &mut PgConnection, id: UserId) -> sqlx::Result<Option<Account>> {
    sqlx::query_as!(
        Account,
        r#"SELECT id AS "id: UserId", username, display_name, bio, created_at, updated_at
           FROM users WHERE id = $1 AND deleted_at IS NULL"#,
        id.0
    )
    .fetch_optional(tx)
    .await
}

/// One list of people: a table, the column of the account and that of the others.
macro_rules! contacts {
    ($name:ident $sql:literal) => {
        pub(super) async fn $name(
            tx: &mut PgConnection,
            id: UserId,
            before: i64,
            limit: i64,
        ) -> sqlx::Result<Vec<Contact>> {
            sqlx::query_as!(
                Contact,
                r#"SELECT u.id AS "id: UserId", u.username, l.created_at FROM "#
                    + $sql
                    + " AND u.id < $2 ORDER BY u.id DESC LIMIT $3",
                id.0,
                before,
                limit
            )
            .fetch_all(tx)
            .await
        }
    };
}
contacts!(followed "follows l JOIN users u ON u.id = l.followed_id WHERE l.follower_id = $1");
contacts!(followers "follows l JOIN users u ON u.id = l.follower_id WHERE l.followed_id = $1");
contacts!(blocks "blocks l JOIN users u ON u.id = l.blocked_id WHERE l.blocker_id = $1");
contacts!(mutes "mutes l JOIN users u ON u.id = l.muted_id WHERE l.muter_id = $1");

pub(super) async fn likes(
    tx: &mut PgConnection,
    id: UserId,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Mark>> {
    sqlx::query_as!(
        Mark,
        r#"SELECT post_id AS key, post_id AS "post_id: PostId", created_at FROM likes
           WHERE user_id = $1 AND post_id < $2 ORDER BY post_id DESC LIMIT $3"#,
        id.0,
        before,
        limit
    )
    .fetch_all(tx)
    .await
}

pub(super) async fn bookmarks(
    tx: &mut PgConnection,
    id: UserId,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Mark>> {
    sqlx::query_as!(
        Mark,
        r#"SELECT id AS key, post_id AS "post_id: PostId", created_at FROM bookmarks
           WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"#,
        id.0,
        before,
        limit
    )
    .fetch_all(tx)
    .await
}

pub(super) async fn notifications(
    tx: &mut PgConnection,
    id: UserId,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Told>> {
    sqlx::query_as!(
        Told,
        r#"SELECT n.id, n.kind AS "kind: Kind", n.actor_id AS "actor_id: UserId", a.username,
                  n.post_id AS "post_id: PostId", n.created_at, n.read_at
           FROM notifications n JOIN users a ON a.id = n.actor_id
           WHERE n.user_id = $1 AND n.id < $2 ORDER BY n.id DESC LIMIT $3"#,
        id.0,
        before,
        limit
    )
    .fetch_all(tx)
    .await
}

struct Row {
    id: PostId,
    content: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    reply_to: Option<PostId>,
    repost_of: Option<PostId>,
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

impl Row {
    fn with(self, edits: Vec<Edit>) -> Written {
        Written {
            id: self.id,
            content: self.content,
            created_at: self.created_at,
            updated_at: self.updated_at,
            reply_to: self.reply_to,
            repost_of: self.repost_of,
            edits,
            analysis: self.status.map(|status| AnalysisView {
                status,
                polarity: self.polarity,
                score: self.score,
                confidence: self.confidence,
                safety: self.safety,
                topics: self.topics.unwrap_or_default(),
                explanation: self.explanation,
                model: self.model,
                error: self.error.as_deref().map(without_addresses),
            }),
        }
    }
}

/// Posts that are not deleted, with what they said before.
pub(super) async fn posts(
    tx: &mut PgConnection,
    id: UserId,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Written>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT p.id AS "id: PostId", p.content, p.created_at, p.updated_at,
                  p.reply_to AS "reply_to: PostId", p.repost_of AS "repost_of: PostId",
                  a.status AS "status?: Status", a.polarity AS "polarity?: Polarity", a.score AS "score?",
                  a.confidence AS "confidence?", a.safety AS "safety?: Safety", a.topics AS "topics?",
                  a.explanation AS "explanation?", a.model AS "model?",
                  CASE WHEN a.status = 'dead' THEN a.error END AS "error?"
           FROM posts p LEFT JOIN post_analysis a ON a.post_id = p.id
           WHERE p.user_id = $1 AND p.deleted_at IS NULL AND p.id < $2 ORDER BY p.id DESC LIMIT $3"#,
        id.0,
        before,
        limit
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id.0).collect();
    let edits = sqlx::query!(
        r#"SELECT post_id AS "post_id: PostId", content, created_at FROM post_edits
           WHERE post_id = ANY ($1) ORDER BY post_id, revision"#,
        &ids
    )
    .fetch_all(tx)
    .await?;
    let mut by_post = HashMap::<PostId, Vec<Edit>>::new();
    for edit in edits {
        by_post.entry(edit.post_id).or_default().push(Edit {
            content: edit.content,
            created_at: edit.created_at,
        });
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            let edits = by_post.remove(&row.id).unwrap_or_default();
            row.with(edits)
        })
        .collect())
}
