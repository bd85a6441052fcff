//! Every SQL statement about what people say of themselves, and the form in which any list of people is read.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{Person, Profile, ProfileChange};
use crate::{ids::UserId, relations::Relation};

/// Somebody as every list of people selects them.
pub(crate) struct PersonRow {
    pub id: UserId,
    pub username: String,
    pub display_name: String,
    pub bio: String,
    pub following: bool,
    pub followed_by: bool,
    pub blocking: bool,
    pub muting: bool,
}

impl PersonRow {
    pub(crate) fn seen_by(self, viewer: Option<UserId>) -> Person {
        Person {
            relation: viewer
                .filter(|viewer| *viewer != self.id)
                .map(|_| Relation {
                    following: self.following,
                    followed_by: self.followed_by,
                    blocking: self.blocking,
                    muting: self.muting,
                }),
            id: self.id,
            username: self.username,
            display_name: self.display_name,
            bio: self.bio,
        }
    }
}

/// The one SELECT behind every list of people. `$1` is the viewer, NULL when nobody is logged in; `$from` says which
/// people `u`, and in which order.
macro_rules! select_people {
    ($from:literal, $viewer:expr $(, $value:expr)*) => {
        sqlx::query_as!(
            PersonRow,
            r#"SELECT u.id AS "id: UserId", u.username, u.display_name, u.bio,
                      EXISTS (SELECT 1 FROM follows WHERE follower_id = $1 AND followed_id = u.id) AS "following!",
                      EXISTS (SELECT 1 FROM follows WHERE follower_id = u.id AND followed_id = $1) AS "followed_by!",
                      EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $1 AND blocked_id = u.id) AS "blocking!",
                      EXISTS (SELECT 1 FROM mutes WHERE muter_id = $1 AND muted_id = u.id) AS "muting!"
               FROM "# + $from,
            $viewer as Option<i64>
            $(, $value)*
        )
    };
}
pub(crate) use select_people;

/// The people with these numbers whom the viewer may see, in no order.
pub(super) async fn people(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    ids: &[i64],
) -> sqlx::Result<Vec<Person>> {
    let rows = select_people!(
        "users u
         WHERE u.id = ANY ($2) AND u.deleted_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = u.id AND blocked_id = $1)
             AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $1 AND blocked_id = u.id)",
        viewer.map(|id| id.0),
        ids
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.seen_by(viewer)).collect())
}

struct Row {
    id: UserId,
    username: String,
    display_name: String,
    bio: String,
    created_at: DateTime<Utc>,
    followers: i32,
    followed: i32,
    posts: i64,
    following: bool,
    followed_by: bool,
    blocking: bool,
    muting: bool,
}

impl Row {
    fn seen_by(self, viewer: Option<UserId>) -> Profile {
        let person = PersonRow {
            id: self.id,
            username: self.username,
            display_name: self.display_name,
            bio: self.bio,
            following: self.following,
            followed_by: self.followed_by,
            blocking: self.blocking,
            muting: self.muting,
        }
        .seen_by(viewer);
        Profile {
            id: person.id,
            username: person.username,
            display_name: person.display_name,
            bio: person.bio,
            created_at: self.created_at,
            followers: self.followers.into(),
            followed: self.followed.into(),
            posts: self.posts,
            relation: person.relation,
        }
    }
}

/// The profile with this number, or this name, unless its owner blocks the viewer.
pub(super) async fn find(
    db: impl PgExecutor<'_>,
    viewer: Option<UserId>,
    id: Option<UserId>,
    username: Option<&str>,
) -> sqlx::Result<Option<Profile>> {
    // The posts are counted in their index alone, which a condition on any other column would leave.
    let row = sqlx::query_as!(
        Row,
        r#"SELECT u.id AS "id: UserId", u.username, u.display_name, u.bio, u.created_at,
                  coalesce(c.followers, 0) AS "followers!", coalesce(c.followed, 0) AS "followed!",
                  (SELECT count(*) FROM posts WHERE user_id = u.id AND deleted_at IS NULL) AS "posts!",
                  EXISTS (SELECT 1 FROM follows WHERE follower_id = $1 AND followed_id = u.id) AS "following!",
                  EXISTS (SELECT 1 FROM follows WHERE follower_id = u.id AND followed_id = $1) AS "followed_by!",
                  EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $1 AND blocked_id = u.id) AS "blocking!",
                  EXISTS (SELECT 1 FROM mutes WHERE muter_id = $1 AND muted_id = u.id) AS "muting!"
           FROM users u
           LEFT JOIN user_counts c ON c.user_id = u.id
           WHERE (u.id = $2 OR lower(u.username) = lower($3)) AND u.deleted_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = u.id AND blocked_id = $1)"#,
        viewer.map(|id| id.0),
        id.map(|id| id.0),
        username
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| row.seen_by(viewer)))
}

/// Changes what is given; answers whether the display name is another one now.
pub(super) async fn update(
    db: impl PgExecutor<'_>,
    id: UserId,
    change: &ProfileChange,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"UPDATE users AS u
           SET display_name = coalesce($2, u.display_name), bio = coalesce($3, u.bio), updated_at = now()
           FROM (SELECT id, display_name FROM users WHERE id = $1 FOR NO KEY UPDATE) AS old
           WHERE u.id = old.id AND u.deleted_at IS NULL
           RETURNING u.display_name <> old.display_name AS "renamed!""#,
        id.0,
        change.display_name.as_ref().map(|name| name.as_str()),
        change.bio.as_ref().map(|bio| bio.as_str())
    )
    .fetch_optional(db)
    .await
}
