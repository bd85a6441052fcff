//! The backend that is any OpenAI-compatible server: the same verdicts from chat completions.
//!
//! Where the server tells the probabilities of tokens, each question is one token long and the verdict is read from
//! the likelihood of its labels; otherwise the model writes the verdict as JSON. What the server can do is tried once
//! and remembered (`dialect`).
//!
//! | module | what |
//! |---|---|
//! | `prompt` | what the model is asked, and how a post is put before it |
//! | `wire` | OpenAI's JSON, as far as it is used |
//! | `dialect` | what of it this server understands |
//! | `labels` | token probabilities → polarity, score, safety |
//! | `answers` | what the model wrote → the parts of a verdict |
//! | `talk` | the requests that a verdict takes, each in the best dialect that the server takes |
//! | `author` | posts to suggest |

mod answers;
mod author;
mod dialect;
mod labels;
mod prompt;
mod talk;
mod wire;

use std::time::Duration;

use moka::future::Cache;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};

use self::{
    dialect::Learned,
    talk::{Labelled, Talk},
    wire::Models,
};
use super::{
    Explain, Identity, LlmError,
    transport::{Fault, Refusal, Transport},
};
use crate::{
    analysis::{Safety, Verdict},
    config::LlmConfig,
};

/// The state of the prompts, labels and figures of this backend. To be raised with any change of them, so that verdicts
/// of before and after can be told apart.
const PROMPT_VERSION: &str = "openai-1";
/// How long the list of models may take.
const LIST_PATIENCE: Duration = Duration::from_secs(5);
/// Tokens of the longest answer in JSON: 200 characters of explanation in any script, and its frame.
const JSON_TOKENS: u32 = 400;

/// See the module.
pub(super) struct OpenAi {
    transport: Transport,
    /// LLM_API_MODEL.
    model: Option<String>,
    /// Without it: the first of the server's list.
    listed: Cache<(), String>,
    learned: Learned,
}

impl OpenAi {
    pub fn new(config: &LlmConfig) -> anyhow::Result<Self> {
        let named = config.llm_api_model.as_deref().map(str::trim);
        Ok(Self {
            transport: Transport::new(config, key(config).as_ref(), true)?,
            model: named.filter(|name| !name.is_empty()).map(str::to_owned),
            listed: Identity::memory(),
            learned: Learned::default(),
        })
    }

    /// Who would judge now; `None` when the server does not say.
    pub async fn identity(&self) -> Option<Identity> {
        let model = self.model().await.ok()?;
        Some(Identity {
            model,
            prompt_version: PROMPT_VERSION.into(),
        })
    }

    pub async fn judge(
        &self,
        text: &str,
        explain: Explain,
        request_id: &str,
    ) -> Result<Verdict, LlmError> {
        let mut talk = Talk::begin(self, request_id).await?;
        let post = prompt::neutralise(text);
        let (labelled, details) = match talk.labelled(&post).await? {
            Some(labelled) => {
                let details = talk.details(&post, &labelled, explain).await?;
                (labelled, details)
            }
            None => {
                let opinion = talk.opinion(&post, explain).await?;
                talk.remember_no_labels();
                let labelled = Labelled {
                    polarity: opinion.polarity,
                    score: opinion.score,
                    safety: opinion.safety,
                };
                (labelled, opinion.details)
            }
        };
        let Labelled {
            polarity,
            score,
            safety,
        } = labelled;
        let wanted = explain == Explain::Always || safety == Safety::Dangerous;
        let verdict = Verdict {
            polarity,
            score,
            confidence: labels::confidence(score),
            safety,
            topics: details.topics,
            explanation: if wanted {
                details.explanation
            } else {
                String::new()
            },
            model: talk.model,
            prompt_version: PROMPT_VERSION.into(),
            tokens: talk.tokens,
        };
        verdict.checked().map_err(LlmError::Failed)
    }

    pub async fn generate(
        &self,
        max_characters: usize,
        request_id: &str,
    ) -> Result<String, LlmError> {
        let mut talk = Talk::begin(self, request_id).await?;
        author::write(&mut talk, max_characters).await
    }

    async fn model(&self) -> Result<String, LlmError> {
        if let Some(model) = &self.model {
            return Ok(model.clone());
        }
        let list = async {
            let list = self.transport.get("v1/models", LIST_PATIENCE).await;
            let models: Models = list.map_err(error)?;
            models.first().ok_or_else(|| {
                LlmError::Failed("it lists no model: name one with LLM_API_MODEL".into())
            })
        };
        self.listed
            .try_get_with((), list)
            .await
            .map_err(|error| LlmError::clone(&error))
    }
}

/// The key without blanks around it, which a header could not carry; none when nothing is left.
fn key(config: &LlmConfig) -> Option<SecretString> {
    let key = config.llm_api_key.as_ref()?.expose_secret().trim();
    (!key.is_empty()).then(|| key.into())
}

fn error(fault: Fault) -> LlmError {
    match fault {
        Fault::Known(error) => error,
        Fault::Refused(refusal) if is_away(&refusal) => refusal.away(),
        Fault::Refused(refusal) => {
            let hint = match refusal.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    ": is LLM_API_KEY (or LLM_API_KEY_FILE) right?"
                }
                StatusCode::NOT_FOUND => {
                    ": is LLM_URL the base address of an OpenAI-compatible server, and has it the model that \
                     LLM_API_MODEL names?"
                }
                status if status.is_redirection() => {
                    ": it has moved, and is not followed. Is LLM_URL right?"
                }
                _ => "",
            };
            LlmError::Failed(format!("{}{hint}", refusal.sentence()))
        }
    }
}

/// Too much asked of it, or something is the matter with the server and not with the post. What it has never been
/// made to do (501) it will not do later.
fn is_away(refusal: &Refusal) -> bool {
    refusal.status == StatusCode::TOO_MANY_REQUESTS
        || refusal.status.is_server_error() && refusal.status != StatusCode::NOT_IMPLEMENTED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16) -> Fault {
        Fault::Refused(Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: Duration::from_secs(7),
            code: "some_code".into(),
            param: String::new(),
            message: "what somebody wrote".into(),
        })
    }

    #[test]
    fn an_error_names_the_option_that_may_be_wrong() {
        for (status, wanted) in [
            (401, "LLM_API_KEY"),
            (403, "LLM_API_KEY"),
            (404, "LLM_API_MODEL"),
            (308, "LLM_URL"),
            (400, "some_code"),
            (501, "501"),
        ] {
            let LlmError::Failed(why) = error(refusal(status)) else {
                panic!("{status} is a failure");
            };
            assert!(why.contains(wanted), "{why}");
            assert!(!why.contains("somebody"), "{why}");
        }
        for status in [429, 500, 502, 503, 504, 529] {
            let LlmError::Away { why, retry_after } = error(refusal(status)) else {
                panic!("{status} passes");
            };
            assert!(why.contains(&status.to_string()), "{why}");
            assert_eq!(retry_after, Duration::from_secs(7));
        }
    }
}
