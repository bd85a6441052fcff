//! Why a text was judged as it was, in the model's words. The sentence is begun for it with what was judged, so that
//! it gives a reason for that and cannot judge otherwise, whatever the text tells it.

use super::{Draft, Polarity};
use crate::{
    model::{Drawing, Model, ModelError, Stop, Vocabulary},
    prompt::Prompt,
    sentence,
};

/// The longest explanation, in characters.
const MAX_EXPLANATION: usize = 200;

/// The longest explanation, in tokens that the model writes: about 20 words.
const MAX_TOKENS: usize = 28;

const DANGER: &str = include_str!("../../prompts/reason-danger.txt");
const MOOD: &str = include_str!("../../prompts/reason-mood.txt");

/// The prompts.
#[derive(Debug)]
pub(super) struct Reasons {
    danger: Prompt,
    moods: [Prompt; 3],
}

/// What the model gives as the reason of a verdict, and what it cost.
#[derive(Clone, Debug)]
pub struct WrittenReason {
    /// A sentence of at most 200 characters; never empty.
    pub text: String,
    /// Tokens read.
    pub prompt_tokens: usize,
    /// Tokens written.
    pub completion_tokens: usize,
}

impl Reasons {
    pub(super) fn new(vocabulary: &Vocabulary) -> Result<Self, ModelError> {
        let mood = |polarity: Polarity| {
            let file = MOOD.replace("{mood}", polarity.as_str());
            Prompt::new(vocabulary, &file)
        };
        Ok(Self {
            danger: Prompt::new(vocabulary, DANGER)?,
            moods: [
                mood(Polarity::Positive)?,
                mood(Polarity::Neutral)?,
                mood(Polarity::Negative)?,
            ],
        })
    }

    pub(super) async fn write(
        &self,
        model: &Model,
        text: &str,
        draft: &Draft,
        stop: &Stop,
    ) -> Result<WrittenReason, ModelError> {
        let prompt = match draft.is_dangerous() {
            true => &self.danger,
            false => &self.moods[draft.polarity as usize],
        };
        let tokens = prompt.with(model.vocabulary(), text)?;
        let written = model
            .write(tokens, Drawing::Likeliest, MAX_TOKENS, stop)
            .await?;
        let begun = prompt.tail().trim();
        let whole = format!("{begun} {}", written.text.trim());
        Ok(WrittenReason {
            text: sentence::cut(&whole, MAX_EXPLANATION, written.finished),
            prompt_tokens: written.prompt_tokens,
            completion_tokens: written.completion_tokens,
        })
    }
}
