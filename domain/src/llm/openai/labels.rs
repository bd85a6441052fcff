//! Token probabilities → polarity, score and safety. The figures here were not fitted to any one model, since every
//! operator has another: they are where the meaning of the labels puts them.

use super::wire::Candidate;
use crate::analysis::{Polarity, Safety};

/// What the model may answer about the mood, in the order of [`score`].
pub(super) const MOODS: [&str; 3] = ["positive", "negative", "neutral"];
/// What it may answer about harm, in the order of [`safety`].
pub(super) const HARMS: [&str; 2] = ["safe", "dangerous"];

/// Between minus and plus this score a post is neutral: each polarity gets a third of the range.
const NEUTRAL_WITHIN: f32 = 0.33;
/// The score of a post that is only just neutral.
const NEUTRAL_EDGE: f32 = 0.32;
/// From this probability a post is dangerous.
const DANGEROUS_FROM: f32 = 0.5;
/// With less than this probability on all labels together, the model was about to say something else.
const LEAST_MASS: f64 = 0.1;

/// The probability of each label when it must be one of them; they add up to 1.
pub(super) type Likelihood<const N: usize> = [f32; N];

/// How likely each label is by the tokens that could come first; `None` when the model would say something else.
pub(super) fn likelihood<const N: usize>(
    candidates: &[Candidate],
    labels: [&str; N],
) -> Option<Likelihood<N>> {
    let mut masses = [0.0_f64; N];
    for candidate in candidates {
        if let Some(label) = label_of(&candidate.token, labels) {
            masses[label] += candidate.probability;
        }
    }
    let sum: f64 = masses.iter().sum();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a probability, rounded to four places"
    )]
    (sum >= LEAST_MASS).then(|| masses.map(|mass| round((mass / sum) as f32)))
}

/// Which label a first token begins, if it can only be one. Vocabularies cut words in different places ("neg",
/// "Positive", "▁neutral"), and "ne" begins two.
fn label_of<const N: usize>(token: &str, labels: [&str; N]) -> Option<usize> {
    let token = token
        .trim_matches(|c: char| !c.is_alphabetic())
        .to_lowercase();
    if token.is_empty() {
        return None;
    }
    let mut begun = (0..N).filter(|&label| labels[label].starts_with(&token));
    match (begun.next(), begun.next()) {
        (Some(label), None) => Some(label),
        _ => None,
    }
}

/// p(positive) − p(negative): −1 … 1.
pub(super) fn score(moods: &Likelihood<3>) -> f32 {
    let [positive, negative, _neutral] = moods;
    round(positive - negative)
}

pub(super) fn safety(harms: &Likelihood<2>) -> Safety {
    let [_safe, dangerous] = harms;
    if *dangerous >= DANGEROUS_FROM {
        Safety::Dangerous
    } else {
        Safety::Ok
    }
}

pub(super) fn polarity(score: f32) -> Polarity {
    if score >= NEUTRAL_WITHIN {
        Polarity::Positive
    } else if score <= -NEUTRAL_WITHIN {
        Polarity::Negative
    } else {
        Polarity::Neutral
    }
}

/// The nearest score of this polarity: where a model says both, its word counts for more than its figure.
pub(super) fn reconcile(word: Polarity, figure: f32) -> f32 {
    if polarity(figure) == word {
        return figure;
    }
    match word {
        Polarity::Positive => NEUTRAL_WITHIN,
        Polarity::Negative => -NEUTRAL_WITHIN,
        Polarity::Neutral => NEUTRAL_EDGE.copysign(figure),
    }
}

/// 0.5 at the border between two polarities, 1 at the far end of either (a score of ±1, or of 0 for neutral).
pub(super) fn confidence(score: f32) -> f32 {
    let size = score.abs();
    let depth = if size >= NEUTRAL_WITHIN {
        (size - NEUTRAL_WITHIN) / (1.0 - NEUTRAL_WITHIN)
    } else {
        (NEUTRAL_WITHIN - size) / NEUTRAL_WITHIN
    };
    round(0.5 + 0.5 * depth)
}

pub(super) fn round(value: f32) -> f32 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(tokens: &[(&str, f64)]) -> Vec<Candidate> {
        let candidate = |&(token, probability): &(&str, f64)| Candidate {
            token: token.into(),
            probability,
        };
        tokens.iter().map(candidate).collect()
    }

    #[test]
    fn every_way_to_begin_a_label_counts_for_it() {
        let top = candidates(&[
            ("pos", 0.3),
            (" Positive", 0.2),
            ("\u{2581}negative", 0.1),
            ("\"NEG", 0.1),
            ("neutral.", 0.1),
            ("ne", 0.15),
            ("I", 0.04),
            ("\n", 0.01),
        ]);
        assert_eq!(likelihood(&top, MOODS), Some([0.625, 0.25, 0.125]));
        assert_eq!(score(&[0.625, 0.25, 0.125]), 0.375);
    }

    #[test]
    fn a_model_that_would_say_something_else_is_not_read() {
        for tokens in [
            &[][..],
            &[("Sorry", 0.95), ("positive", 0.05)],
            &[("ne", 1.0)],
            &[("positively", 1.0)],
            &[("", 1.0), ("<think>", 1.0), (" ", 1.0)],
        ] {
            assert_eq!(likelihood(&candidates(tokens), MOODS), None, "{tokens:?}");
        }
    }

    #[test]
    fn the_thresholds_are_where_they_are_said_to_be() {
        assert_eq!(polarity(NEUTRAL_WITHIN), Polarity::Positive);
        assert_eq!(polarity(NEUTRAL_EDGE), Polarity::Neutral);
        assert_eq!(polarity(-NEUTRAL_WITHIN), Polarity::Negative);
        let ends = [1.0, 0.0, NEUTRAL_WITHIN].map(confidence);
        assert_eq!(ends, [1.0, 1.0, 0.5]);
        assert_eq!(safety(&[0.5, 0.5]), Safety::Dangerous);
        assert_eq!(safety(&[0.51, 0.49]), Safety::Ok);
    }

    proptest! {
        #[test]
        fn every_figure_stays_in_its_range(masses in proptest::array::uniform3(0.0_f64..1.0)) {
            let tokens: Vec<_> = MOODS.into_iter().zip(masses).collect();
            if let Some(moods) = likelihood(&candidates(&tokens), MOODS) {
                let score = score(&moods);
                prop_assert!((-1.0..=1.0).contains(&score));
                prop_assert!((0.5..=1.0).contains(&confidence(score)));
                prop_assert!((moods.iter().sum::<f32>() - 1.0).abs() < 0.001);
            }
        }

        #[test]
        fn a_reconciled_score_lies_in_its_polarity(figure in -1.0_f32..=1.0) {
            for word in [Polarity::Positive, Polarity::Neutral, Polarity::Negative] {
                let score = reconcile(word, figure);
                prop_assert_eq!(polarity(score), word);
                prop_assert!((-1.0..=1.0).contains(&score));
                prop_assert!(polarity(figure) != word || score == figure);
            }
        }
    }
}
