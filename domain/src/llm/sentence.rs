//! How what the model wrote is cut to length: one line, whole sentences where there are any.

/// What ends a sentence.
const ENDS: [char; 7] = ['.', '!', '?', '…', '。', '！', '？'];
/// What may stand between a sentence's end and the next one.
const CLOSING: [char; 6] = ['"', '\'', ')', '”', '’', '»'];

/// The text in one line of at most `max` characters (Unicode scalar values). What is too long ends after its last
/// whole sentence that fits, or else after its last whole word, with an ellipsis.
pub(super) fn cut(text: &str, max: usize) -> String {
    let line = one_line(text);
    if line.chars().count() <= max {
        return line;
    }
    let whole = sentences(&line, max);
    if !whole.is_empty() {
        return whole.to_owned();
    }
    let kept = first(&line, max.saturating_sub(1));
    let words = if line[kept.len()..].starts_with(' ') {
        kept
    } else {
        kept.rsplit_once(' ').map_or(kept, |(words, _)| words)
    };
    match words.trim_end_matches([' ', ',', ';', ':', '-']) {
        "" => String::new(),
        words => format!("{words}…"),
    }
}

/// The whole sentences at the text's beginning, at most `max` characters; empty when not one fits.
pub(super) fn whole(text: &str, max: usize) -> String {
    sentences(&one_line(text), max).to_owned()
}

fn one_line(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(visible).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn first(line: &str, characters: usize) -> &str {
    let end = line.char_indices().nth(characters);
    end.map_or(line, |(at, _)| &line[..at])
}

/// The longest beginning that fits and ends like a sentence, with white space or nothing after it: "3.14" has no end.
fn sentences(line: &str, max: usize) -> &str {
    let fits = first(line, max);
    let ends = fits.char_indices().rev().map(|(at, c)| at + c.len_utf8());
    ends.map(|end| (&line[..end], &line[end..]))
        .find(|(sentence, rest)| {
            let wide = sentence.ends_with(['。', '！', '？']);
            sentence.trim_end_matches(CLOSING).ends_with(ENDS)
                && (wide || rest.is_empty() || rest.starts_with(' '))
        })
        .map_or("", |(sentence, _)| sentence)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_ends_with_the_last_whole_sentence_that_fits() {
        for (text, max, wanted) in [
            ("One. Two. Three.", 100, "One. Two. Three."),
            ("One. Two. Three.", 12, "One. Two."),
            ("One. Two and", 100, "One. Two and"),
            ("  One\nTwo.\u{7}", 100, "One Two."),
            ("Pi is 3.14 they say", 12, "Pi is 3.14…"),
            ("Really?! Yes", 9, "Really?!"),
            ("He said \"no.\" And left", 15, "He said \"no.\""),
            ("好。很好。再见", 5, "好。很好。"),
            ("no end in sight here", 12, "no end in…"),
            ("aaaaaaaaaa", 5, "aaaa…"),
            ("aaa", 0, ""),
            ("", 5, ""),
        ] {
            assert_eq!(cut(text, max), wanted, "{text:?} {max}");
        }
        assert_eq!(whole("One. Two and", 100), "One.");
        assert_eq!(whole("One and two", 100), "");
    }

    proptest! {
        #[test]
        fn it_is_one_line_and_no_longer_than_allowed(
            text in "\\PC{0,80}|[a-z .!?\\n…]{0,80}", max in 0_usize..60,
        ) {
            for kept in [cut(&text, max), whole(&text, max)] {
                prop_assert!(kept.chars().count() <= max);
                prop_assert!(!kept.contains('\n'));
                prop_assert_eq!(kept.trim(), &kept);
            }
        }
    }
}
