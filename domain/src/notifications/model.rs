//! What is told to people.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::ids::{PostId, UserId};

/// The longest excerpt of a post, in Unicode scalar values.
pub const EXCERPT: usize = 140;

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Kind {
    /// Answered a post of one's own; the post is the answer.
    Reply,
    /// Named one in a post, which is the post.
    Mention,
    /// Liked a post of one's own.
    Like,
    /// Reposted a post of one's own.
    Repost,
    /// Follows one.
    Follow,
}

impl Kind {
    /// The word used in JSON and SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Mention => "mention",
            Self::Like => "like",
            Self::Repost => "repost",
            Self::Follow => "follow",
        }
    }
}

/// Something to tell somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whom.
    pub to: UserId,
    /// Who did it.
    pub actor: UserId,
    /// What.
    pub kind: Kind,
    /// To or in which post.
    pub post: Option<PostId>,
}

/// A notification as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationView {
    /// Its number.
    pub id: i64,
    /// What was done.
    pub kind: Kind,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Whether it has been read.
    pub read: bool,
    /// Who did it.
    pub actor: Actor,
    /// To or in which post.
    pub post: Option<PostExcerpt>,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Their number.
    pub id: UserId,
    /// Their name.
    pub username: String,
    /// What they want to be called; may be empty.
    pub display_name: String,
}

/// The beginning of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostExcerpt {
    /// The post's number.
    pub id: PostId,
    /// At most [`EXCERPT`] characters; one that was cut ends with "…".
    pub excerpt: String,
    /// Whether the post was judged to be dangerous: who shows it asks first.
    pub dangerous: bool,
}

/// `text`, cut where it is longer than [`EXCERPT`].
pub(super) fn excerpt(text: &str) -> String {
    if text.chars().count() <= EXCERPT {
        return text.to_owned();
    }
    let kept: String = text.chars().take(EXCERPT - 1).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_excerpt_is_the_text_or_its_beginning(text in "(?s).{0,200}") {
            let excerpt = excerpt(&text);
            prop_assert!(excerpt.chars().count() <= EXCERPT);
            if text.chars().count() <= EXCERPT {
                prop_assert_eq!(excerpt, text);
            } else {
                prop_assert!(text.starts_with(excerpt.strip_suffix('…').unwrap()));
            }
        }
    }
}
