//! The HTTP side of being watched: request ids, one log line per request, HTTP metrics.

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
};
use actix_web_prom::{
    ActixMetricsConfiguration, LabelsConfiguration, PrometheusMetrics, PrometheusMetricsBuilder,
};
use anyhow::anyhow;
use prometheus::Registry;
use tracing::{Span, field::Empty};
use tracing_actix_web::{RootSpanBuilder, TracingLogger};

/// The header that carries a request's id, from the proxy to the client and to every program on the way.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Upper bounds in seconds. A cached feed answers in well under a millisecond and a generated post in
/// seconds, so the buckets reach from 0.25 ms to 10 s.
const LATENCY_BUCKETS: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// The id of the request being served: at most 64 letters, digits, `.`, `_` and `-`.
#[derive(Clone, Debug)]
pub struct RequestId(String);

impl RequestId {
    /// The id from a header, if it is one; anything else could forge log lines or bloat them.
    fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let sound = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        sound.then(|| Self(text.to_owned()))
    }

    fn generate() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Middleware (`actix_web::middleware::from_fn`): takes the caller's `x-request-id` or makes one, leaves it in
/// the request's extensions as [`RequestId`] and returns it in the answer. Wrap it outside [`tracing_logger`].
///
/// # Errors
/// Only those of the wrapped service.
pub async fn request_id<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let id = req
        .headers()
        .get(REQUEST_ID)
        .and_then(RequestId::parse)
        .unwrap_or_else(RequestId::generate);
    let header = HeaderValue::from_str(id.as_str());
    req.extensions_mut().insert(id);
    let mut response = next.call(req).await?;
    if let Ok(value) = header {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    Ok(response)
}

/// The middleware that opens a span per request; its end is the request's log line, with `request_id`, method,
/// route template, `user.id` (recorded by whoever authenticates), status and `elapsed_milliseconds`.
#[must_use]
pub fn tracing_logger() -> TracingLogger<RequestSpan> {
    TracingLogger::new()
}

/// Builds the span of a request. Nothing of the query string, the body or a header but the request id is kept:
/// they may hold secrets or a person's words.
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request.extensions().get::<RequestId>().cloned();
        let id = id.as_ref().map_or("", RequestId::as_str);
        let route = request.match_pattern();
        let route = route.as_deref().unwrap_or("UNKNOWN");
        // Probes and scrapes come every few seconds from every side; at info they would bury the rest.
        if matches!(route, "/livez" | "/readyz" | "/metrics") {
            return tracing::debug_span!(
                "request", request_id = id, http.method = %request.method(), http.route = route,
                http.status = Empty, user.id = Empty
            );
        }
        tracing::info_span!(
            "request", request_id = id, http.method = %request.method(), http.route = route,
            http.status = Empty, user.id = Empty
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("http.status", status.as_u16());
    }
}

/// The HTTP metrics middleware: `http_requests_total{route,method,status}` and
/// `http_request_duration_seconds{…}`, routes by template, what matches no route as `UNKNOWN`, live streams left out. It also answers
/// `GET /metrics` with everything in `registry`. Build it once per server, outside the worker factory.
///
/// # Errors
/// When the registry already holds these metrics.
pub fn metrics(registry: &Registry) -> anyhow::Result<PrometheusMetrics> {
    PrometheusMetricsBuilder::new("")
        .registry(registry.clone())
        .endpoint("/metrics")
        .exclude("/metrics")
        // A live stream is as long as somebody listens; that is no latency. It has figures of its own.
        .exclude("/api/stream")
        .exclude("/api/ws")
        .buckets(&LATENCY_BUCKETS)
        .mask_unmatched_patterns("UNKNOWN")
        .metrics_configuration(
            ActixMetricsConfiguration::default()
                .http_requests_duration_seconds_name("http_request_duration_seconds")
                .labels(LabelsConfiguration::default().endpoint("route")),
        )
        .build()
        .map_err(|error| anyhow!("cannot register the HTTP metrics: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_from_outside_is_taken_only_when_it_cannot_harm_a_log_line() {
        let parse = |text: &'static str| RequestId::parse(&HeaderValue::from_static(text));
        assert_eq!(parse("a-1_B.2").map(|id| id.0), Some("a-1_B.2".to_owned()));
        assert!(parse("").is_none());
        assert!(parse("two words").is_none());
        assert!(parse("quote\"").is_none());
        let long: &'static str =
            "0123456789012345678901234567890123456789012345678901234567890123456789";
        assert!(parse(long).is_none());
    }
}
