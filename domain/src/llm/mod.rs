//! The one client of the language model's HTTP API: the workers ask it for verdicts, the API for a post to suggest.

mod breaker;

use std::{error::Error as _, sync::Arc, time::Duration};

use prometheus::Registry;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use crate::{Error, analysis::Verdict, config::LlmConfig};
use breaker::Breaker;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LlmError {
    /// The model was not reached, is loading, or has enough to do: nobody's fault, try again after this time.
    #[error("the language model is away: {why}")]
    Away {
        /// What was seen, for the log.
        why: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The model was reached and could not do it: it refused, or answered something that is no verdict.
    #[error("the language model failed: {0}")]
    Failed(String),
    /// It took the request and said nothing. The text may be at fault, so it counts; the model may hang, so the
    /// circuit breaker hears of it too.
    #[error("the language model gave no answer in time")]
    Silent,
}

impl From<LlmError> for Error {
    fn from(error: LlmError) -> Self {
        let why = error.to_string();
        let retry_after = match error {
            LlmError::Away { retry_after, .. } => retry_after,
            LlmError::Failed(_) | LlmError::Silent => Duration::from_secs(5),
        };
        Self::Unavailable {
            what: "the language model",
            why,
            retry_after,
        }
    }
}

/// The client; clones share connections and circuit breaker.
#[derive(Clone)]
pub struct Llm {
    http: reqwest::Client,
    analyze: Url,
    generate: Url,
    breaker: Arc<Breaker>,
}

#[derive(Serialize)]
struct AnalyzeRequest<'a> {
    texts: [&'a str; 1],
}

#[derive(Deserialize)]
struct AnalyzeResponse {
    verdicts: Vec<Verdict>,
}

#[derive(Serialize)]
struct GenerateRequest {
    max_characters: usize,
}

#[derive(Deserialize)]
struct GenerateResponse {
    content: String,
}

impl Llm {
    /// # Errors
    /// When `LLM_URL` cannot carry a path, or the registry holds `llm_circuit_state` already.
    pub fn new(config: &LlmConfig, registry: &Registry) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(config.llm_timeout_seconds))
            .connect_timeout(Duration::from_secs(2))
            .pool_idle_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            analyze: config.llm_url.join("/v1/analyze")?,
            generate: config.llm_url.join("/v1/generate")?,
            breaker: Arc::new(Breaker::new(registry)?),
        })
    }

    /// The verdict on `text`. `request_id` is passed on, so that one post can be followed through every log.
    ///
    /// # Errors
    /// See [`LlmError`].
    pub async fn analyze(&self, text: &str, request_id: &str) -> Result<Verdict, LlmError> {
        let body = AnalyzeRequest { texts: [text] };
        let mut response: AnalyzeResponse = self.call(&self.analyze, &body, request_id).await?;
        match (response.verdicts.pop(), response.verdicts.pop()) {
            (Some(verdict), None) => verdict.checked().map_err(LlmError::Failed),
            _ => Err(LlmError::Failed(
                "it did not answer one verdict to one text".into(),
            )),
        }
    }

    /// A post that a person could have written, of at most `max_characters` Unicode scalar values.
    ///
    /// # Errors
    /// See [`LlmError`].
    pub async fn generate(
        &self,
        max_characters: usize,
        request_id: &str,
    ) -> Result<String, LlmError> {
        let body = GenerateRequest { max_characters };
        let response: GenerateResponse = self.call(&self.generate, &body, request_id).await?;
        Ok(response.content)
    }

    /// Whether calls would be refused right now because the model has failed repeatedly.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.breaker.is_open()
    }

    async fn call<T: DeserializeOwned>(
        &self,
        url: &Url,
        body: &impl Serialize,
        request_id: &str,
    ) -> Result<T, LlmError> {
        if let Some(rest) = self.breaker.rest() {
            return Err(LlmError::Away {
                why: "the circuit breaker is open".into(),
                retry_after: rest,
            });
        }
        let answer = self.send(url, body, request_id).await;
        match &answer {
            Ok(_) => self.breaker.succeeded(),
            Err(LlmError::Away { .. } | LlmError::Silent) => self.breaker.failed(),
            // It was reached, so the circuit is sound; the text may be at fault.
            Err(LlmError::Failed(_)) => self.breaker.succeeded(),
        }
        answer
    }

    async fn send<T: DeserializeOwned>(
        &self,
        url: &Url,
        body: &impl Serialize,
        request_id: &str,
    ) -> Result<T, LlmError> {
        let mut request = self.http.post(url.clone()).json(body);
        if !request_id.is_empty() {
            request = request.header("x-request-id", request_id);
        }
        let response = request.send().await.map_err(|error| classify(&error))?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(|error| {
                if error.is_decode() {
                    LlmError::Failed(format!("its answer cannot be read: {error}"))
                } else {
                    classify(&error)
                }
            });
        }
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map_or(Duration::from_secs(1), Duration::from_secs);
        match status {
            // What a proxy says of a dead upstream, and what llm-service says while loading or full.
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS => Err(LlmError::Away {
                why: format!("it answered {status}"),
                retry_after,
            }),
            _ => Err(LlmError::Failed(format!("it answered {status}"))),
        }
    }
}

/// A timeout after the request was taken is a failure that counts, or a text that stalls the model would be tried
/// for ever; anything else on the way is the network or a restart.
fn classify(error: &reqwest::Error) -> LlmError {
    if error.is_timeout() && !error.is_connect() {
        LlmError::Silent
    } else {
        // reqwest's own words end before the cause: "error sending request".
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        let words = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
        LlmError::Away {
            why: words.collect::<Vec<_>>().join(": "),
            retry_after: Duration::from_secs(1),
        }
    }
}
