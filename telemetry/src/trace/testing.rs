//! Spans of this process kept in memory, for the programs' tests.

use std::{collections::BTreeMap, sync::OnceLock, time::SystemTime};

use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{Ids, SAMPLER, Spans, layer, shown};

/// A finished span as it would be sent.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What it is called.
    pub name: String,
    /// Its number, 16 hexadecimal digits.
    pub id: String,
    /// Its parent's; zeros where there is none.
    pub parent: String,
    /// What it is, such as `Server`.
    pub kind: String,
    /// Its fields, as text.
    pub fields: BTreeMap<String, String>,
    /// The traces of the spans that it is linked to.
    pub links: Vec<String>,
    /// `Unset`, `Ok` or `Error`.
    pub status: String,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
}

/// The spans that were kept.
#[derive(Clone, Debug)]
pub struct Kept(InMemorySpanExporter);

/// Hardly a trace is kept by chance, and for certain those whose number's second half is all zeros and a one.
pub const SHARE: f64 = 0.000_001;

/// Keeps the spans of chosen traces ([`SHARE`]) for the rest of this process, whose subscriber this installs. Called
/// again it answers the same.
///
/// # Panics
/// When there is another subscriber.
pub fn keep() -> Kept {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    KEPT.get_or_init(|| {
        let (spans, kept) = layered();
        let installed = tracing_subscriber::registry().with(spans).try_init();
        #[expect(clippy::expect_used, reason = "a test that cannot go on ends")]
        installed.expect("no other subscriber");
        let _once = SAMPLER.set(Sampler::TraceIdRatioBased(SHARE));
        kept
    })
    .clone()
}

/// The layer that keeps spans, and what it keeps.
pub(crate) fn layered() -> (Spans, Kept) {
    let kept = Kept(InMemorySpanExporter::default());
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(kept.clone())
        .with_sampler(Sampler::AlwaysOn)
        .with_id_generator(Ids::default())
        .build();
    (layer(&provider), kept)
}

impl Kept {
    /// The spans of a trace that have ended, in the order of their beginnings.
    ///
    /// # Panics
    /// Never: nothing panics that holds them.
    #[must_use]
    pub fn of(&self, trace: &str) -> Vec<Finished> {
        #[expect(clippy::expect_used, reason = "a test that cannot go on ends")]
        let all = self.0.get_finished_spans().expect("spans");
        let mut spans: Vec<Finished> = all
            .into_iter()
            .filter(|span| span.span_context.trace_id().to_string() == trace)
            .map(finished)
            .collect();
        spans.sort_by_key(|span| span.began);
        spans
    }
}

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.export(shown::spans(batch)).await
    }
}

fn finished(span: SpanData) -> Finished {
    let fields = span.attributes.into_iter();
    let links = span.links.links.into_iter();
    let status = format!("{:?}", span.status);
    Finished {
        name: span.name.into_owned(),
        id: span.span_context.span_id().to_string(),
        parent: span.parent_span_id.to_string(),
        kind: format!("{:?}", span.span_kind),
        fields: fields
            .map(|field| (field.key.to_string(), field.value.to_string()))
            .collect(),
        links: links
            .map(|link| link.span_context.trace_id().to_string())
            .collect(),
        status: status
            .split([' ', '{'])
            .next()
            .unwrap_or_default()
            .to_owned(),
        began: span.start_time,
        ended: span.end_time,
    }
}
