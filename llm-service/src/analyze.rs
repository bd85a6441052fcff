//! Prompt → verdict. The model is shown a post as the last of a few labelled examples and the likelihood of the
//! label that would come next is read; no text of the model's is parsed, and no list of words decides anything.
//! How a post gets into a prompt is `prompt.rs`', how the likelihood is read is `model.rs`'.
//!
//! The prompts and figures were chosen with SmolLM2-135M-Instruct (Q4_1) on the first 200 dev posts of Hutto & Gilbert
//! 2014: r = 0.79 against the mean of the human ratings, the sign right on 104 of 108 clear posts (mean beyond ±1).
//! Of the 25 dangerous and 35 harmless texts in `tests/it/data/safety.tsv`, 17 and 4 are called dangerous, and 7 of
//! the 200 posts. `tests/it/quality.rs` measures it again.

use serde::Serialize;

use crate::{
    model::{Manner, Model, ModelError},
    prompt::Prompt,
    sentence,
};

/// The state of the prompts, labels and figures of this file. To be raised with any change of them, so that verdicts
/// of before and after can be told apart.
pub const PROMPT_VERSION: &str = "1";

/// The default of LLM_SAFETY_THRESHOLD: the small model then accuses about one harmless post in twenty.
pub const SAFETY_THRESHOLD: f32 = 0.93;

/// Everyday posts, one a line. A model leans towards one of two labels whatever it is shown, and each model in its
/// own way; these posts tell how far, and the safety of others is judged from there (after Zhao et al. 2021,
/// "Calibrate Before Use", with real posts instead of empty ones).
const HARMLESS: &str = include_str!("../prompts/harmless.txt");

/// Between minus and plus this score a post counts as neutral.
const NEUTRAL: f32 = 0.2;

/// Divides the difference of two labels' logits before it becomes a score. The model is far too sure of itself; with
/// 2, scores follow the mean of human raters more closely than with 1.
const SENTIMENT_TEMPERATURE: f32 = 2.0;

/// The longest explanation, in characters.
pub const MAX_EXPLANATION: usize = 200;

/// The longest explanation, in tokens: about 30 words.
const MAX_EXPLANATION_TOKENS: usize = 40;

const POSITIVE: &str = " positive";
const NEGATIVE: &str = " negative";
const DANGEROUS: &str = " threat";
const HARMLESS_LABEL: &str = " chat";

/// What the model makes of a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The mood of the text.
    pub polarity: Polarity,
    /// −1 (negative) … 1 (positive): the difference of the two labels' probabilities, at a temperature.
    pub score: f32,
    /// 0 … 1: how far the score lies inside its polarity's range.
    pub confidence: f32,
    /// Whether the text could do harm.
    pub safety: Safety,
    /// Why a dangerous text is dangerous, in the model's words, at most [`MAX_EXPLANATION`] characters; else empty.
    pub explanation: String,
    /// Short name of the model.
    pub model: String,
    /// [`PROMPT_VERSION`].
    pub prompt_version: &'static str,
    /// Tokens read and written for this verdict.
    pub tokens: usize,
}

/// The mood of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarity {
    /// Pleased, friendly, joyful.
    Positive,
    /// Neither, or both.
    Neutral,
    /// Displeased, sad, hostile.
    Negative,
}

/// Whether a text could do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Safety {
    /// It does not seem so.
    Ok,
    /// Threats, hate, calls to harm oneself or others, crime.
    Dangerous,
}

/// A verdict and what it cost.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// What it cost.
    pub cost: Cost,
}

/// Tokens that passed through the model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Tokens read.
    pub prompt_tokens: usize,
    /// Tokens written.
    pub completion_tokens: usize,
}

/// The questions, ready for one model.
#[derive(Debug)]
pub struct Judge {
    sentiment: Question,
    safety: Question,
    reason: Prompt,
    threshold: f32,
    /// The mean difference of the safety labels' logits over [`HARMLESS`].
    leaning: f32,
}

/// A prompt and the tokens of two labels of which one comes next.
#[derive(Debug)]
struct Question {
    prompt: Prompt,
    labels: Vec<u32>,
}

impl Question {
    fn new(model: &Model, file: &'static str, yes: &str, no: &str) -> Result<Self, ModelError> {
        let prompt = Prompt::new(model, file)?;
        let labels = [yes, no]
            .iter()
            .map(|label| model.label(prompt.tail(), label))
            .collect::<Result<Vec<_>, _>>()?;
        if labels[0] == labels[1] {
            return Err(ModelError::Tokenizer(format!(
                "the labels {yes:?} and {no:?} begin with the same token, so they cannot be told apart"
            )));
        }
        Ok(Self { prompt, labels })
    }

    /// By how much the logit of the first label exceeds that of the second.
    async fn difference(
        &self,
        model: &Model,
        text: &str,
        cost: &mut Cost,
    ) -> Result<f32, ModelError> {
        let prompt = self.prompt.with(model, text)?;
        let reading = model.read(prompt, &self.labels).await?;
        cost.add(reading.prompt_tokens, reading.completion_tokens);
        match reading.logits.as_slice() {
            [yes, no] if (yes - no).is_finite() => Ok(yes - no),
            _ => Err(ModelError::Engine(
                "it gave no logits for the labels".to_owned(),
            )),
        }
    }
}

impl Cost {
    fn add(&mut self, prompt_tokens: usize, completion_tokens: usize) {
        self.prompt_tokens += prompt_tokens;
        self.completion_tokens += completion_tokens;
    }
}

impl Judge {
    /// Prepares the questions; from `threshold` on (a probability) a text is dangerous. The model judges
    /// [`HARMLESS`] for it, so this takes some seconds.
    ///
    /// # Errors
    /// When a label cannot be told apart by its first token in this model's vocabulary, or the model fails.
    pub async fn new(model: &Model, threshold: f32) -> Result<Self, ModelError> {
        let sentiment = Question::new(
            model,
            include_str!("../prompts/sentiment.txt"),
            POSITIVE,
            NEGATIVE,
        )?;
        let safety = Question::new(
            model,
            include_str!("../prompts/safety.txt"),
            DANGEROUS,
            HARMLESS_LABEL,
        )?;
        let (mut sum, mut count) = (0.0, 0.0_f32);
        for post in HARMLESS.lines().filter(|line| !line.is_empty()) {
            sum += safety.difference(model, post, &mut Cost::default()).await?;
            count += 1.0;
        }
        Ok(Self {
            sentiment,
            safety,
            reason: Prompt::new(model, include_str!("../prompts/reason.txt"))?,
            threshold,
            leaning: sum / count.max(1.0),
        })
    }

    /// The verdict about one text. The same text gets the same verdict from the same model on the same machine.
    ///
    /// # Errors
    /// When the model fails.
    pub async fn verdict(&self, model: &Model, text: &str) -> Result<Judged, ModelError> {
        let mut cost = Cost::default();
        let score = score(self.sentiment.difference(model, text, &mut cost).await?);
        let danger =
            probability(self.safety.difference(model, text, &mut cost).await? - self.leaning);
        tracing::debug!(llm.score = score, llm.danger = danger, "judged");
        let safety = if danger >= self.threshold {
            Safety::Dangerous
        } else {
            Safety::Ok
        };
        let explanation = match safety {
            Safety::Ok => String::new(),
            Safety::Dangerous => {
                let prompt = self.reason.with(model, text)?;
                let written = model
                    .write(prompt, Manner::Steady, MAX_EXPLANATION_TOKENS)
                    .await?;
                cost.add(written.prompt_tokens, written.completion_tokens);
                sentence::cut(&written.text, MAX_EXPLANATION, written.finished)
            }
        };
        let polarity = polarity(score);
        let verdict = Verdict {
            polarity,
            score,
            confidence: confidence(score),
            safety,
            explanation,
            model: model.about().name.clone(),
            prompt_version: PROMPT_VERSION,
            tokens: cost.prompt_tokens + cost.completion_tokens,
        };
        Ok(Judged { verdict, cost })
    }
}

/// Probability of the first of two labels whose logits differ by `difference`, when it must be one of the two.
fn probability(difference: f32) -> f32 {
    1.0 / (1.0 + (-difference).exp())
}

/// p(positive) − p(negative) at [`SENTIMENT_TEMPERATURE`], which is tanh(d / 2T), rounded to four places: what lies
/// behind them differs between machines.
fn score(difference: f32) -> f32 {
    round((difference / (2.0 * SENTIMENT_TEMPERATURE)).tanh())
}

fn polarity(score: f32) -> Polarity {
    if score >= NEUTRAL {
        Polarity::Positive
    } else if score <= -NEUTRAL {
        Polarity::Negative
    } else {
        Polarity::Neutral
    }
}

/// 0.5 at the border between two polarities, 1 at the far end of either (a score of ±1, or of 0 for neutral).
fn confidence(score: f32) -> f32 {
    let size = score.abs();
    let depth = if size >= NEUTRAL {
        (size - NEUTRAL) / (1.0 - NEUTRAL)
    } else {
        (NEUTRAL - size) / NEUTRAL
    };
    round(0.5 + 0.5 * depth)
}

fn round(value: f32) -> f32 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_score_grows_with_the_difference_and_is_even_around_zero() {
        assert_eq!(score(0.0), 0.0);
        assert_eq!(score(f32::INFINITY), 1.0);
        assert_eq!(score(f32::NEG_INFINITY), -1.0);
        assert_eq!(probability(0.0), 0.5);
        assert_eq!(polarity(NEUTRAL), Polarity::Positive);
        assert_eq!(polarity(-NEUTRAL), Polarity::Negative);
        assert_eq!(polarity(0.0), Polarity::Neutral);
        assert_eq!(
            (confidence(1.0), confidence(0.0), confidence(NEUTRAL)),
            (1.0, 1.0, 0.5)
        );
    }

    proptest! {
        #[test]
        fn every_figure_stays_in_its_range(a in -200_f32..200.0, b in -200_f32..200.0) {
            let (low, high) = (score(a.min(b)), score(a.max(b)));
            prop_assert!(low <= high);
            prop_assert!((-1.0..=1.0).contains(&low));
            prop_assert_eq!(score(-a), -score(a));
            prop_assert!((0.5..=1.0).contains(&confidence(low)));
            prop_assert!((0.0..=1.0).contains(&probability(a)));
        }
    }
}
