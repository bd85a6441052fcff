//! The backend that is llm-service, in its own protocol: whole verdicts come over the wire, and `/readyz` tells
//! which model and prompts make them.

use std::time::Duration;

use moka::future::Cache;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::{
    Explain, Identity, LlmError,
    transport::{Fault, Refusal, Transport},
};
use crate::{analysis::Verdict, config::LlmConfig};

/// How long it may take to say which model runs; an idle one says so in a millisecond.
const ASK_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct AnalyzeRequest<'a> {
    texts: [&'a str; 1],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    explain: bool,
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

#[derive(Deserialize)]
struct ReadyResponse {
    model: String,
    prompt_version: String,
}

pub(super) struct Native {
    transport: Transport,
    identity: Cache<(), Identity>,
}

impl Native {
    pub fn new(config: &LlmConfig) -> anyhow::Result<Self> {
        Ok(Self {
            transport: Transport::new(config, None, false)?,
            identity: Identity::memory(),
        })
    }

    pub async fn judge(
        &self,
        text: &str,
        explain: Explain,
        request_id: &str,
    ) -> Result<Verdict, LlmError> {
        let body = AnalyzeRequest {
            texts: [text],
            explain: explain == Explain::Always,
        };
        let answer = self.transport.post("v1/analyze", &body, request_id).await;
        let mut response: AnalyzeResponse = answer.map_err(error)?;
        let verdict = match (response.verdicts.pop(), response.verdicts.pop()) {
            (Some(verdict), None) => verdict.checked().map_err(LlmError::Failed)?,
            _ => {
                return Err(LlmError::Failed(
                    "it did not answer one verdict to one text".into(),
                ));
            }
        };
        // As good as asking, and it saves that.
        self.identity.insert((), Identity::of(&verdict)).await;
        Ok(verdict)
    }

    pub async fn generate(
        &self,
        max_characters: usize,
        request_id: &str,
    ) -> Result<String, LlmError> {
        let body = GenerateRequest { max_characters };
        let answer = self.transport.post("v1/generate", &body, request_id).await;
        answer
            .map(|response: GenerateResponse| response.content)
            .map_err(error)
    }

    /// Who would judge now; `None` when it does not say.
    pub async fn identity(&self) -> Option<Identity> {
        let ask = async {
            let ready: ReadyResponse = self.transport.get("readyz", ASK_PATIENCE).await?;
            Ok::<_, Fault>(Identity {
                model: ready.model,
                prompt_version: ready.prompt_version,
            })
        };
        self.identity.try_get_with((), ask).await.ok()
    }
}

fn error(fault: Fault) -> LlmError {
    match fault {
        Fault::Known(error) => error,
        Fault::Refused(refusal) if is_away(&refusal) => refusal.away(),
        Fault::Refused(refusal) => LlmError::Failed(refusal.sentence()),
    }
}

/// What a proxy says of a dead upstream, and what llm-service says while loading or full.
fn is_away(refusal: &Refusal) -> bool {
    matches!(
        refusal.status,
        StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
    )
}
