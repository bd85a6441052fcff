//! What a seeded post says and who wrote it: words as unevenly spread as people's are, and few authors who write most.

use rand::{RngExt as _, rngs::StdRng};

/// Words that every second post has.
const COMMON: &str = "the a and to of in is it you that for on with as this was are be have not but all my what so one can \
    if out about get just like time up day good know now new people think more how when see very much too after some why \
    morning evening week home work rain coffee train music book city river bread garden friend story window street";
/// Of these syllables the rest of the language is made.
const FIRST: [&str; 24] = [
    "ba", "bel", "cor", "da", "dri", "el", "fa", "fen", "gal", "har", "il", "ka", "lo", "mar",
    "na", "or", "pel", "qui", "ra", "sa", "tor", "ul", "ver", "wi",
];
const SECOND: [&str; 24] = [
    "bin", "cal", "den", "do", "fer", "gan", "gle", "la", "len", "li", "man", "mi", "nar", "ner",
    "po", "ral", "ri", "sen", "ta", "tel", "ti", "va", "von", "zo",
];
const THIRD: [&str; 10] = ["", "s", "ed", "er", "ing", "ly", "or", "y", "en", "um"];
/// How many words there are.
const VOCABULARY: usize = 5_000;
/// Tags are some of the words.
const TAGS: usize = 400;

/// The words that posts are made of, the frequent ones first.
pub struct Vocabulary(Vec<String>);

impl Default for Vocabulary {
    fn default() -> Self {
        let made = (0..).map(|n: usize| {
            let (first, second, third) = (n % 24, n / 24 % 24, n / 576 % 10);
            // Each round of first syllables is shifted, so that neighbours in the list do not look alike.
            format!(
                "{}{}{}",
                FIRST[first],
                SECOND[(second + first) % 24],
                THIRD[third]
            )
        });
        let mut words: Vec<String> = COMMON.split_whitespace().map(str::to_owned).collect();
        words.extend(made.take(VOCABULARY - words.len()));
        Self(words)
    }
}

impl Vocabulary {
    /// 80 to 140 characters of words, one time in sixteen with a tag, which is also returned.
    #[must_use]
    pub fn post(&self, random: &mut StdRng) -> (String, Option<&str>) {
        let length = random.random_range(80..=140);
        let mut text = String::with_capacity(160);
        let tag = random
            .random_ratio(1, 16)
            .then(|| self.0[100 + skewed(random, TAGS, 2.0)].as_str());
        if let Some(tag) = tag {
            text.push('#');
            text.push_str(tag);
        }
        loop {
            let word = &self.0[skewed(random, self.0.len(), 3.0)];
            if text.len() + 1 + word.len() > length {
                break;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        // The words that did not fit may have been long ones.
        while text.len() < 80 {
            text.push_str(" so");
        }
        (text, tag)
    }
}

/// A number below `count`, the small ones far more often: with power 3 the first hundredth is drawn one time in five.
pub fn skewed(random: &mut StdRng, count: usize, power: f64) -> usize {
    let drawn = random.random::<f64>().powf(power) * count as f64;
    (drawn as usize).min(count.saturating_sub(1))
}

/// How often something happens whose mean is `mean`, by a geometric law: mostly never, now and then often.
pub fn often(random: &mut StdRng, mean: f64, most: usize) -> usize {
    let keep = mean / (1.0 + mean);
    let mut count = 0;
    while count < most && random.random::<f64>() < keep {
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn posts_have_80_to_140_characters_of_words() {
        let (words, mut random) = (Vocabulary::default(), StdRng::seed_from_u64(1));
        let mut tagged = 0;
        for _ in 0..5_000 {
            let (text, tag) = words.post(&mut random);
            assert!((80..=140).contains(&text.len()), "{text}");
            assert!(
                text.is_ascii() && !text.contains("  ") && !text.contains('\\'),
                "{text}"
            );
            if let Some(tag) = tag {
                assert!(text.starts_with(&format!("#{tag} ")), "{text}");
                tagged += 1;
            }
        }
        assert!((200..500).contains(&tagged), "{tagged}");
    }

    #[test]
    fn no_word_is_there_twice() {
        let words = Vocabulary::default();
        let distinct: HashSet<_> = words.0.iter().collect();
        assert_eq!((words.0.len(), distinct.len()), (VOCABULARY, VOCABULARY));
    }

    #[test]
    fn few_write_most() {
        let mut random = StdRng::seed_from_u64(2);
        let by_the_first_hundredth = (0..10_000)
            .filter(|_| skewed(&mut random, 1_000, 3.0) < 10)
            .count();
        assert!(
            (1_800..2_600).contains(&by_the_first_hundredth),
            "{by_the_first_hundredth}"
        );
        assert!((0..1_000).all(|_| skewed(&mut random, 1, 3.0) == 0));
    }
}
