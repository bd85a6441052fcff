//! Every SQL statement about `user_insights`.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, types::Json};

use super::{DAYS, REFRESH_HOURS, REST_MINUTES, TOPICS, model::Figures};
use crate::ids::UserId;

/// The figures, if they were ever computed; old ones become due by being looked at.
pub(super) async fn find(
    db: impl PgExecutor<'_>,
    id: UserId,
) -> sqlx::Result<Option<(DateTime<Utc>, Figures)>> {
    let row = sqlx::query!(
        r#"WITH looked_at AS (
               UPDATE user_insights SET due_at = now()
               WHERE user_id = $1 AND due_at > now() AND computed_at < now() - make_interval(mins => $2)
           )
           SELECT computed_at AS "computed_at!", data AS "data!: Json<Figures>"
           FROM user_insights WHERE user_id = $1 AND computed_at IS NOT NULL"#,
        id.0,
        REST_MINUTES
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.computed_at, row.data.0)))
}

/// Makes those due who have written a post, or had one judged, after `since`: now, or when they have rested. Every post
/// waits for its verdict first, so both are found by the two indexes on time that the verdicts have.
pub(super) async fn mark(tx: &mut PgConnection, since: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO user_insights AS i (user_id, due_at)
         SELECT DISTINCT p.user_id, now()
         FROM (SELECT post_id FROM post_analysis
               WHERE status = 'pending' AND pending_since > greatest($1, now() - make_interval(days => $2))
               UNION ALL
               SELECT post_id FROM post_analysis
               WHERE status = 'done' AND finished_at > greatest($1, now() - make_interval(days => $2))) AS changed
         JOIN posts p ON p.id = changed.post_id
         ORDER BY p.user_id
         ON CONFLICT (user_id) DO UPDATE SET due_at = i.computed_at + make_interval(mins => $3)
         WHERE i.due_at > i.computed_at + make_interval(mins => $3)",
        since,
        i32::try_from(DAYS).unwrap_or(i32::MAX),
        REST_MINUTES
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// People who are due, the longest first, locked until the transaction ends; those of another process are passed over.
pub(super) async fn due(tx: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<UserId>> {
    sqlx::query_scalar!(
        r#"SELECT user_id AS "id: UserId" FROM user_insights WHERE due_at <= now()
           ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED"#,
        limit
    )
    .fetch_all(tx)
    .await
}

/// Computes and stores the figures of these people, in the form of [`Figures`].
pub(super) async fn compute(tx: &mut PgConnection, people: &[UserId]) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH own AS MATERIALIZED (
             SELECT p.user_id, p.id, p.created_at
             FROM posts p
             WHERE p.user_id = ANY ($1) AND p.deleted_at IS NULL AND p.repost_of IS NULL
         ), recent AS MATERIALIZED (
             SELECT o.user_id, (o.created_at AT TIME ZONE 'UTC')::date AS date, a.score, a.polarity, a.topics
             FROM own o
             LEFT JOIN post_analysis a ON a.post_id = o.id AND a.status = 'done'
             WHERE o.created_at >= (date_trunc('day', now() AT TIME ZONE 'UTC') - make_interval(days => $2 - 1))
                                   AT TIME ZONE 'UTC'
         ), days AS (
             SELECT user_id, jsonb_agg(to_jsonb(d) - 'user_id') AS days
             FROM (SELECT user_id, date, count(*) AS posts, avg(score)::float8 AS polarity_mean,
                          count(*) FILTER (WHERE polarity = 'positive') AS positive,
                          count(*) FILTER (WHERE polarity = 'neutral') AS neutral,
                          count(*) FILTER (WHERE polarity = 'negative') AS negative
                   FROM recent GROUP BY user_id, date) AS d
             GROUP BY user_id
         ), topics AS (
             SELECT user_id, jsonb_agg(jsonb_build_object('name', name, 'posts', posts) ORDER BY place) AS topics
             FROM (SELECT r.user_id, name, count(*) AS posts,
                          row_number() OVER (PARTITION BY r.user_id ORDER BY count(*) DESC, name) AS place
                   FROM recent r CROSS JOIN unnest(r.topics) AS name
                   GROUP BY r.user_id, name) AS t
             WHERE place <= $3
             GROUP BY user_id
         ), totals AS (
             SELECT o.user_id, count(*) AS posts, sum(c.likes) AS likes, sum(c.reposts) AS reposts,
                    sum(c.replies) AS replies
             FROM own o LEFT JOIN post_counts c ON c.post_id = o.id
             GROUP BY o.user_id
         )
         INSERT INTO user_insights AS i (user_id, due_at, computed_at, data)
         SELECT u.id, now() + make_interval(hours => $4), now(), jsonb_build_object(
                    'days', coalesce(d.days, '[]'), 'topics', coalesce(t.topics, '[]'),
                    'totals', jsonb_build_object(
                        'posts', coalesce(s.posts, 0), 'likes_received', coalesce(s.likes, 0),
                        'reposts_received', coalesce(s.reposts, 0), 'replies_received', coalesce(s.replies, 0),
                        'followers', coalesce(c.followers, 0)))
         FROM users u
         LEFT JOIN days d ON d.user_id = u.id
         LEFT JOIN topics t ON t.user_id = u.id
         LEFT JOIN totals s ON s.user_id = u.id
         LEFT JOIN user_counts c ON c.user_id = u.id
         WHERE u.id = ANY ($1) AND u.deleted_at IS NULL
         ORDER BY u.id
         ON CONFLICT (user_id) DO UPDATE
             SET due_at = excluded.due_at, computed_at = excluded.computed_at, data = excluded.data",
        people as &[UserId],
        i32::try_from(DAYS).unwrap_or(i32::MAX),
        TOPICS,
        REFRESH_HOURS
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes the figures of those among these people whose accounts have gone.
pub(super) async fn forget_gone(tx: &mut PgConnection, people: &[UserId]) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM user_insights i USING users u
         WHERE i.user_id = ANY ($1) AND u.id = i.user_id AND u.deleted_at IS NOT NULL",
        people as &[UserId]
    )
    .execute(tx)
    .await?;
    Ok(())
}
