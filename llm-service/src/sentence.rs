//! How what the model wrote is cut to length: one line, whole sentences where there are any, never more characters
//! than allowed. What a person wrote is not cut here but in `prompt.rs`.

/// The first line of `text`, its white space collapsed, at most `max_characters` (Unicode scalar values).
///
/// It ends after the last whole sentence that fits. Without one it ends after the last whole word that fits, with
/// an ellipsis when something was left out. `finished` says that the model itself ended the text, so that a last
/// sentence without a full stop is kept. The answer is empty only when there is nothing to keep.
#[must_use]
pub fn cut(text: &str, max_characters: usize, finished: bool) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = line.chars().count() <= max_characters;
    if fits && (finished || ends_sentence(&line)) {
        return line;
    }
    let room = byte_length(&line, max_characters);
    let end = line
        .char_indices()
        .map(|(at, character)| at + character.len_utf8())
        .take_while(|&end| end <= room)
        .filter(|&end| ends_sentence(&line[..end]) && !line[end..].starts_with(is_joined))
        .last();
    if let Some(end) = end {
        return line[..end].to_owned();
    }
    if fits {
        return line;
    }
    // One character is kept for the ellipsis.
    let room = byte_length(&line, max_characters.saturating_sub(1));
    let words = match line[..room].rfind(' ') {
        Some(space) if !line[room..].starts_with(' ') => &line[..space],
        _ => &line[..room],
    };
    match words.trim_end_matches([' ', ',', ';', ':', '-']) {
        "" => String::new(),
        kept => format!("{kept}…"),
    }
}

/// How many bytes the first `characters` characters of `text` take.
fn byte_length(text: &str, characters: usize) -> usize {
    text.char_indices()
        .nth(characters)
        .map_or(text.len(), |(at, _)| at)
}

/// Whether `text` ends like a sentence does, a closing quote or bracket after the full stop included.
fn ends_sentence(text: &str) -> bool {
    text.trim_end_matches(['"', '\'', ')', '”', '’'])
        .ends_with(['.', '!', '?', '…', '。', '！', '？'])
}

/// What may not follow a sentence's end: "3.14", "example.org" and the second half of "?!" are no ends.
fn is_joined(next: char) -> bool {
    !next.is_whitespace() && !matches!(next, '。' | '！' | '？')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_ends_with_the_last_whole_sentence_that_fits() {
        for (text, max, finished, wanted) in [
            ("One. Two. Three.", 100, true, "One. Two. Three."),
            ("One. Two. Three.", 12, true, "One. Two."),
            ("One. Two and a ha", 100, false, "One."),
            ("  One\nTwo.", 100, true, "One"),
            ("Pi is 3.14 they say", 12, true, "Pi is 3.14…"),
            ("Really?! Yes", 9, true, "Really?!"),
            ("He said \"no.\" And left", 15, true, "He said \"no.\""),
            ("no end in sight here", 12, true, "no end in…"),
            ("short but broken off", 50, false, "short but broken off"),
            ("aaaaaaaaaa", 5, true, "aaaa…"),
            ("", 5, true, ""),
            (" \n ", 5, true, ""),
        ] {
            assert_eq!(cut(text, max, finished), wanted, "{text:?} {max}");
        }
    }

    proptest! {
        #[test]
        fn it_never_exceeds_the_limit_and_is_one_line(text in "\\PC{0,80}|[a-z .!?\\n…]{0,80}", max in 1_usize..60, finished: bool) {
            let kept = cut(&text, max, finished);
            prop_assert!(kept.chars().count() <= max);
            prop_assert!(!kept.contains('\n'));
            prop_assert_eq!(kept.trim(), &kept);
        }
    }
}
