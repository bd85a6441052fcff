//! What simulated people write.

use rand::{RngExt as _, rngs::SmallRng, seq::IndexedRandom as _};

const WORDS: &[&str] = &[
    "morning",
    "river",
    "coffee",
    "train",
    "window",
    "garden",
    "quiet",
    "bridge",
    "winter",
    "letter",
    "music",
    "late",
    "first",
    "swallow",
    "market",
    "bread",
    "rain",
    "again",
    "finally",
    "somebody",
    "remember",
    "summer",
    "light",
    "kitchen",
    "cat",
    "neighbour",
    "bicycle",
    "forgot",
    "laughing",
    "tomorrow",
    "walk",
    "along",
    "harbour",
    "small",
    "wonderful",
    "terrible",
    "game",
    "lost",
    "won",
    "team",
    "paint",
    "story",
    "chapter",
    "cloud",
    "mountain",
    "ticket",
    "concert",
    "friend",
    "dinner",
    "recipe",
    "salt",
    "honey",
    "autumn",
    "leaves",
    "street",
    "old",
    "new",
    "photo",
    "dog",
    "park",
    "bench",
    "book",
    "tea",
    "slow",
];
const TAGS: &[&str] = &["morning", "music", "garden", "travel", "books", "food"];

/// 60 to 140 ASCII letters and spaces, one time in eight with a tag. Nothing in it needs an escape in JSON.
pub(super) fn post(random: &mut SmallRng) -> String {
    let length = random.random_range(60..=130);
    let mut text = String::with_capacity(150);
    while text.len() < length {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(WORDS.choose(random).copied().unwrap_or("word"));
    }
    if random.random_ratio(1, 8) {
        text.push_str(" #");
        text.push_str(TAGS.choose(random).copied().unwrap_or("books"));
    }
    text
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_post_is_of_the_length_that_posts_have_and_needs_no_escape() {
        let mut random = SmallRng::seed_from_u64(7);
        for _ in 0..500 {
            let text = post(&mut random);
            assert!((60..=150).contains(&text.len()), "{text}");
            assert!(
                text.chars()
                    .all(|c| c.is_ascii_alphabetic() || c == ' ' || c == '#'),
                "{text}"
            );
        }
    }
}
