//! The mood of a text: from how much likelier pleasant words are than unpleasant ones as the name of its mood,
//! compared with the examples.

use super::{Polarity, calibration::Calibration, round};

/// How many standard deviations from the examples' mean a text must lie to be positive or negative. Chosen on the dev
/// posts for the mean of the three classes' F1.
const NEUTRAL: f32 = 0.43;

/// Over how many deviations a polarity goes from unlikely to likely around that border: with 0.4 the confidence is
/// as often right as it says.
const SOFTNESS: f32 = 0.4;

/// The score, the polarity, and how likely that is the right one.
pub(super) fn answer(mood: f32, calibration: &Calibration) -> (f32, Polarity, f32) {
    let deviations = (mood - calibration.mood_mean) / calibration.mood_deviation;
    let polarity = polarity(deviations);
    (
        round(deviations.tanh()),
        polarity,
        round(confidence(deviations, polarity)),
    )
}

fn polarity(deviations: f32) -> Polarity {
    if deviations >= NEUTRAL {
        Polarity::Positive
    } else if deviations <= -NEUTRAL {
        Polarity::Negative
    } else {
        Polarity::Neutral
    }
}

/// The three classes' likelihoods as those of an ordered scale with two borders (McCullagh 1980).
fn confidence(deviations: f32, polarity: Polarity) -> f32 {
    let beyond = |distance: f32| 1.0 / (1.0 + (-(distance - NEUTRAL) / SOFTNESS).exp());
    let (positive, negative) = (beyond(deviations), beyond(-deviations));
    match polarity {
        Polarity::Positive => positive,
        Polarity::Negative => negative,
        Polarity::Neutral => (1.0 - positive - negative).max(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_middle_is_neutral_and_the_ends_are_sure() {
        assert_eq!(polarity(0.0), Polarity::Neutral);
        assert_eq!(polarity(NEUTRAL), Polarity::Positive);
        assert_eq!(polarity(-NEUTRAL), Polarity::Negative);
        assert!(confidence(5.0, Polarity::Positive) > 0.99);
        assert!((confidence(NEUTRAL, Polarity::Positive) - 0.5).abs() < 1e-6);
        assert!(confidence(0.0, Polarity::Neutral) > confidence(0.3, Polarity::Neutral));
    }

    proptest! {
        #[test]
        fn every_figure_stays_in_its_range(a in -200_f32..200.0) {
            prop_assert!((0.0..=1.0).contains(&confidence(a, polarity(a))));
            let mirrored = confidence(-a, polarity(-a));
            prop_assert!((confidence(a, polarity(a)) - mirrored).abs() < 1e-5);
        }
    }
}
