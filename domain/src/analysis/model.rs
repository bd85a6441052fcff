//! A verdict, as the language model gives it and as a post shows it.

use serde::{Deserialize, Serialize};

/// Whether a post speaks well or ill of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Polarity {
    /// Well.
    Positive,
    /// Neither, or both.
    Neutral,
    /// Ill.
    Negative,
}

/// Whether a post may harm somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Safety {
    /// It may not.
    Ok,
    /// It may.
    Dangerous,
}

/// Where the analysis of a post stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Status {
    /// The model has not judged it yet.
    Pending,
    /// The verdict is there.
    Done,
    /// Given up after [`super::MAX_ATTEMPTS`] failures; it can be offered again.
    Dead,
}

macro_rules! display {
    ($($name:ident { $($variant:ident => $word:literal),+ })+) => {$(
        impl $name {
            /// The word used in JSON, SQL and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    )+};
}
display! {
    Polarity { Positive => "positive", Neutral => "neutral", Negative => "negative" }
    Safety { Ok => "ok", Dangerous => "dangerous" }
    Status { Pending => "pending", Done => "done", Dead => "dead" }
}

/// What the language model says of one text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The class that `score` falls into.
    pub polarity: Polarity,
    /// −1 (ill) … 1 (well).
    pub score: f32,
    /// 0 … 1: how sure the model is of `polarity`.
    pub confidence: f32,
    /// Whether it may harm.
    pub safety: Safety,
    /// At most three, from the model's list.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Why, in the model's words; at most 200 Unicode scalar values, may be empty.
    pub explanation: String,
    /// Which model said so.
    pub model: String,
    /// With which prompts.
    #[serde(default)]
    pub prompt_version: String,
    /// Tokens read and written for it.
    pub tokens: i32,
}

impl Verdict {
    /// The verdict if every figure is within its bounds.
    ///
    /// # Errors
    /// A sentence that names the first one that is not.
    pub fn checked(self) -> Result<Self, String> {
        let bounded = |name: &str, value: f32, low: f32| {
            if (low..=1.0).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} is {value}, which is not in {low} … 1"))
            }
        };
        bounded("score", self.score, -1.0)?;
        bounded("confidence", self.confidence, 0.0)?;
        if self.explanation.chars().count() > 200 {
            return Err("explanation is longer than 200 characters".into());
        }
        if self.topics.len() > 3 {
            return Err("there are more than three topics".into());
        }
        if self.model.is_empty() {
            return Err("model is empty".into());
        }
        Ok(self)
    }
}

/// The analysis as a post shows it. Everything but `status` and `error` is empty until it is done.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisView {
    /// Where it stands.
    pub status: Status,
    /// See [`Verdict`].
    pub polarity: Option<Polarity>,
    /// See [`Verdict`].
    pub score: Option<f32>,
    /// See [`Verdict`].
    pub confidence: Option<f32>,
    /// See [`Verdict`].
    pub safety: Option<Safety>,
    /// See [`Verdict`].
    pub topics: Vec<String>,
    /// See [`Verdict`].
    pub explanation: Option<String>,
    /// See [`Verdict`].
    pub model: Option<String>,
    /// Why it is dead, when it is; see [`without_addresses`].
    pub error: Option<String>,
}

/// A failure's text without the addresses in it, which are ours and nobody else's to know.
pub(crate) fn without_addresses(error: &str) -> String {
    let word = |word: &str| match word.contains("://") {
        true => "…".to_owned(),
        false => word.to_owned(),
    };
    error.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

impl AnalysisView {
    /// The analysis of a post that was written this moment.
    pub(crate) fn pending() -> Self {
        Self {
            status: Status::Pending,
            polarity: None,
            score: None,
            confidence: None,
            safety: None,
            topics: Vec::new(),
            explanation: None,
            model: None,
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> Verdict {
        Verdict {
            polarity: Polarity::Neutral,
            score: 0.0,
            confidence: 0.5,
            safety: Safety::Ok,
            topics: vec![],
            explanation: String::new(),
            model: "m".into(),
            prompt_version: "1".into(),
            tokens: 1,
        }
    }

    #[test]
    fn a_failure_is_shown_without_the_address_of_who_failed() {
        assert_eq!(
            without_addresses("it cannot be read: for url (http://10.0.0.7:3300/v1/analyze): end"),
            "it cannot be read: for url … end"
        );
        assert_eq!(without_addresses("it answered 500"), "it answered 500");
    }

    #[test]
    fn a_verdict_out_of_bounds_is_refused() {
        assert!(verdict().checked().is_ok());
        assert!(
            Verdict {
                score: 1.1,
                ..verdict()
            }
            .checked()
            .is_err()
        );
        assert!(
            Verdict {
                score: f32::NAN,
                ..verdict()
            }
            .checked()
            .is_err()
        );
        assert!(
            Verdict {
                confidence: -0.1,
                ..verdict()
            }
            .checked()
            .is_err()
        );
        assert!(
            Verdict {
                explanation: "é".repeat(201),
                ..verdict()
            }
            .checked()
            .is_err()
        );
        assert!(
            Verdict {
                explanation: "é".repeat(200),
                ..verdict()
            }
            .checked()
            .is_ok()
        );
        assert!(
            Verdict {
                model: String::new(),
                ..verdict()
            }
            .checked()
            .is_err()
        );
    }
}
