//! What a model's likelihoods mean, measured with posts of known kind: where the middle of its moods lies and how far
//! they spread, and what its likelihoods say of harm and topics. Every model has habits of its own, so this is
//! measured anew for each; it takes as long as judging the posts, and is kept.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    PROMPT_VERSION,
    examples::{Example, Examples},
    question::Question,
    readout::{Readout, centred},
};
use crate::model::{Model, ModelError, Reading};

/// Calibrations that come with the program.
const BUILT_IN: [&str; 1] = [include_str!(
    "../../calibration/SmolLM2-135M-Instruct.Q4_1.json"
)];

/// By what a calibration is recognised as the loaded model's: how it reads this.
const REFERENCE: &str = "The ferry leaves at nine and the bakery opens at seven.";

/// How alike two readings of [`REFERENCE`] are when they are one model's (cosine). Other rounding, as on another
/// machine, leaves 0.99999; another quantization of the same weights does not reach this.
const ALIKE: f32 = 0.9995;

/// Posts read together while measuring.
const BATCH: usize = 16;

/// Of how many posts one is asked for its mood: two numbers are measured with it, for which fewer suffice.
const MOOD_OF: usize = 4;

/// What a model's likelihoods mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Calibration {
    /// State of prompts and figures.
    prompt_version: String,
    /// Digest of the examples and of the prompts that they were read with.
    examples: String,
    /// The topics, in the order of the readout's answers after the first, which is harm.
    topics: Vec<String>,
    /// How the model reads [`REFERENCE`].
    reference: Vec<f32>,
    /// Mean over the examples of the difference between the positive and negative words' mean logits.
    pub(super) mood_mean: f32,
    /// Its standard deviation.
    pub(super) mood_deviation: f32,
    /// By what the answer for harm is multiplied to be the logarithm of its odds.
    pub(super) harm_slope: f32,
    /// Harm, then each topic.
    pub(super) readout: Readout,
}

/// What is measured: the two questions, and posts of known kind.
pub(super) struct Measurement<'a> {
    pub(super) model: &'a Model,
    pub(super) mood: &'a Question,
    pub(super) character: &'a Question,
    pub(super) examples: &'a Examples,
    pub(super) topics: &'a [String],
}

impl Measurement<'_> {
    /// The model's calibration: a new one when it is wanted `anew`, else one that comes with the program, one that was kept in `folder`, or a new one, which
    /// is kept there.
    ///
    /// # Errors
    /// When the model fails.
    pub(super) async fn calibration(
        &self,
        folder: Option<&Path>,
        anew: bool,
    ) -> Result<Calibration, ModelError> {
        let reference = self.reference().await?;
        let path = folder.map(|folder| self.path(folder));
        let kept = path
            .as_ref()
            .and_then(|path| std::fs::read_to_string(path).ok());
        let known = BUILT_IN.into_iter().chain(kept.as_deref());
        let mut known = known.filter_map(|text| serde_json::from_str::<Calibration>(text).ok());
        let known = known.find(|known| !anew && self.fits(known, &reference));
        if let Some(calibration) = known {
            return Ok(calibration);
        }
        let calibration = self.measure(reference).await?;
        if let Some(path) = path {
            match keep(&path, &calibration) {
                Ok(()) => tracing::info!("the calibration is kept in {}", path.display()),
                Err(cause) => tracing::warn!(
                    %cause,
                    "the calibration cannot be kept in {}, so every start will measure it anew; \
                     name a folder in LLM_CALIBRATION_DIR",
                    path.display()
                ),
            }
        }
        Ok(calibration)
    }

    fn fits(&self, known: &Calibration, reference: &[f32]) -> bool {
        known.prompt_version == PROMPT_VERSION
            && known.examples == self.digest()
            && known.topics == self.topics
            && known.readout.width() == reference.len()
            && cosine(&known.reference, reference) >= ALIKE
    }

    fn digest(&self) -> String {
        digest(self.examples)
    }

    /// Where the model's calibration is kept.
    fn path(&self, folder: &Path) -> PathBuf {
        let name = &self.model.about().name;
        let plain = name.chars().map(|c| match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') => c,
            _ => '_',
        });
        folder.join(format!("{}.json", plain.collect::<String>()))
    }

    async fn reference(&self) -> Result<Vec<f32>, ModelError> {
        let ask = self.character.about(self.model, REFERENCE)?;
        let readings = self.model.read(vec![ask]).await?;
        let logits = readings
            .first()
            .map(|reading| self.character.means(reading));
        let logits = logits.unwrap_or_else(|| Err(unreadable()))?;
        Ok(centred(&logits).into_iter().map(short).collect())
    }

    /// Measures, which takes as long as judging all examples.
    async fn measure(&self, reference: Vec<f32>) -> Result<Calibration, ModelError> {
        let (start, posts) = (Instant::now(), &self.examples.posts);
        tracing::info!(
            "measuring what the likelihoods of {} mean with {} posts; this is done once",
            self.model.about().name,
            posts.len()
        );
        let (mut moods, mut characters) = (Vec::new(), Vec::new());
        for batch in posts.chunks(BATCH) {
            let about =
                |question: &Question, post: &Example| question.about(self.model, &post.text);
            let asks = batch.iter().map(|post| about(self.character, post));
            let asks = asks.chain(
                batch
                    .iter()
                    .step_by(MOOD_OF)
                    .map(|post| about(self.mood, post)),
            );
            let readings = self.model.read(asks.collect::<Result<_, _>>()?).await?;
            for (place, reading) in readings.iter().enumerate() {
                if place < batch.len() {
                    characters.push(self.character.means(reading)?);
                } else {
                    moods.push(mood(self.mood, reading)?);
                }
            }
            let (done, all) = (characters.len(), posts.len());
            tracing::debug!(llm.posts_done = done, llm.posts = all, "measuring");
        }
        let answers: Vec<Vec<Option<f64>>> = posts
            .iter()
            .map(|post| {
                let about = self.topics.iter().map(|topic| {
                    let topics = post.topics.as_ref()?;
                    Some(f64::from(u8::from(topics.contains(topic))))
                });
                let harm = if post.harmful { 1.0 } else { -1.0 };
                [Some(harm)].into_iter().chain(about).collect()
            })
            .collect();
        let fit = Readout::learn(&characters, &answers).ok_or_else(unreadable)?;
        let said = fit.held_out.iter().zip(posts);
        let harm: Vec<(f64, bool)> = said.map(|(said, post)| (said[0], post.harmful)).collect();
        let mean = moods.iter().sum::<f32>() / moods.len() as f32;
        let squares: f32 = moods.iter().map(|mood| (mood - mean).powi(2)).sum();
        let deviation = (squares / moods.len() as f32).sqrt();
        if !(deviation.is_finite() && deviation > 0.0) {
            return Err(unreadable());
        }
        tracing::info!(
            llm.calibration_seconds = start.elapsed().as_secs_f64(),
            "measured in {:.0} s",
            start.elapsed().as_secs_f64()
        );
        Ok(Calibration {
            prompt_version: PROMPT_VERSION.to_owned(),
            examples: self.digest(),
            topics: self.topics.to_vec(),
            reference,
            mood_mean: mean,
            mood_deviation: deviation,
            harm_slope: slope(&harm) as f32,
            readout: fit.readout.shortened(),
        })
    }
}

/// The difference between the positive and negative words' mean logits.
///
/// # Errors
/// When a logit is missing.
pub(super) fn mood(question: &Question, reading: &Reading) -> Result<f32, ModelError> {
    match question.means(reading)?.as_slice() {
        [positive, negative] => Ok(positive - negative),
        _ => Err(unreadable()),
    }
}

/// What a calibration was measured with, prompts and posts.
fn digest(examples: &Examples) -> String {
    let files = [super::MOOD, super::MOOD_LABELS, super::CHARACTER];
    let digest = Sha256::digest([&files.concat(), examples.digest.as_str()].concat());
    let bytes = digest[..8].iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn unreadable() -> ModelError {
    ModelError::Engine("its likelihoods do not differ from post to post".to_owned())
}

/// Enough digits, and a third of the file.
fn short(number: f32) -> f32 {
    (number * 1e4).round() / 1e4
}

fn keep(path: &Path, calibration: &Calibration) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Under another name first: another replica may be reading it.
    let new = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&new, serde_json::to_string(calibration)?)?;
    std::fs::rename(new, path)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if a.len() == b.len() && length > 0.0 {
        dot(a, b) / length
    } else {
        0.0
    }
}

/// By what answers have to be multiplied to be the logarithm of the odds (Platt 1999, without an offset, so that 0
/// stays even odds): the likeliest of a range, for answers that were held out.
fn slope(answers: &[(f64, bool)]) -> f64 {
    let loss = |slope: f64| -> f64 {
        let each = answers.iter().map(|(answer, truth)| {
            let odds = if *truth {
                slope * answer
            } else {
                -slope * answer
            };
            (-odds).exp().ln_1p()
        });
        each.sum()
    };
    let slopes = (1..=100).map(|step| f64::from(step) / 10.0);
    slopes
        .min_by(|a, b| loss(*a).total_cmp(&loss(*b)))
        .unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_makes_answers_honest_odds() {
        // Answers of ±1 that are right four times in five: odds of 4, whose logarithm is 1.39.
        let answers: Vec<(f64, bool)> = (0..100)
            .map(|i| {
                (
                    if i % 2 == 0 { 1.0 } else { -1.0 },
                    (i % 2 == 0) == (i % 10 < 8),
                )
            })
            .collect();
        assert!((slope(&answers) - 1.4).abs() < 0.06, "{}", slope(&answers));
    }

    #[test]
    fn one_model_is_told_from_another() {
        assert!((cosine(&[1.0, 2.0], &[2.0, 4.0]) - 1.0).abs() < 1e-6);
        assert!(cosine(&[1.0, 2.0], &[2.0, -1.0]).abs() < 1e-6);
        assert_eq!(cosine(&[1.0], &[1.0, 2.0]), 0.0);
        assert_eq!(cosine(&[0.0], &[0.0]), 0.0);
    }

    #[test]
    fn what_comes_along_is_of_these_prompts_and_examples() {
        let topics: Vec<String> = super::super::TOPICS.split(',').map(str::to_owned).collect();
        let examples = Examples::read(None, &topics).unwrap();
        for text in BUILT_IN {
            let known: Calibration = serde_json::from_str(text).unwrap();
            let stale =
                "made with other prompts or posts; make it anew with `llm-service calibrate`";
            assert_eq!(known.prompt_version, PROMPT_VERSION, "{stale}");
            assert_eq!(known.examples, digest(&examples), "{stale}");
            assert_eq!(known.topics, topics, "{stale}");
            assert_eq!(
                known.readout.answers(&known.reference).len(),
                1 + topics.len()
            );
        }
    }
}
