//! What stands in a post's text beside words: @mentions, #tags and links. The one parser of them: what it finds is
//! stored when a post is written and linked when it is shown, so the two cannot disagree.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use url::Url;

/// The longest tag in its compared form, in Unicode scalar values.
const TAG_MAX: usize = 50;
/// How long the name in a mention is; as in [`crate::users::Username`].
const NAME: std::ops::RangeInclusive<usize> = 3..=30;
/// Joins letters within a word without being seen, as Persian does; not part of a tag's compared form.
const JOINER: char = '\u{200c}';

/// Something in a text that leads elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Where in the text, in bytes, with the leading `@` or `#`.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What an [`Entity`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `@name`, as it was written and whether there is such a person or not: 3 to 30 of the ASCII letters and digits,
    /// `_`, `.` and `-`, the last of them no `.` or `-`.
    Mention(String),
    /// `#tag` in the form that tags are compared in, see [`tag`].
    Tag(String),
    /// An address of the web, `http` or `https`; the text in the range is the address.
    Link,
}

/// The entities of a text, in order; none overlaps another.
#[must_use]
pub fn parse(text: &str) -> Vec<Entity> {
    let mut found = Vec::new();
    let mut before = None;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let entity = match c {
            '@' if before.is_none_or(|c| !is_word(c) && !matches!(c, '@' | '/')) => mention(rest),
            '#' | '＃' if before.is_none_or(|c| !is_word(c) && !matches!(c, '&' | '/')) => {
                marked_tag(rest, c.len_utf8())
            }
            'h' | 'H' if before.is_none_or(|c| !c.is_ascii_alphanumeric()) => link(rest),
            _ => None,
        };
        let length = match entity {
            Some((length, kind)) => {
                let range = at..at + length;
                found.push(Entity { range, kind });
                length
            }
            None => c.len_utf8(),
        };
        before = text[at..at + length].chars().next_back();
        at += length;
    }
    found
}

/// The form that tags are compared in: NFKC and lower case, without the mark in front. `None` when `written` is no
/// tag: it holds something other than letters, digits, their marks and `_`, no letter or `_` among them, or more than
/// 50 characters.
///
/// The compared form of a compared form is itself.
#[must_use]
pub fn tag(written: &str) -> Option<String> {
    let once: String = written.chars().filter(|c| *c != JOINER).nfkc().collect();
    // Lower case has other compositions than upper case.
    let compared: String = once.to_lowercase().nfkc().collect();
    let fits = compared.chars().count() <= TAG_MAX
        // Compatibility forms fall apart into more than letters: ﷺ into four words.
        && compared.chars().all(is_word)
        && compared.chars().any(|c| c.is_alphabetic() || c == '_');
    fits.then_some(compared)
}

/// What words and tags are made of. The marks are those of accents, vowel signs and the like.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || is_combining_mark(c)
}

/// The bytes of the longest beginning of `text` of characters that are `part` of it.
fn span(text: &str, part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !part(c)).unwrap_or(text.len())
}

fn mention(text: &str) -> Option<(usize, Kind)> {
    let name = &text[1..];
    let name = &name[..span(
        name,
        |c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-'),
    )];
    let name = name.trim_end_matches(['.', '-']);
    let length = 1 + name.len();
    // `@ada@example.org` is somebody elsewhere, and `@adé` is not ade. Other scripts may follow a name without a space.
    let goes_on = |c: char| c == '@' || is_combining_mark(c) || matches!(c, '\u{c0}'..='\u{24f}');
    if !NAME.contains(&name.len()) || text[length..].starts_with(goes_on) {
        return None;
    }
    Some((length, Kind::Mention(name.to_owned())))
}

fn marked_tag(text: &str, mark: usize) -> Option<(usize, Kind)> {
    let written = &text[mark..];
    let written = written[..span(written, |c| is_word(c) || c == JOINER)].trim_end_matches(JOINER);
    Some((mark + written.len(), Kind::Tag(tag(written)?)))
}

fn link(text: &str) -> Option<(usize, Kind)> {
    let scheme = ["https://", "http://"].into_iter().find_map(|scheme| {
        let start = text.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(scheme.len())
    })?;
    let host = span(&text[scheme..], |c| {
        is_word(c) || matches!(c, '.' | '-' | ':' | '[' | ']')
    });
    let path = &text[scheme + host..];
    let path = match path.starts_with(['/', '?', '#']) {
        true => span(path, |c| !ends_link(c)),
        false => 0,
    };
    let address = trimmed(&text[..scheme + host + path]);
    // Something must be left of the host, or Url would take the path for it.
    let has_host = address.len() > scheme && !address[scheme..].starts_with(['/', '?', '#']);
    let is_address = has_host && Url::parse(address).is_ok_and(|url| url.has_host());
    is_address.then_some((address.len(), Kind::Link))
}

/// What no address holds as it is written in a text: spaces, what quotes it, what is not seen, and the punctuation of
/// scripts that go on without a space.
fn ends_link(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '<' | '>' | '"' | '`' | '{' | '}' | '|' | '\\' | '^' | '«' | '»' | '“'..='„')
        // Spaces of no width, joiners, and what turns the direction of the text.
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{3001}'..='\u{3004}' | '\u{3008}'..='\u{3020}' | '\u{3030}')
        || matches!(c, '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}')
}

/// An address without the punctuation of the sentence around it.
fn trimmed(mut address: &str) -> &str {
    while let Some(last) = address.chars().next_back() {
        let count = |bracket: char| address.matches(bracket).count();
        let is_outside = match last {
            ')' => count(')') > count('('),
            ']' => count(']') > count('['),
            '.' | ',' | ':' | ';' | '!' | '?' | '\'' | '*' | '~' | '…' | '‘' | '’' | '‚' | '›'
            | '،' | '؛' | '؟' | '۔' | '।' | '॥' => true,
            _ => false,
        };
        if !is_outside {
            break;
        }
        address = &address[..address.len() - last.len_utf8()];
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The entities as they are written.
    fn written(text: &str) -> Vec<&str> {
        let found = parse(text).into_iter();
        found.map(|entity| &text[entity.range]).collect()
    }

    fn tags(text: &str) -> Vec<String> {
        let found = parse(text).into_iter();
        found
            .filter_map(|entity| match entity.kind {
                Kind::Tag(tag) => Some(tag),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn what_is_found_in_a_text() {
        let text = "Hi @ada, see https://example.org/a?b=c#d (#Rust)!";
        let expected = [
            (3..7, Kind::Mention("ada".into())),
            (13..40, Kind::Link),
            (42..47, Kind::Tag("rust".into())),
        ];
        assert_eq!(
            parse(text),
            expected.map(|(range, kind)| Entity { range, kind })
        );
    }

    #[test]
    fn mentions() {
        for (text, expected) in [
            ("@ada", vec!["@ada"]),
            ("(@Ada_1.x-y)", vec!["@Ada_1.x-y"]),
            ("@ada. @bob-- @eve…", vec!["@ada", "@bob", "@eve"]),
            ("@adaさん、@bob🐦@eve", vec!["@ada", "@bob", "@eve"]),
            ("שלום @ada שלום", vec!["@ada"]),
            ("thanks,@ada:@bob\n@eve", vec!["@ada", "@bob", "@eve"]),
            (
                "@abcdefghijklmnopqrstuvwxyz1234",
                vec!["@abcdefghijklmnopqrstuvwxyz1234"],
            ),
            ("@abcdefghijklmnopqrstuvwxyz12345", vec![]),
            ("@ab @a. @... @", vec![]),
            ("ada@example.org é@ada e\u{301}@ada 日@ada _@ada", vec![]),
            ("@@ada /@ada @ada@example.org", vec![]),
            ("@adaé @ada\u{301}", vec![]),
            ("@ada@bob", vec![]),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
    }

    #[test]
    fn tags_in_every_script_and_in_one_form() {
        for (text, expected) in [
            ("#Rust #rust_2024 #2024", vec!["rust", "rust_2024"]),
            ("#Été #e\u{301}te\u{301}", vec!["été", "été"]),
            ("#日本語、#ＡＢＣ ＃タグ。", vec!["日本語", "abc", "タグ"]),
            ("#ΟΔΌΣ #हिन्दी #தமிழ்", vec!["οδός", "हिन्दी", "தமிழ்"]),
            ("ברוכים #הבאים, #مرحبا!", vec!["הבאים", "مرحبا"]),
            (
                "#می\u{200c}خواهم #میخواهم\u{200c}",
                vec!["میخواهم", "میخواهم"],
            ),
            ("#tag#other #a-b #a.b #c+", vec!["tag", "a", "a", "c"]),
            (
                "##twice (#in) \"#quoted\" 🐦#bird",
                vec!["twice", "in", "quoted", "bird"],
            ),
            ("a#b é#b _#b &#b /#b &#39;", vec![]),
            ("# #! #🐦 #1️⃣ #️⃣ #① #", vec![]),
            ("#🐦bird #bird🐦", vec!["bird"]),
            ("#\u{fdfa}", vec![]),
        ] {
            assert_eq!(tags(text), expected, "{text}");
        }
        assert_eq!(tags(&format!("#{}", "é".repeat(50))), ["é".repeat(50)]);
        assert_eq!(tags(&format!("#{}", "é".repeat(51))), [""; 0]);
        // Accents of their own do not count when they become one with their letter.
        assert_eq!(
            tags(&format!("#{}", "e\u{301}".repeat(50))),
            ["é".repeat(50)]
        );
    }

    #[test]
    fn links_end_where_the_sentence_goes_on() {
        for (text, expected) in [
            (
                "http://a.org HTTPS://A.ORG/x",
                vec!["http://a.org", "HTTPS://A.ORG/x"],
            ),
            (
                "See https://a.org/b. Or https://a.org/c?!",
                vec!["https://a.org/b", "https://a.org/c"],
            ),
            ("(https://a.org/b_(c))", vec!["https://a.org/b_(c)"]),
            (
                "(see https://a.org/b), <https://a.org/c>",
                vec!["https://a.org/b", "https://a.org/c"],
            ),
            (
                "[https://a.org/b[1]] \"https://a.org\"",
                vec!["https://a.org/b[1]", "https://a.org"],
            ),
            (
                "https://a.org/@ada#tag https://a.org:8080",
                vec!["https://a.org/@ada#tag", "https://a.org:8080"],
            ),
            (
                "見てhttps://a.org/日本、次。https://日本.jp。",
                vec!["https://a.org/日本", "https://日本.jp"],
            ),
            (
                "https://a.org/\u{202e}gro https://a.org/\u{200b}b",
                vec!["https://a.org/", "https://a.org/"],
            ),
            (
                "https://a.org🐦 http://[::1]:8/x",
                vec!["https://a.org", "http://[::1]:8/x"],
            ),
            ("https://a.org/🐦/b", vec!["https://a.org/🐦/b"]),
            (
                "xhttps://a.org https:// http://? https:///x http://.",
                vec![],
            ),
            (
                "ftp://a.org javascript:alert(1) http:a.org www.a.org",
                vec![],
            ),
            ("https://a.org:port/x", vec![]),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
    }

    /// Texts of what means something to the parser.
    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            4 => "[@#＃&/_.:;,!?()\\[\\]<> \n-]",
            2 => "[a-zA-Z0-9]{1,5}",
            1 => prop::sample::select(vec![
                "https://", "http://", "ada", "🐦", "👩\u{200d}👩", "\u{301}", "\u{fe0f}", "\u{20e3}", "日本", "שלום",
                "\u{200c}", "\u{202e}", "é", "①", "Ⅷ", "İ", "Σ", "ß", "ﷺ", "ｈ", "…",
            ]).prop_map(str::to_owned),
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn entities_are_in_order_and_each_is_one_by_itself(text in text()) {
            let mut end = 0;
            for entity in parse(&text) {
                prop_assert!(end <= entity.range.start && entity.range.start < entity.range.end);
                end = entity.range.end;
                // A range that is not on the borders of characters would panic here.
                let alone = &text[entity.range];
                prop_assert_eq!(parse(alone), [Entity { range: 0..alone.len(), kind: entity.kind.clone() }]);
                match entity.kind {
                    Kind::Mention(name) => prop_assert_eq!(alone.strip_prefix('@'), Some(&*name)),
                    Kind::Tag(compared) => {
                        prop_assert_eq!(tag(&compared), Some(compared.clone()));
                        prop_assert_eq!(tags(&format!("#{compared}")), [compared]);
                    }
                    Kind::Link => prop_assert!(Url::parse(alone).is_ok_and(|url| url.has_host())),
                }
            }
            prop_assert!(end <= text.len());
        }

        #[test]
        fn any_text_can_be_parsed(text: String) {
            let _whatever = parse(&text);
        }

        #[test]
        fn every_username_that_ends_in_a_letter_can_be_mentioned(name in "[A-Za-z0-9_.-]{2,29}[A-Za-z0-9_]") {
            prop_assert_eq!(
                parse(&format!("Hi @{name}!")),
                [Entity { range: 3..4 + name.len(), kind: Kind::Mention(name) }]
            );
        }

        #[test]
        fn a_tag_is_the_same_in_upper_and_lower_case(tag in "[a-zà-öø-þα-ρτ-ωа-я]{1,20}") {
            prop_assert_eq!(tags(&format!("#{tag}")), tags(&format!("#{}", tag.to_uppercase())));
        }
    }
}
