//! Traces across programs: what a span hands on to whoever goes on with its work. What a trace is and where it goes is
//! the programs' business (`telemetry`); here are only spans, made with `tracing`'s macros where the work is done.

use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The W3C `traceparent` of the current span; `None` when it belongs to no trace.
pub(crate) fn traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_sampled().then(|| {
        format!(
            "00-{}-{}-{:02x}",
            span.trace_id(),
            span.span_id(),
            span.trace_flags()
        )
    })
}
