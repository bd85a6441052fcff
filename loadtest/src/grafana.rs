//! Marks in Grafana's charts: when a run began, and when it ended with which verdict.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use hyper::{Method, header::HeaderValue};
use serde_json::json;

use crate::engine::{Call, Connection, Keep, Target};

/// A Grafana that takes annotations.
pub struct Grafana {
    target: Target,
    token: HeaderValue,
}

impl Grafana {
    /// At this address, with a token of a service account that may write annotations.
    ///
    /// # Errors
    /// When the address or the token is none.
    pub fn new(url: &str, token: &str) -> Result<Self> {
        let mut token = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .context("the Grafana token has characters that no token has")?;
        token.set_sensitive(true);
        Ok(Self {
            target: Target::parse(url, true)?,
            token,
        })
    }

    /// Writes an annotation for now.
    ///
    /// # Errors
    /// When Grafana does not take it.
    pub async fn annotate(&self, text: &str, tags: &[&str]) -> Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let tags: Vec<&str> = std::iter::once("loadtest")
            .chain(tags.iter().copied())
            .collect();
        let body = json!({ "time": u64::try_from(now.as_millis()).unwrap_or(0), "tags": tags, "text": text });
        let mut call = Call::with(
            Method::POST,
            self.target.uri("/api/annotations")?,
            body.to_string(),
        );
        call.authorization = Some(self.token.clone());
        let mut connection = Connection::new(self.target.clone(), Duration::from_secs(5));
        let answer = connection
            .call(call, Keep::All)
            .await
            .with_context(|| format!("Grafana does not answer at {}", self.target.url()))?;
        if !answer.status.is_success() {
            let words: String = String::from_utf8_lossy(&answer.body)
                .chars()
                .take(200)
                .collect();
            bail!(
                "Grafana answered an annotation with status {}: {words}. The token needs the right annotations:write",
                answer.status.as_u16()
            );
        }
        Ok(())
    }
}
