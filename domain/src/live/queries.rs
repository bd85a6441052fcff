//! Every SQL statement behind live streams. Blocks count in both directions, as everywhere.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Audience, Event, Feed, MAX_MISSED, Verdict};
use crate::{
    analysis::{AnalysisView, Polarity, Safety, Status, without_addresses},
    ids::{PostId, UserId},
};

/// How many of their own newest posts somebody is told the verdicts of after an absence.
const OWN: i64 = 50;

struct PostRow {
    id: PostId,
    user_id: UserId,
}

struct CountsRow {
    post_id: PostId,
    likes: i32,
    reposts: i32,
    replies: i32,
}

struct VerdictRow {
    id: PostId,
    user_id: UserId,
    status: Status,
    polarity: Option<Polarity>,
    score: Option<f32>,
    confidence: Option<f32>,
    safety: Option<Safety>,
    topics: Option<Vec<String>>,
    explanation: Option<String>,
    model: Option<String>,
    error: Option<String>,
}

fn numbers(posts: &[PostId]) -> Vec<i64> {
    posts.iter().map(|id| id.0).collect()
}

fn pairs(rows: Vec<PostRow>) -> Vec<(PostId, UserId)> {
    rows.into_iter().map(|row| (row.id, row.user_id)).collect()
}

pub(super) async fn audiences(
    db: impl PgExecutor<'_>,
    viewers: &[UserId],
) -> sqlx::Result<Vec<Audience>> {
    let viewers: Vec<i64> = viewers.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        Audience,
        r#"SELECT v.id AS "viewer!: UserId",
             ARRAY(SELECT f.followed_id FROM follows f
                   WHERE f.follower_id = v.id
                     AND NOT EXISTS (SELECT 1 FROM mutes m WHERE m.muter_id = v.id AND m.muted_id = f.followed_id)
                     AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = v.id AND b.blocked_id = f.followed_id)
                     AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = f.followed_id AND b.blocked_id = v.id)
             ) AS "follows!: Vec<UserId>",
             ARRAY(SELECT m.muted_id FROM mutes m WHERE m.muter_id = v.id) AS "muted!: Vec<UserId>",
             ARRAY(SELECT b.blocked_id FROM blocks b WHERE b.blocker_id = v.id
                   UNION
                   SELECT b.blocker_id FROM blocks b WHERE b.blocked_id = v.id) AS "blocked!: Vec<UserId>"
           FROM unnest($1::bigint[]) AS v (id)"#,
        &viewers
    )
    .fetch_all(db)
    .await
}

pub(super) async fn visible(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    posts: &[PostId],
) -> sqlx::Result<HashMap<PostId, UserId>> {
    let rows = sqlx::query_as!(
        PostRow,
        r#"SELECT p.id AS "id: PostId", p.user_id AS "user_id: UserId"
           FROM posts p
           WHERE p.id = ANY($1) AND p.deleted_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = $2 AND b.blocked_id = p.user_id)
             AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = p.user_id AND b.blocked_id = $2)"#,
        &numbers(posts),
        viewer.map(|viewer| viewer.0)
    )
    .fetch_all(db)
    .await?;
    Ok(pairs(rows).into_iter().collect())
}

pub(super) async fn public(
    db: impl PgExecutor<'_>,
    posts: &[PostId],
) -> sqlx::Result<Vec<(PostId, UserId)>> {
    let rows = sqlx::query_as!(
        PostRow,
        r#"SELECT id AS "id: PostId", user_id AS "user_id: UserId" FROM posts
           WHERE id = ANY($1) AND deleted_at IS NULL AND repost_of IS NULL
           ORDER BY id DESC"#,
        &numbers(posts)
    )
    .fetch_all(db)
    .await?;
    Ok(pairs(rows))
}

/// The analyses of these posts; with `since`, of those that were judged after it, or may have been given up: that takes
/// minutes from the writing, but longer after an outage, and is not noted.
pub(super) async fn verdicts(
    db: impl PgExecutor<'_>,
    posts: &[PostId],
    since: Option<DateTime<Utc>>,
) -> sqlx::Result<Vec<Verdict>> {
    if posts.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        VerdictRow,
        r#"SELECT p.id AS "id: PostId", p.user_id AS "user_id: UserId", a.status AS "status: Status",
                  a.polarity AS "polarity: Polarity", a.score, a.confidence, a.safety AS "safety: Safety", a.topics,
                  a.explanation, a.model, CASE WHEN a.status = 'dead' THEN a.error END AS error
           FROM post_analysis a JOIN posts p ON p.id = a.post_id
           WHERE a.post_id = ANY($1) AND p.deleted_at IS NULL
             AND ($2::timestamptz IS NULL OR a.finished_at > $2
                  OR (a.status = 'dead' AND a.pending_since > $2 - interval '1 hour'))"#,
        &numbers(posts),
        since
    )
    .fetch_all(db)
    .await?;
    let verdict = |row: VerdictRow| Verdict {
        post: row.id,
        author: row.user_id,
        analysis: AnalysisView {
            status: row.status,
            polarity: row.polarity,
            score: row.score,
            confidence: row.confidence,
            safety: row.safety,
            topics: row.topics.unwrap_or_default(),
            explanation: row.explanation,
            model: row.model,
            error: row.error.as_deref().map(without_addresses),
        },
    };
    Ok(rows.into_iter().map(verdict).collect())
}

pub(super) async fn lasting(
    db: impl PgExecutor<'_>,
    sessions: &[Uuid],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM sessions WHERE id = ANY($1) AND expires_at > $2",
        sessions,
        now
    )
    .fetch_all(db)
    .await
}

pub(super) async fn newest(db: impl PgExecutor<'_>) -> sqlx::Result<PostId> {
    sqlx::query_scalar!(r#"SELECT coalesce(max(id), 0) AS "id!: PostId" FROM posts"#)
        .fetch_one(db)
        .await
}

/// Posts of a feed above a number, newest first; one more than are told of.
pub(super) async fn posts_since(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    feed: Feed,
    after: PostId,
) -> sqlx::Result<Vec<(PostId, UserId)>> {
    let limit = MAX_MISSED as i64 + 1;
    let viewer = viewer.map(|viewer| viewer.0);
    let rows = match feed {
        Feed::Nothing => Vec::new(),
        Feed::Public => {
            sqlx::query_as!(
                PostRow,
                r#"SELECT p.id AS "id: PostId", p.user_id AS "user_id: UserId" FROM posts p
                   WHERE p.id > $1 AND p.deleted_at IS NULL AND p.repost_of IS NULL
                     AND NOT EXISTS (SELECT 1 FROM mutes m WHERE m.muter_id = $2 AND m.muted_id = p.user_id)
                     AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = $2 AND b.blocked_id = p.user_id)
                     AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = p.user_id AND b.blocked_id = $2)
                   ORDER BY p.id DESC LIMIT $3"#,
                after.0,
                viewer,
                limit
            )
            .fetch_all(db)
            .await?
        }
        Feed::Home => {
            sqlx::query_as!(
                PostRow,
                r#"SELECT p.id AS "id: PostId", p.user_id AS "user_id: UserId"
                   FROM follows f JOIN posts p ON p.user_id = f.followed_id
                   LEFT JOIN posts original ON original.id = p.repost_of
                   LEFT JOIN posts answered ON answered.id = p.reply_to
                   WHERE f.follower_id = $2 AND p.id > $1 AND p.deleted_at IS NULL AND original.deleted_at IS NULL
                     AND NOT EXISTS (SELECT 1 FROM mutes m
                                     WHERE m.muter_id = $2 AND m.muted_id IN (p.user_id, original.user_id))
                     AND NOT EXISTS (SELECT 1 FROM blocks b
                                     WHERE b.blocker_id = $2 AND b.blocked_id IN (p.user_id, original.user_id))
                     AND NOT EXISTS (SELECT 1 FROM blocks b
                                     WHERE b.blocker_id IN (p.user_id, original.user_id) AND b.blocked_id = $2)
                     AND (answered.id IS NULL OR answered.user_id IN (p.user_id, $2)
                          OR EXISTS (SELECT 1 FROM follows g
                                     WHERE g.follower_id = $2 AND g.followed_id = answered.user_id))
                   ORDER BY p.id DESC LIMIT $3"#,
                after.0,
                viewer,
                limit
            )
            .fetch_all(db)
            .await?
        }
    };
    Ok(pairs(rows))
}

/// Somebody's own newest posts.
pub(super) async fn own(db: impl PgExecutor<'_>, author: UserId) -> sqlx::Result<Vec<PostId>> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: PostId" FROM posts
           WHERE user_id = $1 AND deleted_at IS NULL ORDER BY id DESC LIMIT $2"#,
        author.0,
        OWN
    )
    .fetch_all(db)
    .await
}

pub(super) async fn counts(db: impl PgExecutor<'_>, posts: &[PostId]) -> sqlx::Result<Vec<Event>> {
    if posts.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        CountsRow,
        r#"SELECT post_id AS "post_id: PostId", likes, reposts, replies FROM post_counts WHERE post_id = ANY($1)"#,
        &numbers(posts)
    )
    .fetch_all(db)
    .await?;
    let event = |row: CountsRow| Event::Counts {
        post: row.post_id,
        likes: row.likes,
        reposts: row.reposts,
        replies: row.replies,
    };
    Ok(rows.into_iter().map(event).collect())
}

/// The newest notification's number.
pub(super) async fn newest_notification(
    db: impl PgExecutor<'_>,
    user: UserId,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "SELECT max(id) FROM notifications WHERE user_id = $1",
        user.0
    )
    .fetch_one(db)
    .await
}
