//! Posts as they are written and as they are read.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::{
    analysis::AnalysisView,
    error::Violation,
    ids::{PostId, UserId},
    page::Page,
};

use super::entities::{self, Entity, Kind};

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

    /// What stands in it beside words.
    #[must_use]
    pub fn entities(&self) -> Vec<Entity> {
        entities::parse(&self.0)
    }

    /// Whom and what it names.
    pub(super) fn named(&self) -> Named {
        let (mut people, mut tags) = (Vec::new(), Vec::new());
        for entity in self.entities() {
            match entity.kind {
                Kind::Mention(name) => people.push(name.to_ascii_lowercase()),
                Kind::Tag(tag) => tags.push(tag),
                Kind::Link => {}
            }
        }
        let mut seen = HashSet::new();
        people.retain(|name| seen.insert(name.clone()));
        let mut seen = HashSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        tags.truncate(NAMED_MAX);
        Named { people, tags }
    }
}

/// So many people and so many tags of one post are stored; what more it names is only shown.
pub(super) const NAMED_MAX: usize = 20;

/// Whom and what a text names, each once, in the order in which they are named.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Names in lower case, of people who may not exist.
    pub people: Vec<String>,
    /// Tags in their compared form, at most [`NAMED_MAX`].
    pub tags: Vec<String>,
}

impl Named {
    pub(super) fn is_empty(&self) -> bool {
        self.people.is_empty() && self.tags.is_empty()
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
    /// What it answers; `None` also when that is deleted, or between people with a block.
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

/// The post that a reply answers, as long as the viewer may see it.
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

/// A post in its conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Thread {
    /// What it answers, what that answers, and so on; oldest first, without what is deleted or hidden from the viewer.
    pub ancestors: Vec<PostView>,
    /// The post.
    pub post: PostView,
    /// What answers it, oldest first; continued by `after`.
    pub replies: Page<PostView>,
}

/// A text that a post has or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// 1 for what it said first.
    pub revision: i32,
    /// What it said.
    pub content: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
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

    #[test]
    fn each_is_named_once_whatever_its_case() {
        let text =
            PostText::parse("@Ada #Rust @bob @ADA #rust #2024 https://a.org/#no", 500).unwrap();
        let named = text.named();
        assert_eq!(named.people, ["ada", "bob"]);
        assert_eq!(named.tags, ["rust"]);
        assert!(
            PostText::parse("ada #1 https://a.org", 500)
                .unwrap()
                .named()
                .is_empty()
        );
        let many: Vec<String> = (0..30).map(|i| format!("#t{i}")).collect();
        let many = PostText::parse(&many.join(" "), 500).unwrap().named();
        assert_eq!((many.tags.len(), &*many.tags[19]), (NAMED_MAX, "t19"));
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
