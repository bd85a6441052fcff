//! OpenAI's chat completions on the wire, as far as they are used: requests in the server's dialect, and answers read
//! without minding what else is in them, since every server adds its own.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    JSON_TOKENS,
    dialect::{Dialect, Kind},
};
use crate::llm::LlmError;

/// How freely a post is written. Whatever is judged is judged at 0.
const LIVELY: f32 = 1.0;

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

/// The body of `POST /v1/chat/completions`.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
}

impl<'a> Request<'a> {
    pub fn new(
        model: &'a str,
        dialect: Dialect,
        kind: Kind<'_>,
        system: &'a str,
        user: &'a str,
    ) -> Self {
        let (tokens, temperature) = match kind {
            Kind::Label => (1, 0.0),
            Kind::Json(_) => (JSON_TOKENS, 0.0),
            Kind::Post { tokens } => (tokens, LIVELY),
        };
        let format = match kind {
            Kind::Json(schema) if dialect.schema => Some(json!({
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": true, "schema": schema},
            })),
            _ => None,
        };
        let is_label = matches!(kind, Kind::Label);
        Self {
            model,
            messages: [
                Message {
                    role: "system",
                    content: system,
                },
                Message {
                    role: "user",
                    content: user,
                },
            ],
            max_tokens: (!dialect.max_completion_tokens).then_some(tokens),
            max_completion_tokens: dialect.max_completion_tokens.then_some(tokens),
            temperature: dialect.temperature.then_some(temperature),
            logprobs: is_label.then_some(true),
            top_logprobs: is_label.then_some(dialect.top_logprobs),
            response_format: format,
        }
    }
}

/// A token that could have come next.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub token: String,
    /// 0 … 1.
    pub probability: f64,
}

/// What the model said.
#[derive(Debug)]
pub(super) struct Said {
    /// `None` when it said nothing.
    pub text: Option<String>,
    /// The likeliest first tokens; `None` when the server does not tell.
    pub candidates: Option<Vec<Candidate>>,
    /// Whether the model ended the text itself.
    pub finished: bool,
}

/// The body of an answer.
#[derive(Deserialize)]
pub(super) struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Answer,
    #[serde(default)]
    logprobs: Value,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    total_tokens: i64,
}

impl Completion {
    /// Tokens read and written, as the server counts them; 0 when it does not.
    pub fn tokens(&self) -> i32 {
        let total = self.usage.as_ref().map_or(0, |usage| usage.total_tokens);
        i32::try_from(total.max(0)).unwrap_or(i32::MAX)
    }

    pub fn said(self) -> Result<Said, LlmError> {
        let Some(choice) = self.choices.into_iter().next() else {
            return Err(LlmError::Failed("it answered without a choice".into()));
        };
        if choice.message.refusal.is_some_and(|said| !said.is_empty()) {
            return Err(LlmError::Failed("the model refused to answer".into()));
        }
        let text = choice.message.content;
        Ok(Said {
            text: text.filter(|text| !text.trim().is_empty()),
            candidates: candidates(&choice.logprobs),
            finished: choice.finish_reason.as_deref() != Some("length"),
        })
    }
}

/// The likeliest first tokens: `content[0].top_logprobs[…].{token,logprob}`.
fn candidates(logprobs: &Value) -> Option<Vec<Candidate>> {
    let top = logprobs.pointer("/content/0/top_logprobs")?.as_array()?;
    let candidate = |entry: &Value| {
        Some(Candidate {
            token: entry["token"].as_str()?.to_owned(),
            // What is above 0 by a rounding error is certain.
            probability: entry["logprob"].as_f64()?.exp().min(1.0),
        })
    };
    let candidates: Vec<_> = top.iter().filter_map(candidate).collect();
    (!candidates.is_empty()).then_some(candidates)
}

/// The body of `GET /v1/models`.
#[derive(Deserialize)]
pub(super) struct Models {
    #[serde(default)]
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl Models {
    /// The name of the first that has one.
    pub fn first(self) -> Option<String> {
        let mut names = self.data.into_iter().map(|model| model.id);
        names.find(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(dialect: Dialect, kind: Kind<'_>) -> Value {
        serde_json::to_value(Request::new("m", dialect, kind, "the rules", "a post")).unwrap()
    }

    #[test]
    fn a_question_of_one_token_asks_for_the_likeliest() {
        let body = body(Dialect::default(), Kind::Label);
        let wanted = json!({
            "model": "m",
            "messages": [{"role": "system", "content": "the rules"}, {"role": "user", "content": "a post"}],
            "max_tokens": 1, "temperature": 0.0, "logprobs": true, "top_logprobs": 20,
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn only_what_the_server_understands_is_sent() {
        let schema = json!({"type": "object"});
        let full = body(Dialect::default(), Kind::Json(&schema));
        assert_eq!(full["response_format"]["json_schema"]["schema"], schema);
        assert!(full.get("logprobs").is_none());
        let plain = Dialect {
            schema: false,
            temperature: false,
            max_completion_tokens: true,
            ..Dialect::default()
        };
        let body = body(plain, Kind::Json(&schema));
        for absent in ["response_format", "temperature", "max_tokens"] {
            assert!(body.get(absent).is_none(), "{body}");
        }
        assert_eq!(body["max_completion_tokens"], JSON_TOKENS);
    }

    fn said(body: Value) -> Result<Said, LlmError> {
        serde_json::from_value::<Completion>(body).unwrap().said()
    }

    #[test]
    fn an_answer_is_read_with_whatever_else_is_in_it() {
        let said = said(json!({
            "id": "x", "object": "chat.completion", "created": 1, "model": "m", "system_fingerprint": null,
            "choices": [{
                "index": 0, "finish_reason": "length",
                "message": {"role": "assistant", "content": " positive", "tool_calls": null},
                "logprobs": {"refusal": null, "content": [{
                    "token": " positive", "logprob": -0.5, "bytes": [32],
                    "top_logprobs": [
                        {"token": " positive", "logprob": 0.000_001, "bytes": null},
                        {"token": "neg", "logprob": -9999.0},
                        {"token": "odd", "logprob": null},
                    ],
                }]},
            }],
            "usage": {"prompt_tokens": 40, "completion_tokens": 1, "total_tokens": 41},
        }))
        .unwrap();
        let wanted = [(" positive", 1.0), ("neg", 0.0)].map(|(token, probability)| Candidate {
            token: token.into(),
            probability,
        });
        assert_eq!(said.candidates.as_deref(), Some(wanted.as_slice()));
        assert!(!said.finished);
    }

    #[test]
    fn a_server_that_tells_no_likelihoods_is_recognised() {
        for logprobs in [
            json!(null),
            json!({}),
            json!({"content": null}),
            json!({"content": []}),
            json!({"content": [{"token": "a", "logprob": -1.0, "top_logprobs": []}]}),
            json!([1, "two"]),
        ] {
            let body = json!({"choices": [{"message": {"content": "a"}, "logprobs": logprobs}]});
            assert_eq!(said(body).unwrap().candidates, None);
        }
        let absent = json!({"choices": [{"message": {"content": " "}}]});
        let said_nothing = said(absent).unwrap();
        assert_eq!((said_nothing.candidates, said_nothing.text), (None, None));
    }

    #[test]
    fn no_choice_and_a_refusal_are_failures() {
        let refused = json!({"choices": [{"message": {"content": null, "refusal": "I cannot"}}]});
        for body in [json!({}), json!({"choices": []}), refused] {
            assert!(matches!(said(body), Err(LlmError::Failed(_))));
        }
    }

    #[test]
    fn the_first_model_with_a_name_is_taken() {
        let models = json!({"object": "list", "data": [{"id": ""}, {"id": "a", "owned_by": "b"}, {"id": "c"}]});
        let models: Models = serde_json::from_value(models).unwrap();
        assert_eq!(models.first().as_deref(), Some("a"));
    }
}
