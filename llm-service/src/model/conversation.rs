//! A conversation with the model, in OpenAI's terms: what is asked, and the pieces of the answer in OpenAI's JSON.

use std::f64::consts::LN_10;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Drawing, ModelError, Vocabulary};

/// A conversation to be continued.
#[derive(Clone, Debug)]
pub struct Chat {
    /// Role and content of each message.
    pub messages: Vec<(String, String)>,
    /// How words are chosen.
    pub drawing: Drawing,
    /// The longest answer.
    pub max_tokens: usize,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// How many of the likeliest tokens are told for each token written; none: no likelihoods at all.
    pub top_logprobs: Option<usize>,
    /// The JSON schema that the answer must follow.
    pub schema: Option<serde_json::Value>,
    /// Whether the answer comes piece by piece.
    pub stream: bool,
}

/// A piece of an answer to a [`Chat`], in the JSON of OpenAI's chat completions.
#[derive(Clone, Debug)]
pub enum Piece {
    /// The whole answer.
    Whole(Value),
    /// The next chunk of it.
    Part(Value),
}

impl Piece {
    pub(super) fn whole(
        answer: &impl Serialize,
        words: &Vocabulary,
        likely: impl FnMut() -> Vec<(u32, f32)>,
    ) -> Result<Self, ModelError> {
        Ok(Self::Whole(json(answer, words, likely)?))
    }

    pub(super) fn part(
        chunk: &impl Serialize,
        words: &Vocabulary,
        likely: impl FnMut() -> Vec<(u32, f32)>,
    ) -> Result<Self, ModelError> {
        Ok(Self::Part(json(chunk, words, likely)?))
    }
}

/// The JSON of an answer, with likelihoods as OpenAI has them. `likely` tells, for each token in turn, the likeliest
/// tokens and the natural logarithms of their probabilities.
fn json(
    answer: &impl Serialize,
    words: &Vocabulary,
    mut likely: impl FnMut() -> Vec<(u32, f32)>,
) -> Result<Value, ModelError> {
    let engine = |cause: serde_json::Error| ModelError::Engine(cause.to_string());
    let mut answer = serde_json::to_value(answer).map_err(engine)?;
    let choices = answer.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten() {
        // A chunk has the one token itself where a whole answer has the list.
        if let Some(logprobs) = choice.get_mut("logprobs")
            && logprobs.get("token").is_some()
        {
            *logprobs = json!({"content": [logprobs.take()]});
        }
        let tokens = choice.pointer_mut("/logprobs/content");
        for token in tokens.and_then(Value::as_array_mut).into_iter().flatten() {
            let text = token["token"].as_str().unwrap_or_default().to_owned();
            let mut top = Vec::new();
            for (number, logprob) in likely() {
                top.push(entry(&words.decode(&[number])?, f64::from(logprob)));
            }
            // mistral.rs' own figure is a logarithm to the base ten.
            let own = token["logprob"].as_f64().map(|decimal| decimal * LN_10);
            let told = top.iter().find(|entry| entry["token"] == text);
            let told = told.and_then(|entry| entry["logprob"].as_f64());
            *token = entry(&text, told.or(own).unwrap_or(0.0));
            token["top_logprobs"] = top.into();
        }
    }
    Ok(answer)
}

fn entry(text: &str, logprob: f64) -> Value {
    json!({"token": text, "logprob": logprob, "bytes": text.as_bytes()})
}
