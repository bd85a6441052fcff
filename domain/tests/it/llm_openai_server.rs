//! A server that speaks OpenAI's protocol as it is written down, or as incompletely as other servers do. What it
//! "thinks" of a post goes by a word in it; what a model thinks is not tested here.

use serde_json::{Value, json};

use crate::llm::{Answer, Asked};

/// The words of [`Asked::what`] for a chat.
pub const CHAT: &str = "POST /v1/chat/completions";

/// What the server can and cannot do.
#[derive(Clone, Debug)]
pub struct Abilities {
    /// The most `top_logprobs` that it takes; 0 for a server that refuses them.
    pub top_logprobs: u64,
    /// Passes over `logprobs` and answers null, as servers do that do not know it.
    pub mute: bool,
    /// Takes `response_format`.
    pub schema: bool,
    /// Wants `max_completion_tokens` and no temperature.
    pub newer: bool,
    /// The models that it lists.
    pub models: &'static [&'static str],
    /// The key that it wants; empty for none.
    pub key: &'static str,
}

impl Default for Abilities {
    fn default() -> Self {
        Self {
            top_logprobs: 20,
            mute: false,
            schema: true,
            newer: false,
            models: &["big-model", "small-model"],
            key: "",
        }
    }
}

/// OpenAI's error body.
pub fn error(status: u16, code: &str, param: &str, message: &str) -> Answer {
    let param = (!param.is_empty()).then_some(param);
    let error =
        json!({"message": message, "type": "invalid_request_error", "param": param, "code": code});
    Answer::new(status, json!({"error": error}))
}

impl Abilities {
    pub fn answer(&self, asked: &Asked) -> Answer {
        if !self.key.is_empty() && asked.header("authorization") != format!("Bearer {}", self.key) {
            return error(401, "invalid_api_key", "", "Incorrect API key provided.");
        }
        match asked.what.as_str() {
            "GET /v1/models" => {
                let model =
                    |id| json!({"id": id, "object": "model", "created": 1, "owned_by": "me"});
                let data: Vec<_> = self.models.iter().map(model).collect();
                Answer::new(200, json!({"object": "list", "data": data}))
            }
            CHAT => self
                .refusal(&asked.body)
                .unwrap_or_else(|| self.completion(asked)),
            _ => Answer::new(404, "no such page"),
        }
    }

    fn refusal(&self, body: &Value) -> Option<Answer> {
        let unsupported =
            |param: &str, message: &str| Some(error(400, "unsupported_parameter", param, message));
        let model = body["model"].as_str().unwrap();
        if !self.models.contains(&model) {
            return Some(error(
                404,
                "model_not_found",
                "",
                "The model does not exist",
            ));
        }
        if self.newer && body.get("max_tokens").is_some() {
            return unsupported("max_tokens", "Use 'max_completion_tokens' instead.");
        }
        if self.newer
            && body["temperature"]
                .as_f64()
                .is_some_and(|given| given != 1.0)
        {
            return unsupported("temperature", "Only the default (1) is supported.");
        }
        if !self.mute && body["logprobs"] == true {
            let top = body["top_logprobs"].as_u64().unwrap();
            if self.top_logprobs == 0 {
                return unsupported("logprobs", "logprobs is not supported");
            }
            if top > self.top_logprobs {
                return unsupported("top_logprobs", "must be less than or equal to 5");
            }
        }
        if !self.schema && body.get("response_format").is_some() {
            return unsupported("response_format", "not supported");
        }
        None
    }

    fn completion(&self, asked: &Asked) -> Answer {
        let (rules, post) = (asked.message("system"), asked.message("user"));
        let (mut text, mut logprobs) = (written(rules, post), Value::Null);
        if asked.body["logprobs"] == true {
            let top = likely(rules, post);
            text = top[0].0.to_owned();
            if !self.mute {
                let entry = |&(token, logprob): &(&str, f64)| json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()});
                let all: Vec<_> = top.iter().map(entry).collect();
                let mut first = all[0].clone();
                first["top_logprobs"] = all.into();
                logprobs = json!({"content": [first], "refusal": null});
            }
        } else if let Some(schema) = asked.body.pointer("/response_format/json_schema/schema") {
            // Held to the schema: what is not in it is not written.
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            let wanted = schema["properties"].as_object().unwrap();
            answer
                .as_object_mut()
                .unwrap()
                .retain(|name, _| wanted.contains_key(name));
            text = answer.to_string();
        } else if text.starts_with('{') {
            text = format!("Here you are:\n```json\n{text}\n```");
        }
        Answer::new(
            200,
            json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked.body["model"],
                "choices": [{
                    "index": 0, "finish_reason": "stop", "logprobs": logprobs,
                    "message": {"role": "assistant", "content": text, "refusal": null},
                }],
                "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
            }),
        )
    }
}

/// The likeliest first tokens, the likeliest first, and their logarithms.
fn likely(rules: &str, post: &str) -> Vec<(&'static str, f64)> {
    if post.contains("poem") {
        return vec![("Roses", -0.01), ("positive", -6.0)];
    }
    if rules.contains("safe or dangerous") {
        if post.contains("kill") {
            return vec![("danger", -0.2), ("safe", -1.8), ("I", -4.0)];
        }
        return vec![("safe", -0.05), ("dangerous", -3.0)];
    }
    match post {
        post if post.contains("love") => {
            vec![(" Positive", -0.3), ("neutral", -1.6), ("neg", -3.0)]
        }
        post if post.contains("kill") => vec![("neg", -0.1), ("pos", -3.0)],
        _ => vec![("neutral", -0.1), ("positive", -3.0), ("negative", -3.0)],
    }
}

/// What it writes: a post, or the JSON that it is asked for.
fn written(rules: &str, post: &str) -> String {
    if !rules.contains("JSON") {
        return "\"My tomatoes are red at last, and they taste of summer. I will tell everybody about it for as \
                long as anybody listens, and then for a little longer.\""
            .to_owned();
    }
    let (polarity, score) = match post {
        post if post.contains("love") => ("positive", 0.8),
        post if post.contains("kill") => ("negative", -0.9),
        _ => ("neutral", 0.0),
    };
    json!({
        "explanation": "It says so itself.",
        "polarity": polarity,
        "safety": if post.contains("kill") { "dangerous" } else { "safe" },
        "score": score,
        "topic_1": "animals", "topic_2": "food", "topic_3": "none",
    })
    .to_string()
}
