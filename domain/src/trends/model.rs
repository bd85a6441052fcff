//! Tags, topics and trends.

use chrono::{DateTime, Utc};

use crate::{error::Violation, posts::entities};

/// A tag in the form that tags are compared in, see [`entities::tag`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// Reads a tag, with or without a `#` before it.
    ///
    /// # Errors
    /// When no post can have such a tag.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let written = raw.strip_prefix(['#', '＃']).unwrap_or(raw);
        entities::tag(written).map(Self).ok_or_else(|| Violation {
            field: "tag",
            rule: "be 1 to 50 letters, digits and '_', not digits alone".into(),
            length: Some(raw.chars().count()),
        })
    }

    /// The compared form, without `#`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A topic's name: 1 to 50 characters, in lower case, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic(String);

impl Topic {
    /// Reads a topic, whatever its case.
    ///
    /// # Errors
    /// When it breaks the rule above.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let name = raw.trim().to_lowercase();
        let length = name.chars().count();
        let fits = (1..=50).contains(&length) && !name.chars().any(char::is_control);
        fits.then_some(Self(name)).ok_or_else(|| Violation {
            field: "topic",
            rule: "have 1 to 50 characters, no control characters".into(),
            length: Some(length),
        })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Something that several people write about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trend {
    /// The tag without `#`, or the topic.
    pub name: String,
    /// How many posts have it.
    pub posts: i32,
    /// By how many people.
    pub people: i32,
}

/// What the last hours are about, the strongest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trends {
    /// When this was computed; `None` when it never was.
    pub computed_at: Option<DateTime<Utc>>,
    /// By the tags of the posts.
    pub tags: Vec<Trend>,
    /// By the topics that the language model found.
    pub topics: Vec<Trend>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_without_regard_to_case_and_width() {
        let tag = |raw: &str| Tag::parse(raw).map(|tag| tag.0);
        for same in ["rust", "#Rust", "ＲＵＳＴ", "＃rust"] {
            assert_eq!(tag(same), Ok("rust".into()), "{same}");
        }
        assert_eq!(tag("Ärger_2"), Ok("ärger_2".into()));
        for none in ["", "#", "##a", "a b", "a-b", "123", "a\0", &"a".repeat(51)] {
            assert_eq!(tag(none).unwrap_err().field, "tag", "{none:?}");
        }
    }

    #[test]
    fn topics_are_short_and_without_control_characters() {
        assert_eq!(Topic::parse(" Food ").unwrap().as_str(), "food");
        for none in ["", " ", "a\0b", &"a".repeat(51)] {
            assert_eq!(Topic::parse(none).unwrap_err().field, "topic", "{none:?}");
        }
    }
}
