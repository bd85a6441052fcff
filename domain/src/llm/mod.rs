//! The one client of the language model: the workers ask it for verdicts, the API for explanations and for a post to
//! suggest. Which verdict a post keeps is `analysis`' business.
//!
//! | module | what |
//! |---|---|
//! | `native` | llm-service's own protocol |
//! | `openai` | the same verdicts through any OpenAI-compatible server |
//! | `transport` | HTTP, for both |
//! | `breaker` | leaves a model alone that has failed repeatedly |
//! | `shared` | one verdict for texts that are alike |
//! | `sentence` | cuts what a model wrote

mod breaker;
mod native;
mod openai;
mod sentence;
mod shared;
mod transport;

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use prometheus::Registry;

use crate::{
    Error,
    analysis::Verdict,
    config::{LlmBackend, LlmConfig},
    redis::Redis,
};
use breaker::Breaker;
use native::Native;
use openai::OpenAi;
use shared::Shared;

/// The longest that an old model's name is taken for the one that runs.
const IDENTITY_LIFETIME: Duration = Duration::from_secs(10);

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

/// When a verdict comes with a reason in words; writing one costs many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Explain {
    /// When the post is dangerous.
    Danger,
    /// Whatever the verdict is.
    Always,
}

/// Who makes a verdict: verdicts of two that differ in anything here are not to be mixed up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    model: String,
    prompt_version: String,
}

impl Identity {
    fn of(verdict: &Verdict) -> Self {
        Self {
            model: verdict.model.clone(),
            prompt_version: verdict.prompt_version.clone(),
        }
    }

    /// A place for what a server said of itself; one caller asks while the others wait for it.
    fn memory<T: Clone + Send + Sync + 'static>() -> Cache<(), T> {
        Cache::builder()
            .max_capacity(1)
            .time_to_live(IDENTITY_LIFETIME)
            .build()
    }
}

enum Backend {
    Native(Native),
    OpenAi(OpenAi),
}

impl Backend {
    async fn identity(&self) -> Option<Identity> {
        match self {
            Self::Native(native) => native.identity().await,
            Self::OpenAi(openai) => openai.identity().await,
        }
    }

    async fn judge(
        &self,
        text: &str,
        explain: Explain,
        request_id: &str,
    ) -> Result<Verdict, LlmError> {
        match self {
            Self::Native(native) => native.judge(text, explain, request_id).await,
            Self::OpenAi(openai) => openai.judge(text, explain, request_id).await,
        }
    }
}

struct Parts {
    backend: Backend,
    breaker: Breaker,
    shared: Shared,
    patience: Duration,
}

/// The client; clones share connections, circuit breaker and what is under way.
#[derive(Clone)]
pub struct Llm(Arc<Parts>);

impl Llm {
    /// # Errors
    /// A sentence that names the option that is wrong (`LLM_URL`, `LLM_API_KEY`), or when the
    /// registry holds one of the metrics already.
    pub fn new(config: &LlmConfig, redis: Redis, registry: &Registry) -> anyhow::Result<Self> {
        let backend = match config.llm_backend {
            LlmBackend::Native => Backend::Native(Native::new(config)?),
            LlmBackend::Openai => Backend::OpenAi(OpenAi::new(config)?),
        };
        Ok(Self(Arc::new(Parts {
            backend,
            breaker: Breaker::new(registry)?,
            shared: Shared::new(redis, config.llm_share_seconds, registry)?,
            patience: Duration::from_secs(config.llm_timeout_seconds),
        })))
    }

    /// The verdict on `text`, with an explanation if it is dangerous; that on a text of the same words may serve.
    /// `request_id` is passed on, so that one post can be followed through every log.
    ///
    /// # Errors
    /// See [`LlmError`].
    pub async fn analyze(&self, text: &str, request_id: &str) -> Result<Verdict, LlmError> {
        self.judge(text, Explain::Danger, request_id).await
    }

    /// The same with an explanation in any case.
    ///
    /// # Errors
    /// See [`LlmError`]; a verdict without an explanation is [`LlmError::Failed`].
    pub async fn explain(&self, text: &str, request_id: &str) -> Result<Verdict, LlmError> {
        self.judge(text, Explain::Always, request_id).await
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
        self.guarded(async {
            match &self.0.backend {
                Backend::Native(native) => native.generate(max_characters, request_id).await,
                Backend::OpenAi(openai) => openai.generate(max_characters, request_id).await,
            }
        })
        .await
    }

    /// Whether calls would be refused right now because the model has failed repeatedly.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.0.breaker.is_open()
    }

    async fn judge(
        &self,
        text: &str,
        explain: Explain,
        request_id: &str,
    ) -> Result<Verdict, LlmError> {
        let Parts {
            backend, shared, ..
        } = &*self.0;
        let ask = self.guarded(async {
            let verdict = backend.judge(text, explain, request_id).await?;
            if explain == Explain::Always && verdict.explanation.is_empty() {
                return Err(LlmError::Failed("it wrote no explanation".into()));
            }
            Ok(verdict)
        });
        // A model that is known to be away is not asked for its name either.
        let identity = if shared.is_on() && !self.is_away() {
            backend.identity().await
        } else {
            None
        };
        shared.verdict(identity.as_ref(), text, explain, ask).await
    }

    /// Runs `work`, which may be several requests, as one call of the circuit breaker's and within one timeout.
    async fn guarded<T>(
        &self,
        work: impl Future<Output = Result<T, LlmError>>,
    ) -> Result<T, LlmError> {
        let breaker = &self.0.breaker;
        if let Some(rest) = breaker.rest() {
            return Err(LlmError::Away {
                why: "the circuit breaker is open".into(),
                retry_after: rest,
            });
        }
        let answer = tokio::time::timeout(self.0.patience, work)
            .await
            .unwrap_or(Err(LlmError::Silent));
        match &answer {
            Err(LlmError::Away { .. } | LlmError::Silent) => breaker.failed(),
            // It was reached, so the circuit is sound; the text may be at fault.
            Ok(_) | Err(LlmError::Failed(_)) => breaker.succeeded(),
        }
        answer
    }
}
