//! What people say of themselves, and people as others see them.

use chrono::{DateTime, Utc};

use crate::{error::Violation, ids::UserId, relations::Relation};

/// The longest display name, in Unicode scalar values.
pub const DISPLAY_NAME_MAX: usize = 50;
/// The longest bio, in Unicode scalar values.
pub const BIO_MAX: usize = 300;

/// What somebody wants to be called: 0 to 50 Unicode scalar values after trimming, no control characters, and none
/// that turn the direction of the text around them. Empty means: by the username.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Trims and checks `raw`.
    ///
    /// # Errors
    /// When it breaks the rule above.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let name = raw.trim();
        // Embeddings, overrides and isolates run on into what stands behind the name, which would let a name
        // rewrite the line it is shown in (Unicode Standard Annex 9, section 2).
        let is_refused = |c: char| {
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        checked("display_name", name, DISPLAY_NAME_MAX, is_refused, "")?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A few words about oneself: 0 to 300 Unicode scalar values after trimming, line ends as `\n`, no other control
/// characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bio(String);

impl Bio {
    /// Trims and checks `raw`.
    ///
    /// # Errors
    /// When it breaks the rule above.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let bio = raw.trim().replace("\r\n", "\n");
        let is_refused = |c: char| c.is_control() && c != '\n';
        checked("bio", &bio, BIO_MAX, is_refused, " but line ends")?;
        Ok(Self(bio))
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn checked(
    field: &'static str,
    text: &str,
    most: usize,
    is_refused: fn(char) -> bool,
    but: &str,
) -> Result<(), Violation> {
    let length = text.chars().count();
    let rule = if length > most {
        format!("have at most {most} characters after trimming")
    } else if let Some(c) = text.chars().find(|c| is_refused(*c)) {
        format!(
            "hold no control characters{but} (it holds U+{:04X})",
            u32::from(c)
        )
    } else {
        return Ok(());
    };
    Err(Violation {
        field,
        rule: rule.into(),
        length: Some(length),
    })
}

/// What may be changed of a profile; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    /// A new display name.
    pub display_name: Option<DisplayName>,
    /// A new bio.
    pub bio: Option<Bio>,
}

/// Somebody in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their number.
    pub id: UserId,
    /// Their name.
    pub username: String,
    /// What they want to be called; may be empty.
    pub display_name: String,
    /// About themselves; may be empty.
    pub bio: String,
    /// What they are to the viewer; `None` for oneself and when nobody is logged in.
    pub relation: Option<Relation>,
}

/// Somebody with all that their page shows of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Their number.
    pub id: UserId,
    /// Their name.
    pub username: String,
    /// What they want to be called; may be empty.
    pub display_name: String,
    /// About themselves; may be empty.
    pub bio: String,
    /// When they signed up.
    pub created_at: DateTime<Utc>,
    /// How many people follow them.
    pub followers: i64,
    /// How many people they follow.
    pub followed: i64,
    /// How many posts and reposts they have written.
    pub posts: i64,
    /// What they are to the viewer; `None` for oneself and when nobody is logged in.
    pub relation: Option<Relation>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_counted_in_characters_after_trimming_and_nothing_is_a_name() {
        assert_eq!(DisplayName::parse(" \u{3000}\n ").unwrap().as_str(), "");
        assert!(DisplayName::parse(&format!("  {}\t", "é".repeat(50))).is_ok());
        let violation = DisplayName::parse(&"🐦".repeat(51)).unwrap_err();
        assert_eq!(
            (violation.field, violation.length),
            ("display_name", Some(51))
        );
        assert!(Bio::parse(&"é".repeat(300)).is_ok());
        let violation = Bio::parse(&"x".repeat(301)).unwrap_err();
        assert_eq!((violation.field, violation.length), ("bio", Some(301)));
    }

    #[test]
    fn what_would_garble_a_page_is_named_and_refused() {
        for wrong in [
            "a\nb",
            "a\0b",
            "a\tb",
            "a\u{7f}b",
            "a\u{85}b",
            "a\u{202e}b",
            "a\u{2066}b",
        ] {
            let violation = DisplayName::parse(wrong).unwrap_err();
            let name = format!("U+{:04X}", u32::from(wrong.chars().nth(1).unwrap()));
            assert!(violation.rule.contains(&name), "{violation}");
        }
        // What Arabic and Hebrew names are made of is no override.
        for fine in ["نور", "דנה\u{200f}", "👩‍👩‍👧", "Ada (she/her)"] {
            assert_eq!(DisplayName::parse(fine).unwrap().as_str(), fine);
        }
        assert_eq!(Bio::parse("a\r\nb\n\nc").unwrap().as_str(), "a\nb\n\nc");
        for wrong in ["a\rb", "a\tb", "a\0b"] {
            assert!(Bio::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_obeys_the_rule_and_stays_as_it_is(text in "\\PC{0,60}|(?s).{0,310}") {
            if let Ok(name) = DisplayName::parse(&text) {
                prop_assert!(name.as_str().chars().count() <= DISPLAY_NAME_MAX);
                prop_assert!(!name.as_str().contains(|c: char| c.is_control()));
                prop_assert_eq!(DisplayName::parse(name.as_str()).unwrap(), name);
            }
            if let Ok(bio) = Bio::parse(&text) {
                prop_assert!(bio.as_str().chars().count() <= BIO_MAX);
                prop_assert!(!bio.as_str().contains(|c: char| c.is_control() && c != '\n'));
                prop_assert_eq!(Bio::parse(bio.as_str()).unwrap(), bio);
            }
        }
    }
}
