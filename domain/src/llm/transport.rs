//! JSON over HTTP to the language model: one client with timeouts, and what a fault on the way means. What is said
//! over it belongs to the backends.

use std::{error::Error as _, time::Duration};

use reqwest::{
    RequestBuilder, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::{Instrument as _, Span, field::Empty};
use url::{Host, Url};

use super::LlmError;
use crate::{config::LlmConfig, trace};

/// When to come back to somebody who does not say.
const DEFAULT_RETRY: Duration = Duration::from_secs(1);
/// The longest code or parameter name of an error that is repeated; it ends up in logs.
const LONGEST_WORD: usize = 60;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// It means the same for every backend.
    Known(LlmError),
    /// The server answered with an error; what that means is the backend's to say.
    Refused(Refusal),
}

/// An answer that is not 2xx.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    /// From the header `Retry-After`, or [`DEFAULT_RETRY`].
    pub retry_after: Duration,
    /// `error.code`, or `error.type`, of OpenAI's error body; empty when there is none that looks like a name.
    pub code: String,
    /// `error.param`: what in the request it is about.
    pub param: String,
    /// `error.message`. It may quote the request, so it is read by the program and never logged.
    pub message: String,
}

impl Refusal {
    /// "it answered 400 Bad Request (context_length_exceeded)".
    pub fn sentence(&self) -> String {
        match self.code.as_str() {
            "" => format!("it answered {}", self.status),
            code => format!("it answered {} ({code})", self.status),
        }
    }

    /// The server is there and cannot now.
    pub fn away(&self) -> LlmError {
        LlmError::Away {
            why: self.sentence(),
            retry_after: self.retry_after,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    // Numbers with some servers, null with others.
    code: serde_json::Value,
    r#type: serde_json::Value,
    param: serde_json::Value,
    message: serde_json::Value,
}

/// The client of one server.
pub(super) struct Transport {
    http: reqwest::Client,
    base: Url,
}

impl Transport {
    /// `key` is sent as a bearer token. Proxies of the environment are used only where `through_proxies` says so,
    /// and never to this machine.
    ///
    /// # Errors
    /// A sentence that names the option that is wrong.
    pub fn new(
        config: &LlmConfig,
        key: Option<&SecretString>,
        through_proxies: bool,
    ) -> anyhow::Result<Self> {
        let base = base(&config.llm_url)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()));
            let mut value = value.map_err(|_| {
                anyhow::anyhow!("LLM_API_KEY holds a character that no HTTP header may carry")
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut http = reqwest::Client::builder()
            .timeout(Duration::from_secs(config.llm_timeout_seconds))
            .connect_timeout(Duration::from_secs(2))
            .pool_idle_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(headers);
        if !through_proxies || is_here(&base) {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build()?,
            base,
        })
    }

    /// Sends `body` to `path` (without a leading slash). The server is told the request's id and, within a trace, the span
    /// to go on from.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        request_id: &str,
    ) -> Result<T, Fault> {
        let span = tracing::debug_span!(
            "llm",
            otel.name = format!("POST /{path}"),
            otel.kind = "client",
            otel.status_code = Empty,
            http.response.status_code = Empty,
        );
        async {
            let mut request = self.http.post(self.url(path)?).json(body);
            if !request_id.is_empty() {
                request = request.header("x-request-id", request_id);
            }
            if let Some(traceparent) = trace::traceparent() {
                request = request.header("traceparent", traceparent);
            }
            let answer = send(request).await;
            if answer.is_err() {
                Span::current().record("otel.status_code", "ERROR");
            }
            answer
        }
        .instrument(span)
        .await
    }

    /// Reads `path`, which may take `patience`.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        patience: Duration,
    ) -> Result<T, Fault> {
        send(self.http.get(self.url(path)?).timeout(patience)).await
    }

    fn url(&self, path: &str) -> Result<Url, Fault> {
        let url = self.base.join(path);
        url.map_err(|error| Fault::Known(LlmError::Failed(format!("LLM_URL: {error}"))))
    }
}

async fn send<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Fault> {
    let response = request.send().await.map_err(classify)?;
    let status = response.status();
    Span::current().record("http.response.status_code", i64::from(status.as_u16()));
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(DEFAULT_RETRY, Duration::from_secs);
    let body = response.bytes().await.map_err(classify)?;
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|error| Fault::Known(LlmError::Failed(unreadable(&error))));
    }
    let ErrorBody { error } = serde_json::from_slice(&body).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let code = [&error.code, &error.r#type].map(word);
    Err(Fault::Refused(Refusal {
        status,
        retry_after,
        code: code
            .into_iter()
            .find(|code| !code.is_empty())
            .unwrap_or_default(),
        param: word(&error.param),
        message: text(&error.message),
    }))
}

/// The value if it looks like a name, as error codes do; anything else might be a piece of somebody's post.
fn word(value: &serde_json::Value) -> String {
    let named = |text: &&str| {
        text.len() <= LONGEST_WORD
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    value.as_str().filter(named).unwrap_or_default().to_owned()
}

/// Why an answer is not what was expected, without a word of what it says.
fn unreadable(error: &serde_json::Error) -> String {
    let said = error.to_string();
    // "missing field `score`" and faults of the syntax quote nothing of the answer; "invalid type: string …" does.
    if !error.is_data() || said.starts_with("missing field") {
        return format!("its answer cannot be read: {said}");
    }
    let (line, column) = (error.line(), error.column());
    format!("its answer has another shape than expected at line {line} column {column}")
}

/// A timeout after the request was taken is a failure that counts, or a text that stalls the model would be tried
/// for ever; anything else on the way is the network or a restart.
fn classify(error: reqwest::Error) -> Fault {
    Fault::Known(if error.is_timeout() && !error.is_connect() {
        LlmError::Silent
    } else {
        // reqwest's own words end before the cause: "error sending request".
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        let words = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
        LlmError::Away {
            why: words.collect::<Vec<_>>().join(": "),
            retry_after: DEFAULT_RETRY,
        }
    })
}

/// LLM_URL as the folder that `v1/…` lies in: people write it with and without a slash or `/v1` at its end.
fn base(url: &Url) -> anyhow::Result<Url> {
    anyhow::ensure!(
        matches!(url.scheme(), "http" | "https"),
        "LLM_URL begins with {}://; it must be http:// or https://",
        url.scheme()
    );
    let path = url.path().trim_end_matches('/');
    let path = format!("{}/", path.strip_suffix("/v1").unwrap_or(path));
    let mut base = url.clone();
    base.set_path(&path);
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

/// Whether the address is this machine's own.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_and_without_its_end() {
        for (given, wanted) in [
            ("http://llm:3300", "http://llm:3300/v1/chat"),
            ("http://llm:3300/", "http://llm:3300/v1/chat"),
            ("http://llm:3300/v1", "http://llm:3300/v1/chat"),
            ("http://llm:3300/v1/", "http://llm:3300/v1/chat"),
            (
                "https://a.example/openai/v1?x=1#y",
                "https://a.example/openai/v1/chat",
            ),
            ("http://v1/", "http://v1/v1/chat"),
        ] {
            let base = base(&given.parse().unwrap()).unwrap();
            assert_eq!(base.join("v1/chat").unwrap().as_str(), wanted, "{given}");
        }
        let error = base(&"ftp://llm".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("LLM_URL begins with ftp://"));
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_quoted() {
        let say = |text| unreadable(&serde_json::from_str::<Vec<i32>>(text).unwrap_err());
        assert!(!say(r#"["what somebody wrote"]"#).contains("somebody"));
        assert!(say("<html>").contains("expected value"));
        let missing = serde_json::from_str::<ErrorKept>("{}").unwrap_err();
        assert!(unreadable(&missing).contains("missing field `kept`"));
        assert_eq!(word(&"invalid_api_key".into()), "invalid_api_key");
        assert_eq!(word(&"a text of mine".into()), "");
        assert_eq!(word(&400.into()), "");
    }

    #[derive(Debug, Deserialize)]
    struct ErrorKept {
        #[expect(dead_code, reason = "only its absence is of interest")]
        kept: i32,
    }
}
