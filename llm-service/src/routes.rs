//! The URL table: reads a request, queues it, maps the answer. What is done with it is the runner's.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpResponse, Responder,
    error::JsonPayloadError,
    web::{self, Data, Json, ServiceConfig},
};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    analyze::Verdict,
    generate::{self, Wish},
    metrics::Metrics,
    openai,
    problem::Problem,
    queue::{Failure, Queue, Text},
    runner::{Answering, Phase},
};

/// The longest text that is taken, in characters. It is far more than the model reads, so that a caller with another
/// idea of a post's length is not refused.
pub const MAX_TEXT: usize = 5_000;

/// Bytes of the longest JSON of one character of a text: `\uXXXX`.
const BYTES_PER_CHARACTER: usize = 6;

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Service {
    /// Where work goes.
    pub queue: Arc<Queue>,
    /// What can be done at the moment.
    pub phase: watch::Receiver<Phase>,
    /// Where refusals are counted.
    pub metrics: Metrics,
    /// How many texts a request may carry.
    pub max_texts: usize,
    /// How long a request may wait for its turn.
    pub patience: Duration,
}

#[derive(Deserialize)]
struct Analyze {
    texts: Vec<String>,
    #[serde(default)]
    explain: bool,
}

#[derive(Serialize)]
struct Analyzed {
    verdicts: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Generate {
    prompt: Option<String>,
    max_characters: Option<i64>,
}

#[derive(Serialize)]
struct Generated {
    content: String,
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    model: String,
    prompt_version: String,
}

/// Adds every address to an application whose data holds a [`Service`].
pub fn table(config: &mut ServiceConfig, max_texts: usize) {
    let limit = max_texts * MAX_TEXT * BYTES_PER_CHARACTER + 1024;
    config
        .app_data(web::JsonConfig::default().limit(limit))
        .service(
            web::resource("/v1/analyze")
                .route(web::post().to(analyze))
                .default_service(web::to(|| only("POST"))),
        )
        .service(
            web::resource("/v1/generate")
                .route(web::post().to(generate))
                .default_service(web::to(|| only("POST"))),
        )
        .configure(openai::table)
        .service(
            web::resource("/livez")
                .route(web::get().to(livez))
                .default_service(web::to(|| only("GET"))),
        )
        .service(
            web::resource("/readyz")
                .route(web::get().to(readyz))
                .default_service(web::to(|| only("GET"))),
        )
        .default_service(web::to(|| async { Problem::not_found().response() }));
}

pub(crate) async fn only(method: &'static str) -> HttpResponse {
    Problem::method_not_allowed(method).response()
}

async fn livez() -> impl Responder {
    Json(Alive { status: "alive" })
}

async fn readyz(service: Data<Service>) -> HttpResponse {
    match service.ready() {
        Ok(answering) => HttpResponse::Ok().json(Ready {
            status: "ready",
            model: answering.about.name,
            prompt_version: answering.prompt_version,
        }),
        Err(failure) => refusal(&failure).response(),
    }
}

async fn analyze(
    service: Data<Service>,
    body: Result<Json<Analyze>, actix_web::Error>,
) -> HttpResponse {
    let rule = || format!("an array of 1 to {} strings", service.max_texts);
    let Analyze { texts, explain } = match body {
        Ok(body) => body.into_inner(),
        Err(error) => return unreadable(&error, "texts", &rule()).response(),
    };
    if let Err(problem) = check_texts(&texts, service.max_texts, rule) {
        return problem.response();
    }
    let answer = async {
        let texts = texts.into_iter().map(|text| Text { text, explain });
        let tickets = service.queue.analyze(texts.collect())?.into_iter();
        try_join_all(tickets.map(|ticket| ticket.answer(service.patience))).await
    };
    service
        .serve(answer, |verdicts| {
            HttpResponse::Ok().json(Analyzed { verdicts })
        })
        .await
}

async fn generate(
    service: Data<Service>,
    body: Result<Json<Generate>, actix_web::Error>,
) -> HttpResponse {
    let wish = match body {
        Ok(body) => check_wish(body.into_inner()),
        Err(error) => Err(unreadable(
            &error,
            "prompt",
            "a string, and `max_characters` a whole number, if they are given",
        )),
    };
    let wish = match wish {
        Ok(wish) => wish,
        Err(problem) => return problem.response(),
    };
    let answer = async { service.queue.write(wish)?.answer(service.patience).await };
    service
        .serve(answer, |written| {
            HttpResponse::Ok().json(Generated {
                content: written.content,
            })
        })
        .await
}

impl Service {
    /// Who answers, or why nobody does.
    ///
    /// # Errors
    /// [`Failure::Loading`] or [`Failure::Stopping`].
    pub fn ready(&self) -> Result<Answering, Failure> {
        match &*self.phase.borrow() {
            Phase::Ready(answering) => Ok(answering.clone()),
            Phase::Loading => Err(Failure::Loading),
            Phase::Stopping => Err(Failure::Stopping),
        }
    }

    /// Awaits an answer if the model is there, and turns it or the failure into a response.
    async fn serve<A>(
        &self,
        answer: impl Future<Output = Result<A, Failure>>,
        show: impl FnOnce(A) -> HttpResponse,
    ) -> HttpResponse {
        let outcome = match self.ready() {
            Ok(_) => answer.await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(answer) => show(answer),
            Err(failure) => self.refuse(&failure).response(),
        }
    }

    /// What a caller is told of a failure, which is counted.
    pub fn refuse(&self, failure: &Failure) -> Problem {
        if let Some(reason) = reason(failure) {
            self.metrics.count_refused(reason);
        }
        refusal(failure)
    }
}

/// The metric's label for a failure that is a refusal; `None` for a fault.
fn reason(failure: &Failure) -> Option<&'static str> {
    match failure {
        Failure::Loading => Some("loading"),
        Failure::Full => Some("full"),
        Failure::Waited => Some("waited"),
        Failure::Stopping => Some("stopping"),
        Failure::NothingUsable => Some("unusable"),
        Failure::Model(_) => None,
    }
}

/// What a caller is told. A fault is logged here, once.
fn refusal(failure: &Failure) -> Problem {
    let (detail, retry_after_seconds) = match failure {
        Failure::Loading => ("The language model is being loaded.", 5),
        Failure::Full => ("The queue for the language model is full.", 2),
        Failure::Waited => ("The language model did not get to this request in time.", 5),
        Failure::Stopping => ("The service is stopping.", 5),
        Failure::NothingUsable => ("The language model wrote nothing usable; try again.", 1),
        Failure::Model(cause) => {
            tracing::error!(%cause, "the language model failed");
            return Problem::internal();
        }
    };
    Problem::unavailable(detail, retry_after_seconds)
}

/// Why a body could not be read. Its values are not repeated: they may be a person's words.
pub(crate) fn unreadable(error: &actix_web::Error, field: &str, rule: &str) -> Problem {
    match error.as_error::<JsonPayloadError>() {
        Some(
            JsonPayloadError::OverflowKnownLength { limit, .. }
            | JsonPayloadError::Overflow { limit },
        ) => Problem::too_large(*limit),
        Some(JsonPayloadError::ContentType) => Problem::unsupported_media_type(),
        Some(JsonPayloadError::Deserialize(cause)) => {
            let place = format!("line {} column {}", cause.line(), cause.column());
            match cause.classify() {
                serde_json::error::Category::Data => {
                    Problem::invalid(field, rule, &format!("at {place} there is something else"))
                }
                serde_json::error::Category::Eof => {
                    Problem::malformed(format!("The request body ends too early, at {place}."))
                }
                _ => Problem::malformed(format!(
                    "The request body is not JSON: an error at {place}."
                )),
            }
        }
        _ => Problem::malformed("The request body could not be read."),
    }
}

fn check_texts(
    texts: &[String],
    max_texts: usize,
    rule: impl Fn() -> String,
) -> Result<(), Problem> {
    if texts.is_empty() || texts.len() > max_texts {
        return Err(Problem::invalid(
            "texts",
            rule(),
            &format!("there are {}", texts.len()),
        ));
    }
    for (place, text) in texts.iter().enumerate() {
        let length = text.chars().count();
        if text.trim().is_empty() || length > MAX_TEXT {
            return Err(Problem::invalid(
                format!("texts[{place}]"),
                format!("1 to {MAX_TEXT} characters, not all of them white space"),
                &format!("it has {length}"),
            ));
        }
    }
    Ok(())
}

fn check_wish(body: Generate) -> Result<Wish, Problem> {
    let (least, most) = (generate::MIN_CHARACTERS, generate::MAX_CHARACTERS);
    let max_characters = match body.max_characters {
        None => generate::DEFAULT_CHARACTERS,
        Some(asked) => usize::try_from(asked)
            .ok()
            .filter(|asked| (least..=most).contains(asked))
            .ok_or_else(|| {
                Problem::invalid(
                    "max_characters",
                    format!("a whole number from {least} to {most}"),
                    &format!("it is {asked}"),
                )
            })?,
    };
    let topic = body.prompt.filter(|prompt| !prompt.trim().is_empty());
    let length = topic.as_ref().map_or(0, |topic| topic.chars().count());
    if length > generate::MAX_PROMPT {
        return Err(Problem::invalid(
            "prompt",
            format!("at most {} characters", generate::MAX_PROMPT),
            &format!("it has {length}"),
        ));
    }
    Ok(Wish {
        topic,
        max_characters,
    })
}
