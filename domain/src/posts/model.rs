//! Posts as they are written and as they are read.

use chrono::{DateTime, Utc};

use crate::{
    analysis::AnalysisView,
    error::Violation,
    ids::{PostId, UserId},
};

/// A post's text: 1 to `most` Unicode scalar values after trimming, line ends as `\n`, no other control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostText(String);

impl PostText {
    /// Trims and checks `raw`.
    ///
    /// # Errors
    /// When it breaks the rule above.
    pub fn parse(raw: &str, most: usize) -> Result<Self, Violation> {
        let text = raw.trim().replace("\r\n", "\n");
        let length = text.chars().count();
        let refuse = |rule: String| {
            Err(Violation {
                field: "content",
                rule: rule.into(),
                length: Some(length),
            })
        };
        if !(1..=most).contains(&length) {
            return refuse(format!("have 1 to {most} characters after trimming"));
        }
        match text.chars().find(|c| c.is_control() && *c != '\n') {
            Some(c) => refuse(format!(
                "hold no control characters but line ends (it holds U+{:04X})",
                u32::from(c)
            )),
            None => Ok(Self(text)),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A post with everything that is shown of it. A repost shows the original, and who brought it.
#[derive(Clone, Debug, PartialEq)]
pub struct PostView {
    /// Its place in lists, newest first: the repost's number, or the post's own.
    pub entry: PostId,
    /// Its number.
    pub id: PostId,
    /// What it says.
    pub content: String,
    /// Who wrote it.
    pub user_id: UserId,
    /// Under which name.
    pub username: String,
    /// What the author is called; may be empty.
    pub display_name: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When its text was last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was deleted, in the one answer that still shows it then.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Whether it said something else before.
    pub edited: bool,
    /// What it answers.
    pub reply_to: Option<ReplyTo>,
    /// The first post of the conversation; `None` when this is it.
    pub thread_id: Option<PostId>,
    /// How many people like it.
    pub likes: i32,
    /// How many people have reposted it.
    pub reposts: i32,
    /// How many posts answer it.
    pub replies: i32,
    /// Who brought it here, when this entry is a repost.
    pub repost: Option<Repost>,
    /// What the viewer has done with it; `None` for nobody in particular.
    pub viewer: Option<ViewerFlags>,
    /// What the language model thinks of it; `None` when it was deleted before it was judged.
    pub analysis: Option<AnalysisView>,
}

/// The post that a reply answers; it may be deleted by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// Which post.
    pub post_id: PostId,
    /// Whose.
    pub user_id: UserId,
    /// Under which name.
    pub username: String,
}

/// Who showed somebody's post to their own followers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repost {
    /// The repost's own number.
    pub id: PostId,
    /// Who.
    pub user_id: UserId,
    /// Under which name.
    pub username: String,
    /// What they are called; may be empty.
    pub display_name: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// What a viewer has done with a post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewerFlags {
    /// Likes it.
    pub liked: bool,
    /// Has reposted it.
    pub reposted: bool,
    /// Keeps it.
    pub bookmarked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn length_is_counted_in_characters_after_trimming() {
        let parse = |text: &str| PostText::parse(text, 500);
        assert!(parse(&"é".repeat(500)).is_ok());
        assert_eq!(parse(&"🐦".repeat(501)).unwrap_err().length, Some(501));
        assert_eq!(
            parse(&format!("  {}\n", "x".repeat(500))).unwrap().0.len(),
            500
        );
        assert_eq!(parse(" \u{3000}\n ").unwrap_err().length, Some(0));
    }

    #[test]
    fn control_characters_are_named_and_refused() {
        for wrong in [
            "a\0b",
            "a\tb",
            "a\u{1b}[31mb",
            "a\u{7f}b",
            "a\u{85}b",
            "a\rb",
        ] {
            let violation = PostText::parse(wrong, 500).unwrap_err();
            let name = format!("U+{:04X}", u32::from(wrong.chars().nth(1).unwrap()));
            assert!(violation.rule.contains(&name), "{violation}");
        }
        assert_eq!(PostText::parse("a\r\nb", 500).unwrap().0, "a\nb");
    }

    proptest! {
        #[test]
        fn what_is_kept_obeys_the_rule_and_stays_as_it_is(text: String, most in 1_usize..50) {
            if let Ok(kept) = PostText::parse(&text, most) {
                prop_assert!((1..=most).contains(&kept.0.chars().count()));
                prop_assert!(!kept.0.chars().any(|c| c.is_control() && c != '\n'));
                prop_assert_eq!(PostText::parse(&kept.0, most).unwrap(), kept);
            }
        }
    }
}
