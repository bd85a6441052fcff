//! What is looked for, and where a list of hits continues.

use std::fmt;

use crate::{error::Violation, page::Limit, trends::Tag};

/// What somebody looks for: 1 to 200 characters after trimming, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(String);

impl Query {
    const MAX: usize = 200;

    /// Trims and checks `raw`.
    ///
    /// # Errors
    /// When it breaks the rule above.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let text = raw.trim();
        let length = text.chars().count();
        let rule = if !(1..=Self::MAX).contains(&length) {
            format!("have 1 to {} characters after trimming", Self::MAX)
        } else if let Some(c) = text.chars().find(|c| c.is_control()) {
            format!(
                "hold no control characters (it holds U+{:04X})",
                u32::from(c)
            )
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(Violation {
            field: "q",
            rule: rule.into(),
            length: Some(length),
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag, when it is a lone `#tag`.
    #[must_use]
    pub fn tag(&self) -> Option<Tag> {
        let marked = self.0.starts_with(['#', '＃']);
        marked.then(|| Tag::parse(&self.0).ok()).flatten()
    }

    /// Whether it is marked as somebody's username.
    #[must_use]
    pub fn is_name(&self) -> bool {
        self.0.starts_with('@')
    }

    /// What a username may begin with, in lower case and without `@`; `None` when no name begins so.
    #[must_use]
    pub fn name_prefix(&self) -> Option<String> {
        let name = self.0.strip_prefix('@').unwrap_or(&self.0);
        is_name(name).then(|| name.to_ascii_lowercase())
    }
}

/// Whether usernames may begin with `text`; see [`crate::users::Username`].
fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=30).contains(&text.len()) && text.bytes().all(fits)
}

/// A place in a ranked list: below this score, and at this score below this number. `top` is the highest number that
/// the list began with; what came later is not in it, and nothing is shown twice or left out for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    pub(super) score: f64,
    pub(super) id: i64,
    pub(super) top: i64,
}

impl Ranked {
    /// Above everything.
    pub(super) fn first() -> Self {
        Self {
            score: f64::INFINITY,
            id: i64::MAX,
            top: i64::MAX,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (score, rest) = text.split_at_checked(16)?;
        let (id, top) = rest.split_at_checked(16)?;
        let place = Self {
            score: f64::from_bits(u64::from_str_radix(score, 16).ok()?),
            id: number(id)?,
            top: number(top)?,
        };
        (place.score.is_finite() && place.id <= place.top).then_some(place)
    }
}

impl fmt::Display for Ranked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { score, id, top } = self;
        write!(f, "{:016x}{id:016x}{top:016x}", score.to_bits())
    }
}

/// An id as 16 hexadecimal digits.
fn number(text: &str) -> Option<i64> {
    let number = i64::from_str_radix(text, 16).ok()?;
    (number >= 1 && text.len() == 16).then_some(number)
}

/// What a cursor that was not given out breaks.
pub(super) fn wrong_cursor() -> Violation {
    Violation {
        field: "after",
        rule: "be what the header Link of the page before gives, with the same q".into(),
        length: None,
    }
}

/// Where a list of posts continues; its text is the caller's to keep and nobody's to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PostCursor {
    /// Of a search for words.
    Ranked(Ranked),
    /// Of a search for a tag.
    Tagged {
        /// Below this number.
        before: i64,
    },
}

impl PostCursor {
    /// Reads what [`PostCursor::to_string`] wrote, and nothing else.
    ///
    /// # Errors
    /// When it did not write it.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let cursor = match text.split_at_checked(1) {
            Some(("r", place)) => Ranked::parse(place).map(Self::Ranked),
            Some(("t", id)) => number(id).map(|before| Self::Tagged { before }),
            _ => None,
        };
        // There are other ways to write the same number, such as a sign or capitals.
        cursor
            .filter(|cursor| cursor.to_string() == text)
            .ok_or_else(wrong_cursor)
    }
}

impl fmt::Display for PostCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ranked(place) => write!(f, "r{place}"),
            Self::Tagged { before } => write!(f, "t{before:016x}"),
        }
    }
}

/// Where a list of people continues; as [`PostCursor`].
#[derive(Clone, Debug, PartialEq)]
pub enum PersonCursor {
    /// Among those found by their username.
    Named {
        /// After this one, in lower case.
        name: String,
    },
    /// Among those found by the words about them.
    Ranked(Ranked),
}

impl PersonCursor {
    /// Reads what [`PersonCursor::to_string`] wrote, and nothing else.
    ///
    /// # Errors
    /// When it did not write it.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let cursor = match text.split_at_checked(1) {
            Some(("n", name)) if is_name(name) => Some(Self::Named {
                name: name.to_ascii_lowercase(),
            }),
            Some(("r", place)) => Ranked::parse(place).map(Self::Ranked),
            _ => None,
        };
        cursor
            .filter(|cursor| cursor.to_string() == text)
            .ok_or_else(wrong_cursor)
    }
}

impl fmt::Display for PersonCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { name } => write!(f, "n{name}"),
            Self::Ranked(place) => write!(f, "r{place}"),
        }
    }
}

/// Some hits, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T, C> {
    /// At most the limit asked for.
    pub items: Vec<T>,
    /// Pass this as `after` for the next page; `None` on the last one.
    pub next: Option<C>,
}

impl<T, C> Found<T, C> {
    /// A page from a probe of [`Limit::probe`] rows.
    pub(super) fn from_probe(mut items: Vec<T>, limit: Limit, cursor: impl Fn(&T) -> C) -> Self {
        let more = items.len() > limit.get();
        items.truncate(limit.get());
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranked() -> impl Strategy<Value = Ranked> {
        let finite = any::<f64>().prop_filter("finite", |score| score.is_finite());
        (finite, 1..=i64::MAX, 1..=i64::MAX).prop_map(|(score, a, b)| Ranked {
            score,
            id: a.min(b),
            top: a.max(b),
        })
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(place in ranked(), before in 1..=i64::MAX, name in "[a-z0-9_.-]{3,30}") {
            for cursor in [PostCursor::Ranked(place), PostCursor::Tagged { before }] {
                prop_assert_eq!(PostCursor::parse(&cursor.to_string()).unwrap(), cursor);
            }
            for cursor in [PersonCursor::Ranked(place), PersonCursor::Named { name }] {
                prop_assert_eq!(PersonCursor::parse(&cursor.to_string()).unwrap(), cursor);
            }
        }

        #[test]
        fn what_was_not_written_is_refused_and_nothing_is_read_in_two_ways(text in "[rtn]?[0-9a-fA-F+-]{0,50}|\\PC{0,60}") {
            if let Ok(cursor) = PostCursor::parse(&text) {
                prop_assert_eq!(cursor.to_string(), text.clone());
            }
            if let Ok(cursor) = PersonCursor::parse(&text) {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }

        #[test]
        fn a_cursor_with_a_letter_changed_is_another_or_none(place in ranked(), at in 0_usize..49, to in "[0-9a-z]") {
            let written = PostCursor::Ranked(place).to_string();
            let mut changed = written.clone();
            changed.replace_range(at..=at, &to);
            let read = PostCursor::parse(&changed);
            prop_assert!(changed == written || read != Ok(PostCursor::Ranked(place)));
        }

        #[test]
        fn a_query_that_is_kept_obeys_the_rule(text: String) {
            if let Ok(query) = Query::parse(&text) {
                prop_assert!((1..=200).contains(&query.as_str().chars().count()));
                prop_assert!(!query.as_str().chars().any(char::is_control));
                prop_assert_eq!(Query::parse(query.as_str()).unwrap(), query);
            }
        }
    }

    #[test]
    fn no_score_that_is_no_number_is_read() {
        for score in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let place = Ranked {
                score,
                id: 1,
                top: 1,
            };
            assert!(PostCursor::parse(&PostCursor::Ranked(place).to_string()).is_err());
        }
        for wrong in [
            "",
            "r",
            "t",
            "n",
            "é",
            "t0000000000000000",
            "tfffffffffffffff0",
            "t1",
        ] {
            assert!(PostCursor::parse(wrong).is_err(), "{wrong}");
            assert!(PersonCursor::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_query_is_read_as_words_a_tag_or_a_name() {
        let query = |text: &str| Query::parse(text).unwrap();
        let tag = |text: &str| query(text).tag().map(|tag| tag.as_str().to_owned());
        assert_eq!(tag(" #Rust "), Some("rust".into()));
        assert_eq!(tag("＃ＲＵＳＴ"), Some("rust".into()));
        for words in ["rust", "#rust and more", "#", "##", "#a-b", "#1"] {
            assert_eq!(tag(words), None, "{words}");
        }
        assert_eq!(query("@Ada").name_prefix(), Some("ada".into()));
        assert_eq!(query("Ada").name_prefix(), Some("ada".into()));
        for none in ["@", "ada lovelace", "é", "@@ada", &"a".repeat(31)] {
            assert_eq!(query(none).name_prefix(), None, "{none}");
        }
        for wrong in ["", "  ", "a\0b", "a\nb", &"x".repeat(201)] {
            assert_eq!(Query::parse(wrong).unwrap_err().field, "q", "{wrong:?}");
        }
        assert!(Query::parse(&format!(" {} ", "é".repeat(200))).is_ok());
    }
}
