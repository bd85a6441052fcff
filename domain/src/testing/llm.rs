//! How a language model's client is set up in tests.

use url::Url;

use crate::config::{LlmBackend, LlmConfig};

/// The options as they are by default, with the server here.
#[must_use]
pub fn at(url: Url) -> LlmConfig {
    LlmConfig {
        llm_backend: LlmBackend::Native,
        llm_url: url,
        llm_api_model: None,
        llm_api_key: None,
        llm_timeout_seconds: 60,
        llm_share_seconds: 86_400,
    }
}
