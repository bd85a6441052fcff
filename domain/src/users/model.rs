//! Names and accounts.

use crate::{error::Violation, ids::UserId};

/// A username: 3 to 30 of the ASCII letters and digits, `_`, `.` and `-`. Compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// # Errors
    /// When `raw` breaks the rule above.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let length = raw.chars().count();
        let sound = (3..=30).contains(&length)
            && raw
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if sound {
            Ok(Self(raw.to_owned()))
        } else {
            Err(Violation {
                field: "username",
                rule: "have 3 to 30 characters, each a letter, a digit, '_', '.' or '-'".into(),
                length: Some(length),
            })
        }
    }

    /// The name as its owner wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An account as everybody may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: UserId,
    /// Its name.
    pub username: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_of_the_alphabet_is_kept_as_it_is(name in "[A-Za-z0-9_.-]{3,30}") {
            let kept = Username::parse(&name).unwrap();
            prop_assert_eq!(kept.as_str(), name);
        }

        #[test]
        fn any_text_is_kept_or_refused_with_its_length(text: String) {
            match Username::parse(&text) {
                Ok(name) => prop_assert_eq!(name.as_str(), text),
                Err(violation) => prop_assert_eq!(violation.length, Some(text.chars().count())),
            }
        }
    }

    #[test]
    fn names_outside_the_rule_are_refused() {
        for wrong in [
            "",
            "ab",
            "a b",
            "héctor",
            "ada\n",
            &"a".repeat(31),
            "<b>x</b>",
        ] {
            assert!(Username::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
