//! What a verdict says.

use serde::Serialize;

/// What the model makes of a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The mood of the text.
    pub polarity: Polarity,
    /// −1 (negative) … 1 (positive).
    pub score: f32,
    /// 0 … 1: how likely `polarity` is the right one.
    pub confidence: f32,
    /// Whether the text could do harm.
    pub safety: Safety,
    /// What it is about: at most three of the configured topics, the likeliest first.
    pub topics: Vec<String>,
    /// Why, in the model's words: for dangerous texts, and for others when asked. At most 200 characters.
    pub explanation: String,
    /// Short name of the model.
    pub model: String,
    /// The state of prompts and labels.
    pub prompt_version: String,
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
    /// Threats, harassment, calls to harm oneself or others, fraud, the exposure of private data.
    Dangerous,
}

impl Polarity {
    /// The word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Neutral => "neutral",
            Self::Negative => "negative",
        }
    }
}

impl Safety {
    /// The word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Dangerous => "dangerous",
        }
    }
}
