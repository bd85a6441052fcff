//! Traces by OpenTelemetry: where one begins, how it goes on in the next process, and which spans belong to it. What
//! spans there are is said where the work is done, with `tracing`'s macros; how they leave the process is in `outgoing.rs`,
//! what they look like outside in `shown.rs`.
//!
//! A trace is kept or not as a whole, and that is decided before its first span is made: [`begin`] and [`resume`] say
//! that a span is the first one here, and any other span is part of a trace only within one that is. So what is not kept
//! costs a look at a thread's own memory, and with traces off nothing is installed at all.

mod outgoing;
mod shown;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
#[cfg(feature = "actix")]
mod tests;

use std::{cell::Cell, collections::HashMap, sync::OnceLock, thread, time::Duration};

use anyhow::Context as _;
use opentelemetry::{
    KeyValue,
    propagation::TextMapPropagator as _,
    trace::{SpanId, SpanKind, TraceContextExt as _, TraceId, TracerProvider as _},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{
        IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, SdkTracerProvider,
        ShouldSample as _,
    },
};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use tracing::{
    Level, Metadata, Span, Subscriber, level_filters::LevelFilter, subscriber::Interest,
};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, Filter},
    registry::LookupSpan,
};
use uuid::Uuid;

pub(crate) use outgoing::spans_total;

use crate::secrets;

/// The variable that carries what a collector wants to be told with each delivery; may be in a file.
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
/// How long a collector may take for one delivery.
const DELIVERY: Duration = Duration::from_secs(5);
/// How long the end of a program waits for its last spans to be taken.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// The crates whose spans and events traces are made of.
const OURS: [&str; 5] = ["api", "domain", "llm_service", "telemetry", "worker"];
/// Where sqlx tells of statements. It has no spans for them; `shown.rs` makes spans of what it tells.
const STATEMENTS: &str = "sqlx::query";

/// The options of traces, named as OpenTelemetry names them. By default there are none.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Traces")]
pub struct TraceConfig {
    /// The collector that traces go to, by OTLP over HTTP, such as http://127.0.0.1:4318. Empty: no traces, which costs
    /// nothing.
    #[arg(long, env)]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// What the program is called in traces. Empty: what it is called in logs.
    #[arg(long, env)]
    pub otel_service_name: Option<String>,
    /// The share of requests that are traced, from 0 to 1.
    #[arg(long, env, default_value_t = 1.0, value_parser = crate::share::parse)]
    pub otel_traces_sampler_arg: f64,
}

impl TraceConfig {
    /// Where deliveries go; `None` where traces are off.
    fn address(&self) -> anyhow::Result<Option<Url>> {
        const NAME: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let Some(text) = given(self.otel_exporter_otlp_endpoint.as_deref()) else {
            return Ok(None);
        };
        let mut url = Url::parse(text)
            .with_context(|| format!("{NAME} is not an address, such as http://127.0.0.1:4318"))?;
        anyhow::ensure!(
            matches!(url.scheme(), "http" | "https"),
            "{NAME} begins with {}://; it must be http:// or https://, as OTLP is spoken over HTTP",
            url.scheme()
        );
        // It may be repeated in a log.
        anyhow::ensure!(
            url.username().is_empty() && url.password().is_none() && url.query().is_none(),
            "{NAME} must hold neither a password nor a query; OTEL_EXPORTER_OTLP_HEADERS carries secrets"
        );
        let folder = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{folder}/v1/traces"));
        Ok(Some(url))
    }
}

/// A text that is there; in configuration files an option is often given and empty.
fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// Which traces are kept, once traces are on.
static SAMPLER: OnceLock<Sampler> = OnceLock::new();

thread_local! {
    /// The trace of the span that is being made, while [`begin`] or [`resume`] makes its first one here.
    static FIRST_OF: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// The layer that makes traces of spans.
pub(crate) type Spans = Box<dyn Layer<Registry> + Send + Sync>;

/// The traces of a running program. Dropped, it waits a moment for the last spans to be taken.
pub(crate) struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that does not take them in time does not keep the program from ending.
        let _in_time = self.0.shutdown_with_timeout(LAST_WORDS);
    }
}

/// Turns traces on if there is a collector to send them to.
///
/// # Errors
/// A sentence that names the option that is wrong.
pub(crate) fn start(
    service: &'static str,
    config: &TraceConfig,
) -> anyhow::Result<Option<(Spans, Traces)>> {
    let Some(address) = config.address()? else {
        return Ok(None);
    };
    let name = given(config.otel_service_name.as_deref()).unwrap_or(service);
    let processor = outgoing::processor(exporter(address)?)?;
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        // What is not kept does not get so far.
        .with_sampler(Sampler::AlwaysOn)
        .with_id_generator(Ids::default())
        .with_resource(resource(name))
        .build();
    let spans = layer(&provider);
    let _once = SAMPLER.set(Sampler::TraceIdRatioBased(config.otel_traces_sampler_arg));
    Ok(Some((spans, Traces(provider))))
}

/// Delivers spans. Made and used outside of every asynchronous runtime: the SDK has a thread of its own for it, so that
/// no request ever waits for a collector.
fn exporter(address: Url) -> anyhow::Result<SpanExporter> {
    let host = address.host_str().unwrap_or_default();
    let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let client = thread::spawn(move || {
        let mut client = reqwest::blocking::Client::builder().timeout(DELIVERY);
        if is_here {
            client = client.no_proxy();
        }
        client.build()
    });
    let client = client
        .join()
        .map_err(|_| anyhow::anyhow!("the HTTP client for traces cannot be made"))??;
    let given = secrets::secret(HEADERS)?;
    SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_headers(headers(given.as_deref().unwrap_or_default())?)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(DELIVERY)
        .with_endpoint(address.as_str())
        .build()
        .context("traces cannot be sent to OTEL_EXPORTER_OTLP_ENDPOINT")
}

/// What goes along with each delivery, such as a collector's key, as OpenTelemetry writes it in [`HEADERS`]:
/// `name=value,name=value`, with values percent-encoded.
fn headers(text: &str) -> anyhow::Result<HashMap<String, String>> {
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            // Whatever is wrong with it, it may be a secret.
            let (name, value) = pair
                .split_once('=')
                .with_context(|| format!("{HEADERS} is not of the form name=value,name=value"))?;
            let value = percent_decode_str(value.trim())
                .decode_utf8()
                .with_context(|| format!("{HEADERS} holds a value that is no text"))?;
            Ok((name.trim().to_owned(), value.into_owned()))
        })
        .collect()
}

/// Who made the spans. OTEL_RESOURCE_ATTRIBUTES adds to it.
fn resource(service: &str) -> Resource {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    Resource::builder()
        .with_service_name(service.to_owned())
        .with_attributes([
            KeyValue::new("service.namespace", "linnet"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new(
                "service.instance.id",
                format!("{host}-{}", std::process::id()),
            ),
            KeyValue::new("host.name", host.into_owned()),
        ])
        .build()
}

fn layer(provider: &SdkTracerProvider) -> Spans {
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("linnet"))
        // A span's parent is known from `tracing`; all this would add to every span.
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_threads(false)
        .with_location(false)
        .with_target(false)
        .with_filter(Traced)
        .boxed()
}

/// Makes the span of a request or a job, with `make`, as the first one of a trace, if this trace is kept. Its number is
/// the request's id if that has the form of one; otherwise it is random and the id is a field of the span.
pub fn begin(request_id: &str, make: impl FnOnce() -> Span) -> Span {
    let Some(sampler) = SAMPLER.get() else {
        return make();
    };
    let trace = trace_of(request_id).unwrap_or_else(|| RANDOM.with(IdGenerator::new_trace_id));
    if is_kept(sampler, trace) {
        first_of(trace, make, |_| {})
    } else {
        make()
    }
}

/// Makes the span with which the trace of another process goes on in this one, as its W3C `traceparent` says. What is
/// none, or of a trace that is not kept, is as good as nothing.
pub fn resume(traceparent: &str, make: impl FnOnce() -> Span) -> Span {
    if SAMPLER.get().is_none() {
        return make();
    }
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let before = TraceContextPropagator::new()
        .extract_with_context(&opentelemetry::Context::new(), &carrier);
    let parent = before.span().span_context().clone();
    if !parent.is_valid() || !parent.is_sampled() {
        return make();
    }
    first_of(parent.trace_id(), make, |span| {
        // It was made a moment ago; with another subscriber in its place there is no trace to belong to.
        let _never_started = span.set_parent(before);
    })
}

fn first_of(trace: TraceId, make: impl FnOnce() -> Span, prepare: impl FnOnce(&Span)) -> Span {
    FIRST_OF.set(Some(trace));
    let span = make();
    prepare(&span);
    // It is started here and not when it is first needed, for only here is it known which trace it belongs to.
    let _started = span.context();
    FIRST_OF.set(None);
    span
}

thread_local! {
    static RANDOM: RandomIdGenerator = RandomIdGenerator::default();
}

/// The trace whose number is this request id: 32 hexadecimal digits, as NGINX makes them, or a UUID's form of them.
fn trace_of(request_id: &str) -> Option<TraceId> {
    let number = Uuid::try_parse(request_id).ok()?.as_u128();
    (number != 0).then(|| TraceId::from(number))
}

/// Whether a trace is kept, which depends on its number alone: a job whose request is forgotten is decided on alike.
fn is_kept(sampler: &Sampler, trace: TraceId) -> bool {
    let result = sampler.should_sample(None, trace, "", &SpanKind::Server, &[], &[]);
    result.decision == SamplingDecision::RecordAndSample
}

/// Gives the first span of a trace the number that was chosen for the trace.
#[derive(Clone, Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        FIRST_OF.get().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Lets through what belongs to a trace that is kept.
struct Traced;

impl<S> Filter<S> for Traced
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, about: &Metadata<'_>, ctx: &Context<'_, S>) -> bool {
        // A current span that this filter let through belongs to such a trace.
        is_ours(about) && (FIRST_OF.get().is_some() || ctx.lookup_current().is_some())
    }

    fn callsite_enabled(&self, about: &'static Metadata<'static>) -> Interest {
        if is_ours(about) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
}

/// Our own spans, what is logged within them, and the statements that sqlx tells of.
fn is_ours(about: &Metadata<'_>) -> bool {
    let target = about.target();
    if target == STATEMENTS {
        return *about.level() <= Level::DEBUG;
    }
    let most = if about.is_span() {
        Level::DEBUG
    } else {
        Level::INFO
    };
    let part = target.split("::").next().unwrap_or_default();
    *about.level() <= most && OURS.contains(&part)
}

#[cfg(test)]
mod options_tests {
    use super::*;

    fn config(endpoint: &str) -> TraceConfig {
        TraceConfig {
            otel_exporter_otlp_endpoint: Some(endpoint.to_owned()),
            otel_service_name: None,
            otel_traces_sampler_arg: 1.0,
        }
    }

    #[test]
    fn an_endpoint_is_an_http_address_without_secrets_or_it_is_refused() {
        for (given, wanted) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://jaeger:4318/", "http://jaeger:4318/v1/traces"),
            (
                "https://a.example/otlp/",
                "https://a.example/otlp/v1/traces",
            ),
        ] {
            let address = config(given).address().unwrap().unwrap();
            assert_eq!(address.as_str(), wanted);
        }
        for off in ["", "  "] {
            assert!(config(off).address().unwrap().is_none());
        }
        for wrong in [
            "jaeger",
            "grpc://jaeger:4317",
            "http://me:hidden@jaeger:4318",
            "http://me:hidden@jaeger:port",
            "http://jaeger:4318?key=hidden",
        ] {
            let refusal = format!("{:#}", config(wrong).address().unwrap_err());
            assert!(
                refusal.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT"),
                "{refusal}"
            );
            assert!(!refusal.contains("hidden"), "{refusal}");
        }
    }

    #[test]
    fn what_a_collector_wants_to_be_told_is_read_and_not_repeated() {
        assert_eq!(headers("").unwrap(), HashMap::new());
        let two = headers("x-key = a%20b%2C , authorization=Bearer hidden=").unwrap();
        assert_eq!(two["x-key"], "a b,");
        assert_eq!(two["authorization"], "Bearer hidden=");
        for wrong in ["hidden", "x-key=%ff"] {
            let refusal = format!("{:#}", headers(wrong).unwrap_err());
            assert!(
                refusal.starts_with(HEADERS) && !refusal.contains("hidden"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn a_request_id_with_the_form_of_a_traces_number_is_one() {
        let hex = "0af7651916cd43dd8448eb211c80319c";
        for same in [
            hex,
            "0AF7651916CD43DD8448EB211C80319C",
            "0af76519-16cd-43dd-8448-eb211c80319c",
        ] {
            assert_eq!(trace_of(same).unwrap().to_string(), hex, "{same}");
        }
        for none in [
            "",
            "e2e-journey-7",
            "0af7651916cd43dd8448eb211c80319",
            "00000000000000000000000000000000",
        ] {
            assert!(trace_of(none).is_none(), "{none}");
        }
    }

    #[test]
    fn a_share_of_the_traces_is_kept_and_whoever_chooses_zeros_is_among_them() {
        let sampler = Sampler::TraceIdRatioBased(0.25);
        let random = RandomIdGenerator::default();
        let kept = (0..4_000)
            .filter(|_| is_kept(&sampler, random.new_trace_id()))
            .count();
        // Ten standard deviations either way.
        assert!((725..=1_275).contains(&kept), "{kept} of 4000");
        let chosen = trace_of("0af7651916cd43dd0000000000000001").unwrap();
        assert!(is_kept(&Sampler::TraceIdRatioBased(0.000_001), chosen));
        assert!(!is_kept(&Sampler::TraceIdRatioBased(0.0), chosen));
    }
}
