//! Every SQL statement about `trends`, and those that find posts by tag or topic.

use sqlx::{PgConnection, PgExecutor};

use super::{FEWEST_PEOPLE, HALF_LIFE_HOURS, MOST, Trend, Trends, WINDOW_HOURS};
use crate::ids::{PostId, UserId};

/// The trends and when they were computed.
pub(super) async fn current(db: impl PgExecutor<'_>, job: &str) -> sqlx::Result<Trends> {
    let rows = sqlx::query!(
        r#"SELECT s.ran_at AS "ran_at?", t.kind AS "kind?", t.name AS "name?", t.posts AS "posts?",
                  t.people AS "people?"
           FROM (SELECT (SELECT ran_at FROM schedules WHERE job = $1) AS ran_at) AS s
           LEFT JOIN trends t ON true
           ORDER BY t.kind, t.place"#,
        job
    )
    .fetch_all(db)
    .await?;
    let mut trends = Trends::default();
    for row in rows {
        trends.computed_at = row.ran_at;
        let (Some(name), Some(posts), Some(people)) = (row.name, row.posts, row.people) else {
            continue;
        };
        let trend = Trend {
            name,
            posts,
            people,
        };
        match row.kind.as_deref() {
            Some("tag") => trends.tags.push(trend),
            _ => trends.topics.push(trend),
        }
    }
    Ok(trends)
}

pub(super) async fn clear(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM trends").execute(tx).await?;
    Ok(())
}

/// Computes the trends of this moment, as the slice's head describes. A topic's post must itself be of the window: old
/// ones are judged again, too.
pub(super) async fn fill(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH used AS (
             SELECT 'tag' AS kind, t.tag AS name, p.user_id, count(*) AS posts, max(t.created_at) AS latest
             FROM post_tags t
             JOIN posts p ON p.id = t.post_id AND p.deleted_at IS NULL
             LEFT JOIN post_analysis a ON a.post_id = t.post_id
             WHERE t.created_at > now() - make_interval(secs => 3600 * $1::float8) AND a.safety IS DISTINCT FROM 'dangerous'
             GROUP BY t.tag, p.user_id
             UNION ALL
             SELECT 'topic', topic, p.user_id, count(*), max(p.created_at)
             FROM post_analysis a
             JOIN posts p ON p.id = a.post_id AND p.deleted_at IS NULL
             CROSS JOIN unnest(a.topics) AS topic
             WHERE a.status = 'done' AND a.finished_at > now() - make_interval(secs => 3600 * $1::float8)
               AND p.created_at > now() - make_interval(secs => 3600 * $1::float8) AND a.safety = 'ok'
             GROUP BY topic, p.user_id
         ), ranked AS (
             SELECT kind, name, sum(posts) AS posts, count(*) AS people,
                    row_number() OVER (
                        PARTITION BY kind
                        ORDER BY sum(0.5 ^ (extract(epoch FROM now() - latest)::float8 / (3600 * $2::float8))) DESC, name
                    ) AS place
             FROM used
             GROUP BY kind, name
             HAVING count(*) >= $3
         )
         INSERT INTO trends (kind, name, posts, people, place)
         SELECT kind, name, posts, people, place FROM ranked WHERE place <= $4",
        WINDOW_HOURS,
        HALF_LIFE_HOURS,
        FEWEST_PEOPLE,
        MOST
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The posts with a tag; the primary key of `post_tags` holds them in this order. Each is looked up by itself: PostgreSQL
/// would else walk down all posts beside those of a tag that it takes for common, however far below they are.
pub(super) async fn tagged(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    tag: &str,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<PostId>> {
    sqlx::query_scalar!(
        r#"SELECT t.post_id AS "id: PostId"
           FROM post_tags t
           CROSS JOIN LATERAL (SELECT user_id FROM posts WHERE id = t.post_id AND deleted_at IS NULL LIMIT 1) AS p
           WHERE t.tag = $2 AND t.post_id < $3
             AND p.user_id NOT IN (SELECT blocked_id FROM blocks WHERE blocker_id = $1
                                   UNION ALL SELECT blocker_id FROM blocks WHERE blocked_id = $1
                                   UNION ALL SELECT muted_id FROM mutes WHERE muter_id = $1)
           ORDER BY t.post_id DESC LIMIT $4"#,
        viewer as Option<UserId>,
        tag,
        before,
        limit
    )
    .fetch_all(db)
    .await
}

/// The posts whose verdict names a topic, as [`tagged`] from `post_topics`.
pub(super) async fn about(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    topic: &str,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<PostId>> {
    sqlx::query_scalar!(
        r#"SELECT t.post_id AS "id: PostId"
           FROM post_topics t
           CROSS JOIN LATERAL (SELECT user_id FROM posts WHERE id = t.post_id AND deleted_at IS NULL LIMIT 1) AS p
           WHERE t.topic = $2 AND t.post_id < $3
             AND p.user_id NOT IN (SELECT blocked_id FROM blocks WHERE blocker_id = $1
                                   UNION ALL SELECT blocker_id FROM blocks WHERE blocked_id = $1
                                   UNION ALL SELECT muted_id FROM mutes WHERE muter_id = $1)
           ORDER BY t.post_id DESC LIMIT $4"#,
        viewer as Option<UserId>,
        topic,
        before,
        limit
    )
    .fetch_all(db)
    .await
}
