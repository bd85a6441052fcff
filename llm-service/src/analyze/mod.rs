//! Prompt → verdict. The model is shown a text twice, each time before a word that would name something about it, and
//! the likelihood of many words is read there: no text of the model's is parsed, and no list of words is looked for in
//! the text. How a text gets into a prompt is `prompt.rs`', how the likelihoods are read is `model/`'s.
//!
//! | file | what lives there |
//! |---|---|
//! | `mod.rs` | the judge: asks everything about several texts at once |
//! | `verdict.rs` | what a verdict says |
//! | `question.rs` | a prompt and the words whose likelihood answers it |
//! | `sentiment.rs`, `safety.rs`, `topics.rs` | how likelihoods become an answer |
//! | `reason.rs` | why, in the model's words |
//! | `calibration.rs` | what a model's likelihoods mean, measured with posts of known kind |
//! | `examples.rs` | those posts |
//! | `readout.rs` | linear functions of likelihoods, learnt from them |

mod calibration;
mod examples;
mod question;
mod readout;
mod reason;
mod safety;
mod sentiment;
mod topics;
mod verdict;

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::model::{Model, ModelError, Stop};
use calibration::{Calibration, Measurement, mood};
use question::{Question, classes};
use reason::Reasons;

pub use examples::Examples;
pub use reason::WrittenReason;
pub use safety::SAFETY_THRESHOLD;
pub use topics::{MAX_TOPICS, TOPICS};
pub use verdict::{Polarity, Safety, Verdict};

/// The state of the prompts, labels and figures in this folder and `prompts/`. To be raised with any change of them,
/// so that verdicts of before and after can be told apart.
pub const PROMPT_VERSION: &str = "2";

const MOOD: &str = include_str!("../../prompts/sentiment.txt");
const MOOD_LABELS: &str = include_str!("../../prompts/sentiment.labels");
const CHARACTER: &str = include_str!("../../prompts/character.txt");

/// How many words' likelihoods harm and topics are learnt from. With half as many, examples that were held out are
/// judged a little worse; more cannot help the small model, whose likelihoods are functions of 576 numbers.
const WORDS: usize = 1024;

/// How to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeSettings {
    /// From which probability of harm a text is dangerous.
    pub safety_threshold: f32,
    /// What texts may be about.
    pub topics: Vec<String>,
    /// Posts of known kind.
    pub examples: Examples,
    /// Where calibrations are kept; nowhere when none.
    pub calibrations: Option<PathBuf>,
    /// Whether to measure anew what is known of the model already.
    pub anew: bool,
}

/// The questions, ready for one model.
#[derive(Debug)]
pub struct Judge {
    mood: Question,
    character: Question,
    calibration: Calibration,
    settings: JudgeSettings,
    reasons: Reasons,
    prompt_version: String,
}

/// A verdict but for its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// See [`Verdict`].
    pub polarity: Polarity,
    /// See [`Verdict`].
    pub score: f32,
    /// See [`Verdict`].
    pub confidence: f32,
    /// See [`Verdict`].
    pub safety: Safety,
    /// The probability of harm that decided it.
    pub danger: f32,
    /// See [`Verdict`].
    pub topics: Vec<String>,
    /// Tokens that went through the model.
    pub tokens: usize,
}

impl Draft {
    /// Whether a reason has to be given.
    #[must_use]
    pub fn is_dangerous(&self) -> bool {
        self.safety == Safety::Dangerous
    }

    #[cfg(test)]
    pub(crate) fn harmless() -> Self {
        Self {
            polarity: Polarity::Neutral,
            score: 0.0,
            confidence: 1.0,
            safety: Safety::Ok,
            danger: 0.0,
            topics: Vec::new(),
            tokens: 1,
        }
    }
}

impl Judge {
    /// Prepares the questions: reads the beginnings of their prompts, and measures what the model's likelihoods mean
    /// unless that is known of it.
    ///
    /// # Errors
    /// When the labels cannot be told apart in this model's vocabulary, or the model fails.
    pub async fn new(model: &Model, settings: JudgeSettings) -> Result<Self, ModelError> {
        let mood = Question::new(model, MOOD, &classes(MOOD_LABELS)).await?;
        let character = Question::open(model, CHARACTER, WORDS).await?;
        let measurement = Measurement {
            model,
            mood: &mood,
            character: &character,
            examples: &settings.examples,
            topics: &settings.topics,
        };
        let calibration = measurement
            .calibration(settings.calibrations.as_deref(), settings.anew)
            .await?;
        Ok(Self {
            mood,
            character,
            calibration,
            reasons: Reasons::new(model.vocabulary())?,
            prompt_version: prompt_version(&settings),
            settings,
        })
    }

    /// [`PROMPT_VERSION`], and a mark of settings that are not the usual ones.
    #[must_use]
    pub fn prompt_version(&self) -> &str {
        &self.prompt_version
    }

    /// Judges texts, all in one pass of the model where it can do that. The same text gets the same verdict from the
    /// same model on the same machine, but for the last digits: which texts are read together changes the order of
    /// additions.
    ///
    /// # Errors
    /// When the model fails.
    pub async fn read(&self, model: &Model, texts: &[&str]) -> Result<Vec<Draft>, ModelError> {
        let mut asks = Vec::with_capacity(2 * texts.len());
        for text in texts {
            asks.push(self.mood.about(model, text)?);
            asks.push(self.character.about(model, text)?);
        }
        let readings = model.read(asks).await?;
        let each = readings.chunks_exact(2).map(|readings| {
            let mood = mood(&self.mood, &readings[0])?;
            let (score, polarity, confidence) = sentiment::answer(mood, &self.calibration);
            let logits = self.character.means(&readings[1])?;
            let answers = self.calibration.readout.answers(&logits);
            let (harm, topics) = answers.split_first().unwrap_or((&0.0, &[]));
            let threshold = self.settings.safety_threshold;
            let (danger, safety) = safety::answer(*harm, &self.calibration, threshold);
            Ok(Draft {
                polarity,
                score,
                confidence,
                safety,
                danger,
                topics: topics::answer(topics, &self.settings.topics),
                tokens: readings.iter().map(|reading| reading.tokens).sum(),
            })
        });
        each.collect()
    }

    /// Has the model say in a sentence why a text was judged as it was.
    ///
    /// # Errors
    /// When the model fails.
    pub async fn reason(
        &self,
        model: &Model,
        text: &str,
        draft: &Draft,
        stop: &Stop,
    ) -> Result<WrittenReason, ModelError> {
        self.reasons.write(model, text, draft, stop).await
    }

    /// The verdict that a draft becomes with its reason.
    #[must_use]
    pub fn verdict(&self, model: &Model, draft: Draft, explanation: String) -> Verdict {
        Verdict {
            polarity: draft.polarity,
            score: draft.score,
            confidence: draft.confidence,
            safety: draft.safety,
            topics: draft.topics,
            explanation,
            model: model.about().name.clone(),
            prompt_version: self.prompt_version.clone(),
            tokens: draft.tokens,
        }
    }
}

/// [`PROMPT_VERSION`], and a mark of settings that are not the usual ones.
fn prompt_version(settings: &JudgeSettings) -> String {
    let topics = settings.topics.join(",");
    let usual: Vec<String> = TOPICS.split(',').map(str::to_owned).collect();
    let is_usual = Examples::read(None, &usual).is_ok_and(|usual| usual == settings.examples);
    let threshold = settings.safety_threshold;
    if topics == TOPICS && is_usual && threshold == SAFETY_THRESHOLD {
        return PROMPT_VERSION.to_owned();
    }
    let examples = &settings.examples.digest;
    let digest = Sha256::digest(format!("{topics}|{examples}|{threshold}"));
    let mark: String = digest[..3]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{PROMPT_VERSION}-{mark}")
}

/// Four places: what lies behind them differs between machines.
fn round(value: f32) -> f32 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_topics_make_another_version() {
        let version = |list: &str| {
            let topics: Vec<String> = list.split(',').map(str::to_owned).collect();
            prompt_version(&JudgeSettings {
                safety_threshold: SAFETY_THRESHOLD,
                examples: Examples::read(None, &topics).unwrap(),
                topics,
                calibrations: None,
                anew: false,
            })
        };
        assert_eq!(version(TOPICS), PROMPT_VERSION);
        assert!(version("food,music").starts_with(&format!("{PROMPT_VERSION}-")));
        assert_ne!(version("food,music"), version("music,food"));
    }
}
