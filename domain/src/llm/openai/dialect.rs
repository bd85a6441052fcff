//! What of OpenAI's protocol a server understands. Servers differ in what they take, and refuse the rest with a 400 or
//! pass over it; so the best is tried first, then one thing less, and what worked is remembered.

use std::sync::{Mutex, PoisonError};

use reqwest::StatusCode;
use serde_json::Value;

use crate::llm::transport::Refusal;

/// The most that OpenAI allows, and the least that some others do.
const TOP_LOGPROBS: [u8; 2] = [20, 5];

/// What is wanted of the model.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    /// How likely each token is to come next.
    Label,
    /// JSON of this schema.
    Json(&'a Value),
    /// A post, of at most so many tokens.
    Post {
        /// How long it may be.
        tokens: u32,
    },
}

/// What may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// How many of the likeliest tokens it tells; 0 for a server that does not.
    pub top_logprobs: u8,
    /// Whether it takes `response_format` with a schema.
    pub schema: bool,
    /// Whether the limit is called `max_completion_tokens`, as with OpenAI's newer models, and not `max_tokens`.
    pub max_completion_tokens: bool,
    /// Whether a temperature may be set; OpenAI's reasoning models have one of their own.
    pub temperature: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            top_logprobs: TOP_LOGPROBS[0],
            schema: true,
            max_completion_tokens: false,
            temperature: true,
        }
    }
}

impl Dialect {
    /// What to try after a refusal; `None` when there is nothing left that could be at fault, or it was no fault of
    /// the request's form at all. Each step gives something up, so it ends.
    pub fn without(self, kind: Kind<'_>, refusal: &Refusal) -> Option<Self> {
        // A server without a feature says 400, 422 (those with a strict parser) or 501.
        if !matches!(
            refusal.status,
            StatusCode::BAD_REQUEST
                | StatusCode::UNPROCESSABLE_ENTITY
                | StatusCode::NOT_IMPLEMENTED
        ) {
            return None;
        }
        let names = |word: &str| refusal.param == word || refusal.message.contains(word);
        if !self.max_completion_tokens && names("max_completion_tokens") {
            return Some(Self {
                max_completion_tokens: true,
                ..self
            });
        }
        if self.temperature && names("temperature") {
            return Some(Self {
                temperature: false,
                ..self
            });
        }
        match kind {
            Kind::Label if self.top_logprobs > 0 => Some(Self {
                top_logprobs: if self.top_logprobs == TOP_LOGPROBS[0] {
                    TOP_LOGPROBS[1]
                } else {
                    0
                },
                ..self
            }),
            Kind::Json(_) if self.schema => Some(Self {
                schema: false,
                ..self
            }),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Known {
    top_logprobs: Option<u8>,
    schema: Option<bool>,
    max_completion_tokens: Option<bool>,
    temperature: Option<bool>,
}

/// What is known of one server. The first answer settles a matter: a later refusal may have come from one odd text,
/// and gives something up for that text alone.
#[derive(Default)]
pub(super) struct Learned(Mutex<Known>);

impl Learned {
    /// The dialect to begin with.
    pub fn dialect(&self) -> Dialect {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let best = Dialect::default();
        Dialect {
            top_logprobs: known.top_logprobs.unwrap_or(best.top_logprobs),
            schema: known.schema.unwrap_or(best.schema),
            max_completion_tokens: known
                .max_completion_tokens
                .unwrap_or(best.max_completion_tokens),
            temperature: known.temperature.unwrap_or(best.temperature),
        }
    }

    /// A request of this kind was answered in this dialect, or there is no dialect for it.
    pub fn worked(&self, dialect: Dialect, kind: Kind<'_>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = (known.top_logprobs, known.schema);
        match kind {
            Kind::Label => _ = known.top_logprobs.get_or_insert(dialect.top_logprobs),
            Kind::Json(_) => _ = known.schema.get_or_insert(dialect.schema),
            Kind::Post { .. } => {}
        }
        // Without likelihoods nothing may have been answered at all; the next request finds these out.
        if !matches!(kind, Kind::Label) || dialect.top_logprobs > 0 {
            known
                .max_completion_tokens
                .get_or_insert(dialect.max_completion_tokens);
            known.temperature.get_or_insert(dialect.temperature);
        }
        if before != (known.top_logprobs, known.schema) {
            tracing::info!(
                llm.top_logprobs = known.top_logprobs,
                llm.json_schema = known.schema,
                "found out what the language model's server can do"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refusal(status: u16, param: &str, message: &str) -> Refusal {
        Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: Duration::ZERO,
            code: String::new(),
            param: param.into(),
            message: message.into(),
        }
    }

    /// Everything that is tried of a server that refuses it all.
    fn tried(kind: Kind<'_>, refusal: &Refusal) -> Vec<Dialect> {
        let first = Some(Dialect::default());
        std::iter::successors(first, |dialect| dialect.without(kind, refusal)).collect()
    }

    #[test]
    fn likelihoods_are_asked_for_less_and_less() {
        let plain = refusal(400, "", "no");
        let tops: Vec<_> = tried(Kind::Label, &plain)
            .iter()
            .map(|dialect| dialect.top_logprobs)
            .collect();
        assert_eq!(tops, [20, 5, 0]);
        let schema = Value::Null;
        let schemas: Vec<_> = tried(Kind::Json(&schema), &plain)
            .iter()
            .map(|dialect| dialect.schema)
            .collect();
        assert_eq!(schemas, [true, false]);
        assert_eq!(tried(Kind::Post { tokens: 9 }, &plain).len(), 1);
    }

    #[test]
    fn what_the_refusal_names_goes_first() {
        let newer = refusal(
            400,
            "max_tokens",
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        );
        let next = Dialect::default().without(Kind::Label, &newer).unwrap();
        assert_eq!(
            next,
            Dialect {
                max_completion_tokens: true,
                ..Dialect::default()
            }
        );
        // And if it goes on saying so, something else is given up.
        assert_eq!(tried(Kind::Label, &newer).last().unwrap().top_logprobs, 0);
        let fixed = refusal(422, "temperature", "Only the default (1) is supported");
        let next = Dialect::default().without(Kind::Post { tokens: 9 }, &fixed);
        assert!(!next.unwrap().temperature);
    }

    #[test]
    fn a_refusal_of_another_kind_is_none_of_the_form() {
        for status in [401, 404, 413, 429, 500] {
            let refusal = refusal(status, "", "");
            assert_eq!(Dialect::default().without(Kind::Label, &refusal), None);
        }
    }

    #[test]
    fn the_first_answer_settles_it_and_an_odd_text_changes_nothing() {
        let learned = Learned::default();
        let (schema, full) = (Value::Null, Dialect::default());
        learned.worked(full, Kind::Label);
        let less = Dialect {
            top_logprobs: 0,
            schema: false,
            ..full
        };
        learned.worked(less, Kind::Label);
        assert_eq!(learned.dialect(), full);
        learned.worked(less, Kind::Json(&schema));
        let known = Dialect {
            schema: false,
            ..full
        };
        assert_eq!(learned.dialect(), known);
    }
}
