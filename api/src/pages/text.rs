//! A post's text, cut where it links. Templates escape each piece by itself: nothing here makes HTML.

use domain::posts::entities;

/// A stretch of text.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Only words.
    Plain(&'a str),
    /// Leads somewhere within Linnet.
    Inner {
        /// Where.
        to: String,
        /// What is shown.
        text: &'a str,
    },
    /// Leads out.
    Outer {
        /// Where; http or https.
        to: &'a str,
        /// What is shown: the address without its scheme, cut where it is long.
        text: String,
    },
}

/// The longest address that is shown whole, in characters.
const SHOWN: usize = 40;

fn shown(link: &str) -> String {
    let rest = link.split_once("://").map_or(link, |(_, rest)| rest);
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    if rest.chars().count() <= SHOWN {
        return rest.trim_end_matches('/').to_owned();
    }
    let cut: String = rest.chars().take(SHOWN - 1).collect();
    format!("{cut}…")
}

/// What `text` consists of; together the pieces say the same.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    for entity in entities::parse(text) {
        let range = entity.range;
        if range.start > at {
            pieces.push(Piece::Plain(&text[at..range.start]));
        }
        let shown_as = &text[range.clone()];
        pieces.push(match entity.kind {
            entities::Kind::Mention(name) => Piece::Inner {
                to: format!("/@{name}"),
                text: shown_as,
            },
            entities::Kind::Tag(tag) => Piece::Inner {
                to: format!("/tags/{}", super::encoded(&tag)),
                text: shown_as,
            },
            entities::Kind::Link => Piece::Outer {
                to: shown_as,
                text: shown(shown_as),
            },
        });
        at = range.end;
    }
    if at < text.len() {
        pieces.push(Piece::Plain(&text[at..]));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_are_cut_out_and_shown_short() {
        let long = format!("https://example.org/{}", "x".repeat(60));
        let text = format!("@ada saw #Vögel at https://www.example.org/ and {long}");
        let pieces = pieces(&text);
        assert_eq!(
            pieces[0],
            Piece::Inner {
                to: "/@ada".into(),
                text: "@ada"
            }
        );
        assert_eq!(
            pieces[2],
            Piece::Inner {
                to: "/tags/v%C3%B6gel".into(),
                text: "#Vögel"
            }
        );
        assert_eq!(
            pieces[4],
            Piece::Outer {
                to: "https://www.example.org/",
                text: "example.org".into()
            }
        );
        let Piece::Outer { to, text } = &pieces[6] else {
            panic!("{pieces:?}")
        };
        assert_eq!((*to, text.chars().count()), (long.as_str(), SHOWN));
    }

    proptest! {
        #[test]
        fn the_pieces_together_are_the_text(text in r"([@#]?[a-zé<>&]{0,5}[ \n.]|https?://[a-z./]{1,60} ){0,12}") {
            let said: String = pieces(&text).iter().map(|piece| match piece {
                Piece::Plain(text) | Piece::Inner { text, .. } | Piece::Outer { to: text, .. } => *text,
            }).collect();
            prop_assert_eq!(said, text);
        }
    }
}
