//! What is stored of a person, as that person may take it along.

use chrono::{DateTime, Utc};

use crate::{
    analysis::AnalysisView,
    auth::SessionView,
    ids::{PostId, UserId},
    notifications::Kind,
};

/// The account and what it says of itself. Nothing here or elsewhere in an export is a password or its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: UserId,
    /// Its name.
    pub username: String,
    /// What its owner wants to be called; may be empty.
    pub display_name: String,
    /// About its owner; may be empty.
    pub bio: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// Somebody the account has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Their number.
    pub id: UserId,
    /// Their name.
    pub username: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// A post that the account has liked or bookmarked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub(super) key: i64,
    /// The post.
    pub post_id: PostId,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Something that the account was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number.
    pub id: i64,
    /// What was done.
    pub kind: Kind,
    /// Who did it.
    pub actor_id: UserId,
    /// Under which name.
    pub username: String,
    /// To or in which post.
    pub post_id: Option<PostId>,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
}

/// A post, or a repost, which has no words.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Its number.
    pub id: PostId,
    /// What it says.
    pub content: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When its text was last changed.
    pub updated_at: DateTime<Utc>,
    /// Which post it answers.
    pub reply_to: Option<PostId>,
    /// Which post it shows again.
    pub repost_of: Option<PostId>,
    /// What it said before, oldest first.
    pub edits: Vec<Edit>,
    /// What the language model thinks of it.
    pub analysis: Option<AnalysisView>,
}

/// An earlier text of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What it said.
    pub content: String,
    /// When this text was written.
    pub created_at: DateTime<Utc>,
}

/// Some of what is stored, the newest first; each kind comes in one part or more, in the order of this list.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Logins that count.
    Sessions(Vec<SessionView>),
    /// Whom the account follows.
    Followed(Vec<Contact>),
    /// Who follows the account.
    Followers(Vec<Contact>),
    /// Whom the account blocks.
    Blocks(Vec<Contact>),
    /// Whom the account mutes.
    Mutes(Vec<Contact>),
    /// What the account likes.
    Likes(Vec<Mark>),
    /// What the account has bookmarked.
    Bookmarks(Vec<Mark>),
    /// What the account was told.
    Notifications(Vec<Told>),
    /// What the account has written.
    Posts(Vec<Written>),
}
