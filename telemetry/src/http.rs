//! The HTTP side of being watched: request ids, one log line and one span of a trace per request, HTTP metrics.

use std::{
    borrow::Cow,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use actix_web::{
    Error, HttpMessage as _, HttpResponse,
    body::{BodySize, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::{
        Method, StatusCode,
        header::{HeaderName, HeaderValue},
    },
    web::{Bytes, Data},
};
use futures_util::future::LocalBoxFuture;
use pin_project_lite::pin_project;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TEXT_FORMAT, TextEncoder,
};
use tracing::{Instrument as _, Span, field::Empty};

use crate::trace;

/// The header that carries a request's id, from the proxy to the client and to every program on the way.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header with which a trace goes on in the next program (<https://www.w3.org/TR/trace-context/>).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

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

/// The outermost middleware: takes the caller's `x-request-id` or makes one, leaves it in the request's extensions as
/// [`RequestId`] and returns it in the answer; opens a span, whose end is the request's log line, with `request_id`,
/// method, route template, `user.id` (recorded by whoever authenticates), status and `elapsed_milliseconds`; counts and
/// times the request in `http_requests_total{route,method,status}` and `http_request_duration_seconds{…}`, by the
/// route's template, and what matches no route as `UNKNOWN`. A request ends when its answer has been handed over. Its
/// span begins a trace that is found by the request's id; with [`Watch::behind_others`] it goes on with the caller's.
///
/// One middleware and not three from libraries: together those cost a fifth of a cached read.
#[derive(Clone)]
pub struct Watch {
    requests: IntCounterVec,
    seconds: HistogramVec,
    /// Routes that are not measured.
    except: &'static [&'static str],
    behind_others: bool,
}

impl Watch {
    /// Registers the metrics. Build it once per server, outside the worker factory. The routes of `except` are neither
    /// measured nor traced: how long a live stream lasts is no latency.
    ///
    /// # Errors
    /// When the registry already holds these metrics.
    pub fn new(registry: &Registry, except: &'static [&'static str]) -> anyhow::Result<Self> {
        let labels = ["route", "method", "status"];
        let requests = IntCounterVec::new(
            Opts::new("http_requests_total", "Requests answered"),
            &labels,
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "http_request_duration_seconds",
                "Time from a request to the end of its answer",
            )
            .buckets(LATENCY_BUCKETS.to_vec()),
            &labels,
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            requests,
            seconds,
            except,
            behind_others: false,
        })
    }

    /// For a server whose callers are programs of ours: it believes their `traceparent` and begins no traces. From
    /// outside that header would let anybody write into anybody's trace.
    #[must_use]
    pub fn behind_others(self) -> Self {
        Self {
            behind_others: true,
            ..self
        }
    }

    /// The span of a request, within the trace that it belongs to.
    fn span(&self, request: &ServiceRequest, id: &RequestId, route: &str, measured: bool) -> Span {
        let make = || span_of(request, id, route);
        if !measured || PROBES.contains(&route) {
            return make();
        }
        if !self.behind_others {
            return trace::begin(id.as_str(), make);
        }
        let caller = request.headers().get(TRACEPARENT);
        match caller.and_then(|value| value.to_str().ok()) {
            Some(caller) => trace::resume(caller, make),
            None => make(),
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Watch
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody,
{
    type Response = ServiceResponse<Watched<B>>;
    type Error = Error;
    type Transform = Watching<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Watching {
            service,
            watch: self.clone(),
        }))
    }
}

/// [`Watch`] around the rest of the server.
pub struct Watching<S> {
    service: S,
    watch: Watch,
}

impl<S, B> Service<ServiceRequest> for Watching<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody,
{
    type Response = ServiceResponse<Watched<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, req: ServiceRequest) -> Self::Future {
        let began = Instant::now();
        let id = req
            .headers()
            .get(REQUEST_ID)
            .and_then(RequestId::parse)
            .unwrap_or_else(RequestId::generate);
        let header = HeaderValue::from_str(id.as_str());
        let route = req.match_pattern();
        let name = route.as_deref().unwrap_or(UNKNOWN);
        let measured = !self.watch.except.contains(&name);
        let span = self.watch.span(&req, &id, name, measured);
        let mut end = End {
            watch: measured.then(|| self.watch.clone()),
            began,
            route: route.map_or(Cow::Borrowed(UNKNOWN), Cow::Owned),
            method: req.method().clone(),
            status: StatusCode::OK,
            span: span.clone(),
        };
        req.extensions_mut().insert(id);
        let answer = span.in_scope(|| self.service.call(req)).instrument(span);
        Box::pin(async move {
            let outcome = answer.await;
            end.status = match &outcome {
                Ok(response) => response.status(),
                Err(error) => error.as_response_error().status_code(),
            };
            end.span.record("http.status", end.status.as_u16());
            let mut response = outcome?;
            if let Ok(value) = header {
                response.headers_mut().insert(REQUEST_ID, value);
            }
            Ok(response.map_body(|_, body| Watched { body, end }))
        })
    }
}

const UNKNOWN: &str = "UNKNOWN";
/// What is asked every few seconds from every side: in the log at debug only, and never in a trace.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// The span of a request. Nothing of the query string, the body or a header but the request id is kept: they may hold
/// secrets or a person's words.
fn span_of(request: &ServiceRequest, id: &RequestId, route: &str) -> Span {
    if PROBES.contains(&route) {
        return tracing::debug_span!(
            "request",
            request_id = id.as_str(),
            http.method = request.method().as_str(),
            http.route = route,
            http.status = Empty,
            user.id = Empty
        );
    }
    tracing::info_span!(
        "request",
        otel.kind = "server",
        request_id = id.as_str(),
        http.method = request.method().as_str(),
        http.route = route,
        http.status = Empty,
        user.id = Empty
    )
}

/// Measures the request when it is dropped, which is when its answer has been handed over or given up.
struct End {
    watch: Option<Watch>,
    began: Instant,
    route: Cow<'static, str>,
    method: Method,
    status: StatusCode,
    span: Span,
}

impl Drop for End {
    fn drop(&mut self) {
        let Some(watch) = &self.watch else { return };
        let labels = [&*self.route, self.method.as_str(), self.status.as_str()];
        watch.requests.with_label_values(&labels).inc();
        let seconds = self.began.elapsed().as_secs_f64();
        watch.seconds.with_label_values(&labels).observe(seconds);
    }
}

pin_project! {
    /// An answer's body, within the request's span.
    pub struct Watched<B> {
        #[pin]
        body: B,
        end: End,
    }
}

impl<B: MessageBody> MessageBody for Watched<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let body = this.body;
        this.end.span.in_scope(|| body.poll_next(cx))
    }
}

/// `GET /metrics`: everything in the registry that is the server's app data.
pub async fn metrics(registry: Data<Registry>) -> HttpResponse {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => HttpResponse::Ok().content_type(TEXT_FORMAT).body(text),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            HttpResponse::InternalServerError().finish()
        }
    }
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
