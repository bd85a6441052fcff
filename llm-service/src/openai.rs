//! OpenAI's chat completions over the same model, for clients that know nothing of Linnet: `/v1/chat/completions`,
//! whole or streamed, and `/v1/models`. A conversation waits in the same queue as everything a person waits for.

use std::convert::Infallible;

use actix_web::{
    HttpResponse,
    web::{self, Bytes, Data, Json, ServiceConfig},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    model::{Chat, Drawing, Piece},
    problem::Problem,
    queue::{Conversation, Ticket},
    routes::{MAX_TEXT, Service, only, unreadable},
};

/// The longest answer, in tokens.
const MAX_TOKENS: usize = 512;
/// The longest answer when none is asked for, in tokens.
const DEFAULT_TOKENS: usize = 256;
/// The longest conversation, in characters: some 2,000 tokens, which the model has to read before it can be stopped.
const MAX_CHARACTERS: usize = 8_000;
/// How many messages a conversation may have.
const MAX_MESSAGES: usize = 64;
/// How many texts may end an answer.
const MAX_STOPS: usize = 4;
/// How many of the likeliest tokens may be asked for.
const MAX_TOP_LOGPROBS: usize = 20;
/// Pieces of an answer that may wait for a slow reader: all, so that the model never does.
const PIECES: usize = MAX_TOKENS + 2;

#[derive(Deserialize)]
struct Request {
    messages: Vec<Message>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    #[serde(default)]
    stream: bool,
    stop: Option<Stops>,
    #[serde(default)]
    logprobs: bool,
    top_logprobs: Option<usize>,
    response_format: Option<ResponseFormat>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stops {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: Schema },
}

#[derive(Deserialize)]
struct Schema {
    schema: Value,
}

#[derive(Serialize)]
struct Models {
    object: &'static str,
    data: [ModelEntry; 1],
}

#[derive(Serialize)]
struct ModelEntry {
    id: String,
    object: &'static str,
    owned_by: &'static str,
}

/// Adds the addresses.
pub fn table(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/v1/chat/completions")
                .route(web::post().to(complete))
                .default_service(web::to(|| only("POST"))),
        )
        .service(
            web::resource("/v1/models")
                .route(web::get().to(models))
                .default_service(web::to(|| only("GET"))),
        );
}

async fn models(service: Data<Service>) -> HttpResponse {
    match service.ready() {
        Ok(answering) => HttpResponse::Ok().json(Models {
            object: "list",
            data: [ModelEntry {
                id: answering.about.name,
                object: "model",
                owned_by: "linnet",
            }],
        }),
        Err(failure) => service.refuse(&failure).response(),
    }
}

async fn complete(
    service: Data<Service>,
    body: Result<Json<Request>, actix_web::Error>,
) -> HttpResponse {
    let chat = match body {
        Ok(body) => read(body.into_inner()),
        Err(error) => Err(unreadable(
            &error,
            "messages",
            "an array of objects with `role` and `content`",
        )),
    };
    let chat = match chat {
        Ok(chat) => chat,
        Err(problem) => return problem.response(),
    };
    let answering = match service.ready() {
        Ok(answering) => answering,
        Err(failure) => return service.refuse(&failure).response(),
    };
    let streamed = chat.stream;
    let (sender, pieces) = mpsc::channel(PIECES);
    let conversation = Conversation {
        chat,
        pieces: sender,
    };
    let ticket = match service.queue.chat(conversation) {
        Ok(ticket) => ticket,
        Err(failure) => return service.refuse(&failure).response(),
    };
    let model = answering.about.name;
    if streamed {
        stream_answer(service, ticket, pieces, model).await
    } else {
        whole_answer(service, ticket, pieces, &model).await
    }
}

async fn whole_answer(
    service: Data<Service>,
    ticket: Ticket<()>,
    mut pieces: mpsc::Receiver<Piece>,
    model: &str,
) -> HttpResponse {
    let answer = async {
        ticket.answer(service.patience).await?;
        Ok(pieces.recv().await)
    };
    match answer.await {
        Ok(Some(Piece::Whole(answer) | Piece::Part(answer))) => {
            HttpResponse::Ok().json(named(answer, model))
        }
        Ok(None) => Problem::internal().response(),
        Err(failure) => service.refuse(&failure).response(),
    }
}

/// Answers as server-sent events. What goes wrong before the first piece is an error as any other; after it, the
/// stream ends without `[DONE]`, by which clients know.
async fn stream_answer(
    service: Data<Service>,
    ticket: Ticket<()>,
    mut pieces: mpsc::Receiver<Piece>,
    model: String,
) -> HttpResponse {
    let patience = service.patience;
    let mut outcome = Box::pin(ticket.answer(patience));
    let first = tokio::select! {
        biased;
        piece = pieces.recv() => piece,
        ended = &mut outcome => match ended {
            Ok(()) => pieces.recv().await,
            Err(failure) => return service.refuse(&failure).response(),
        },
    };
    let Some(first) = first else {
        return match outcome.await {
            Err(failure) => service.refuse(&failure).response(),
            Ok(()) => Problem::internal().response(),
        };
    };
    // The ticket lives in the stream: who hangs up drops it, and the model stops.
    let state = (Some(first), pieces, Some(outcome), model);
    let events = stream::unfold(state, |(first, mut pieces, outcome, model)| async move {
        let outcome = outcome?;
        let piece = match first {
            Some(piece) => Some(piece),
            None => pieces.recv().await,
        };
        match piece {
            Some(Piece::Whole(answer) | Piece::Part(answer)) => {
                let event = format!("data: {}\n\n", named(answer, &model));
                Some((event, (None, pieces, Some(outcome), model)))
            }
            None => match outcome.await {
                Ok(()) => Some(("data: [DONE]\n\n".to_owned(), (None, pieces, None, model))),
                Err(cause) => {
                    tracing::error!(%cause, "an answer broke off");
                    None
                }
            },
        }
    });
    let events =
        futures_util::StreamExt::map(events, |event| Ok::<Bytes, Infallible>(Bytes::from(event)));
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        // NGINX would gather the pieces.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events)
}

/// The answer under the name by which the model is known here.
fn named(mut answer: Value, model: &str) -> Value {
    if let Some(name) = answer.get_mut("model") {
        *name = model.into();
    }
    answer
}

fn read(request: Request) -> Result<Chat, Problem> {
    let count = request.messages.len();
    if count == 0 || count > MAX_MESSAGES {
        let rule = format!("an array of 1 to {MAX_MESSAGES} messages");
        return Err(Problem::invalid(
            "messages",
            rule,
            &format!("there are {count}"),
        ));
    }
    let mut messages = Vec::with_capacity(count);
    for (place, Message { role, content }) in request.messages.into_iter().enumerate() {
        if !["system", "user", "assistant"].contains(&role.as_str()) {
            return Err(Problem::invalid(
                format!("messages[{place}].role"),
                "system, user or assistant",
                "it is something else",
            ));
        }
        let content = match content {
            Content::Text(text) => text,
            Content::Parts(parts) => parts.into_iter().map(|part| part.text).collect(),
        };
        let length = content.chars().count();
        if length > MAX_TEXT {
            return Err(Problem::invalid(
                format!("messages[{place}].content"),
                format!("at most {MAX_TEXT} characters"),
                &format!("it has {length}"),
            ));
        }
        messages.push((role, blunt(&content)));
    }
    let characters: usize = messages
        .iter()
        .map(|(_, words)| words.chars().count())
        .sum();
    if characters > MAX_CHARACTERS {
        let rule = format!("at most {MAX_CHARACTERS} characters in all");
        return Err(Problem::invalid(
            "messages",
            rule,
            &format!("there are {characters}"),
        ));
    }
    let asked = request.max_completion_tokens.or(request.max_tokens);
    let max_tokens = asked.unwrap_or(DEFAULT_TOKENS);
    if !(1..=MAX_TOKENS).contains(&max_tokens) {
        let rule = format!("a whole number from 1 to {MAX_TOKENS}");
        return Err(Problem::invalid(
            "max_tokens",
            rule,
            &format!("it is {max_tokens}"),
        ));
    }
    let temperature = within("temperature", request.temperature, 1.0, 2.0)?;
    let top_p = within("top_p", request.top_p, 1.0, 1.0)?;
    let stop = match request.stop {
        None => Vec::new(),
        Some(Stops::One(stop)) => vec![stop],
        Some(Stops::Several(stops)) => stops,
    };
    if stop.len() > MAX_STOPS || stop.iter().any(String::is_empty) {
        let rule = format!("at most {MAX_STOPS} texts, none of them empty");
        return Err(Problem::invalid("stop", rule, "there is something else"));
    }
    let top = request.top_logprobs.unwrap_or(0);
    if top > MAX_TOP_LOGPROBS || (top > 0 && !request.logprobs) {
        let rule = format!("a whole number from 0 to {MAX_TOP_LOGPROBS}, and only with logprobs");
        return Err(Problem::invalid(
            "top_logprobs",
            rule,
            &format!("it is {top}"),
        ));
    }
    if request.logprobs && !matches!(request.response_format, None | Some(ResponseFormat::Text)) {
        let rule = "not together with response_format";
        return Err(Problem::invalid("logprobs", rule, "both are given"));
    }
    Ok(Chat {
        messages,
        drawing: if temperature == 0.0 || top_p == 0.0 {
            Drawing::Likeliest
        } else {
            Drawing::AtRandom { temperature, top_p }
        },
        max_tokens,
        stop,
        top_logprobs: request.logprobs.then_some(top),
        schema: match request.response_format {
            None | Some(ResponseFormat::Text) => None,
            Some(ResponseFormat::JsonObject) => Some(serde_json::json!({ "type": "object" })),
            Some(ResponseFormat::JsonSchema { json_schema }) => Some(json_schema.schema),
        },
        stream: request.stream,
    })
}

/// A message without the marks by which it could end and another begin, in any model's layout.
fn blunt(words: &str) -> String {
    let marks = [
        "<|",
        "<s>",
        "</s>",
        "[INST]",
        "[/INST]",
        "<start_of_turn>",
        "<end_of_turn>",
    ];
    marks.iter().fold(words.to_owned(), |words, mark| {
        let (first, rest) = mark.split_at(1);
        words.replace(mark, &format!("{first} {rest}"))
    })
}

fn within(name: &'static str, asked: Option<f64>, default: f64, most: f64) -> Result<f64, Problem> {
    match asked {
        None => Ok(default),
        Some(value) if (0.0..=most).contains(&value) => Ok(value),
        Some(value) => Err(Problem::invalid(
            name,
            format!("a number from 0 to {most}"),
            &format!("it is {value}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chat(body: Value) -> Result<Chat, String> {
        let request = serde_json::from_value(body).map_err(|error| error.to_string())?;
        read(request).map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn a_request_of_any_client_is_understood() {
        let plain = chat(json!({"model": "x", "messages": [{"role": "user", "content": "hi"}]}));
        let plain = plain.unwrap();
        assert_eq!(plain.messages, [("user".to_owned(), "hi".to_owned())]);
        assert_eq!(plain.max_tokens, DEFAULT_TOKENS);
        assert_eq!(plain.top_logprobs, None);
        let full = chat(json!({
            "messages": [{"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}],
            "max_completion_tokens": 7, "temperature": 0, "stop": "\n", "stream": true,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        }));
        let full = full.unwrap();
        assert_eq!(full.messages[0].1, "hi");
        assert_eq!((full.max_tokens, full.drawing), (7, Drawing::Likeliest));
        assert_eq!(full.stop, ["\n"]);
        assert!(full.stream);
        assert_eq!(full.schema, Some(json!({"type": "object"})));
    }

    #[test]
    fn a_message_cannot_end_itself() {
        assert_eq!(
            blunt("a<|im_end|></s>[INST] <b>"),
            "a< |im_end|>< /s>[ INST] <b>"
        );
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        let long = json!([{"role": "user", "content": "x".repeat(MAX_TEXT)}, {"role": "user", "content": "x".repeat(MAX_TEXT)}]);
        let said = chat(json!({"messages": long})).unwrap_err();
        assert!(said.contains("8000 characters in all"), "{said}");
        let message = json!([{"role": "user", "content": "hi"}]);
        for (body, name) in [
            (json!({"messages": []}), "messages"),
            (
                json!({"messages": [{"role": "robot", "content": "hi"}]}),
                "messages[0].role",
            ),
            (json!({"messages": message, "max_tokens": 0}), "max_tokens"),
            (
                json!({"messages": message, "max_tokens": 100_000}),
                "max_tokens",
            ),
            (
                json!({"messages": message, "temperature": 3}),
                "temperature",
            ),
            (json!({"messages": message, "top_p": -1}), "top_p"),
            (json!({"messages": message, "stop": [""]}), "stop"),
            (
                json!({"messages": message, "top_logprobs": 3}),
                "top_logprobs",
            ),
            (
                json!({"messages": [{"role": "user", "content": "x".repeat(MAX_TEXT + 1)}]}),
                "messages[0].content",
            ),
        ] {
            let said = chat(body).unwrap_err();
            assert!(said.contains(name), "{said}");
        }
    }
}
