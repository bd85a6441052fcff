//! What routing and resuming work with.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::Event;
use crate::{
    analysis::AnalysisView,
    auth::Session,
    ids::{PostId, UserId},
};

/// A point in the stream of events, as the id of an event names it: `<post>.<milliseconds>`. Any replica can tell from
/// it what came after, so none has to remember what it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Every post up to this number had been told of. A few seconds old, because posts do not come in the order of their
    /// numbers; some of what came after it may therefore be told twice.
    pub post: PostId,
    /// When, in milliseconds since 1970.
    pub millis: i64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.post, self.millis)
    }
}

/// The text is no [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMark;

impl FromStr for Mark {
    type Err = NoMark;

    fn from_str(text: &str) -> Result<Self, NoMark> {
        // Longer numbers are no posts of ours, and their times are no times.
        let number = |text: &str| {
            let plain = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            if plain {
                text.parse::<i64>().ok()
            } else {
                None
            }
        };
        let (post, millis) = text.split_once('.').ok_or(NoMark)?;
        Ok(Self {
            post: PostId(number(post).ok_or(NoMark)?),
            millis: number(millis).ok_or(NoMark)?,
        })
    }
}

/// Somebody who is logged in and looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Who.
    pub user: UserId,
    /// By which login; when it ends the stream does.
    pub session: Uuid,
}

impl From<&Session> for Viewer {
    fn from(session: &Session) -> Self {
        Self {
            user: session.user.id,
            session: session.id,
        }
    }
}

/// Of which posts a stream tells that they are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Those of people the viewer follows.
    Home,
    /// Everybody's.
    Public,
    /// None.
    Nothing,
}

/// What decides whose events somebody hears of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// Who listens.
    pub viewer: UserId,
    /// Whom they follow and have not muted.
    pub follows: Vec<UserId>,
    /// Whom they have muted.
    pub muted: Vec<UserId>,
    /// Whom they have blocked or are blocked by.
    pub blocked: Vec<UserId>,
}

/// A post's analysis.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Which post.
    pub post: PostId,
    /// Whose.
    pub author: UserId,
    /// What it says.
    pub analysis: AnalysisView,
}

/// The new posts that a stream has missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissedPosts {
    /// These, newest first; each with its author.
    These(Vec<(PostId, UserId)>),
    /// More than are worth telling one by one, or for so long that nobody can say.
    TooMany,
}

/// What a stream has missed.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// New posts.
    pub posts: MissedPosts,
    /// Analyses that have changed.
    pub verdicts: Vec<Verdict>,
    /// The counts of watched posts, all of them [`Event::Counts`].
    pub counts: Vec<Event>,
    /// The viewer's newest notification, if there is one, and how many are unread.
    pub notifications: Option<(Option<i64>, i64)>,
}

impl Missed {
    /// Nobody can say what.
    pub(super) fn too_much() -> Self {
        Self {
            posts: MissedPosts::TooMany,
            verdicts: Vec::new(),
            counts: Vec::new(),
            notifications: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_nobody_was_given_is_no_mark() {
        for wrong in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "-1.2",
            "+1.2",
            "1.2.3",
            " 1.2",
            "1.2 ",
            "1e3.4",
            "٣.٣",
            "99999999999999999.1",
        ] {
            assert_eq!(wrong.parse::<Mark>(), Err(NoMark), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_mark_comes_back_as_it_was(post in 0_i64..1 << 53, millis in 0_i64..9_999_999_999_999) {
            let mark = Mark { post: PostId(post), millis };
            prop_assert_eq!(mark.to_string().parse(), Ok(mark));
        }

        #[test]
        fn any_text_is_a_mark_or_none_and_says_the_same_again(text in "[0-9.]{0,40}|.*") {
            if let Ok(mark) = text.parse::<Mark>() {
                prop_assert_eq!(mark.to_string().parse(), Ok(mark));
            }
        }
    }
}
