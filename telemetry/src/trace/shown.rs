//! What a finished span looks like outside: statements as spans of their own, names and fields as OpenTelemetry's
//! conventions have them (<https://opentelemetry.io/docs/specs/semconv/>). Done by the thread that sends the spans, so
//! that no request pays for it, and so that log lines keep their names.

use std::time::Duration;

use opentelemetry::{
    Key, KeyValue, Value,
    trace::{Event, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};

use super::STATEMENTS;

/// The spans as they are sent.
pub(super) fn spans(finished: Vec<SpanData>) -> Vec<SpanData> {
    let mut spans = Vec::with_capacity(2 * finished.len());
    for mut span in finished {
        let events = std::mem::take(&mut span.events.events);
        let (statements, events) = events.into_iter().partition(is_statement);
        span.events.events = events;
        let statements: Vec<Event> = statements;
        spans.extend(statements.into_iter().map(|told| statement(&span, told)));
        if span.span_kind == SpanKind::Server {
            describe_request(&mut span);
        }
        spans.push(span);
    }
    spans
}

fn is_statement(event: &Event) -> bool {
    let told = |attribute: &KeyValue| {
        attribute.key.as_str() == "target" && attribute.value.as_str() == STATEMENTS
    };
    event.attributes.iter().any(told)
}

/// What sqlx told at a statement's end, as a span. Its text has placeholders where the values are.
fn statement(within: &SpanData, told: Event) -> SpanData {
    let mut name = String::new();
    let mut took = Duration::ZERO;
    let mut attributes = vec![KeyValue::new("db.system.name", "postgresql")];
    for KeyValue { key, value, .. } in told.attributes {
        let plain = value.as_str();
        match key.as_str() {
            "summary" => name = plain.trim_end_matches(" …").to_owned(),
            "db.statement" if !plain.trim().is_empty() => {
                let text: Vec<&str> = plain.split_whitespace().collect();
                attributes.push(KeyValue::new("db.query.text", text.join(" ")));
            }
            "elapsed_secs" => {
                if let Value::F64(seconds) = value {
                    took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                }
            }
            "rows_returned" => attributes.extend(whole("db.response.returned_rows", &value)),
            _ => {}
        }
    }
    let context = &within.span_context;
    SpanData {
        span_context: SpanContext::new(
            context.trace_id(),
            RandomIdGenerator::default().new_span_id(),
            context.trace_flags(),
            false,
            TraceState::default(),
        ),
        parent_span_id: context.span_id(),
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        name: name.into(),
        start_time: told.timestamp.checked_sub(took).unwrap_or(told.timestamp),
        end_time: told.timestamp,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: within.instrumentation_scope.clone(),
    }
}

/// A request's name and fields, and that it failed if its status says so.
fn describe_request(span: &mut SpanData) {
    let (mut method, mut route, mut status) = (None, None, None);
    for attribute in &mut span.attributes {
        match attribute.key.as_str() {
            "http.method" => {
                method = Some(attribute.value.as_str().into_owned());
                attribute.key = Key::from_static_str("http.request.method");
            }
            "http.route" => route = Some(attribute.value.as_str().into_owned()),
            "http.status" => {
                if let Some(known) = whole("http.response.status_code", &attribute.value) {
                    *attribute = known;
                }
                status = attribute.value.as_str().parse::<u16>().ok();
            }
            _ => {}
        }
    }
    if let (Some(method), Some(route)) = (method, route) {
        span.name = format!("{method} {route}").into();
    }
    if status.is_some_and(|status| status >= 500) && span.status == Status::Unset {
        span.status = Status::error("");
    }
}

/// A whole number, which `tracing` hands over as text when it is unsigned.
fn whole(name: &'static str, value: &Value) -> Option<KeyValue> {
    let number: i64 = value.as_str().parse().ok()?;
    Some(KeyValue::new(name, number))
}
