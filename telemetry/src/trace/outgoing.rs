//! How finished spans leave the process: gathered, at most so many, and sent together by a thread of their own. What
//! finds no room is dropped and counted; what is lost is said once a minute and not once a delivery.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use prometheus::{IntCounter, IntCounterVec, Opts};

use super::shown;

/// Spans that wait to be sent at most, some 2 MB of them.
const ROOM: usize = 4_096;
/// How long a span waits for others at most.
const WAIT: Duration = Duration::from_secs(1);
/// Between two complaints that spans are lost.
const SILENCE: Duration = Duration::from_secs(60);

static SPANS: OnceLock<IntCounterVec> = OnceLock::new();

/// `trace_spans_total{outcome}`, where traces are on.
pub(crate) fn spans_total() -> Option<&'static IntCounterVec> {
    SPANS.get()
}

/// What gathers spans and has them sent by `exporter`.
///
/// # Errors
/// When the metric cannot be made.
pub(super) fn processor(
    exporter: impl SpanExporter + 'static,
) -> anyhow::Result<impl SpanProcessor + 'static> {
    let spans = IntCounterVec::new(
        Opts::new(
            "trace_spans_total",
            "Finished spans by what became of them: sent, failed (the collector did not take them), dropped (too many \
             waited)",
        ),
        &["outcome"],
    )?;
    let spans = SPANS.get_or_init(|| spans);
    let of = |outcome| spans.with_label_values(&[outcome]);
    Ok(bounded(
        exporter,
        Flow {
            waiting: AtomicUsize::new(0),
            sent: of("sent"),
            failed: of("failed"),
            dropped: of("dropped"),
            said: Mutex::default(),
        },
    ))
}

fn bounded(exporter: impl SpanExporter + 'static, flow: Flow) -> Bounded {
    let flow = Arc::new(flow);
    let outgoing = Outgoing {
        exporter,
        flow: Arc::clone(&flow),
    };
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(ROOM)
        .with_scheduled_delay(WAIT)
        .build();
    let batch = BatchSpanProcessor::builder(outgoing)
        .with_batch_config(batches)
        .build();
    Bounded { batch, flow }
}

#[derive(Debug)]
struct Flow {
    /// Spans that are finished and of which it is not known yet whether the collector took them.
    waiting: AtomicUsize,
    sent: IntCounter,
    failed: IntCounter,
    dropped: IntCounter,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    at: Option<Instant>,
    /// Spans known to be lost by then.
    lost: u64,
}

impl Flow {
    fn lost(&self) -> u64 {
        self.failed.get() + self.dropped.get()
    }

    /// Says that spans are lost, if some are that were not spoken of and it was not said a moment ago.
    fn complain(&self, why: Option<&OTelSdkError>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let spans = self.lost() - said.lost;
        if spans == 0 || said.at.is_some_and(|at| at.elapsed() < SILENCE) {
            return;
        }
        *said = Said {
            at: Some(Instant::now()),
            lost: self.lost(),
        };
        let why = why.map_or("there are too many".to_owned(), ToString::to_string);
        tracing::warn!(spans, error = why, "spans of traces are lost");
    }

    /// Says what is lost at the end, however shortly ago it was said before: what still waits will not be sent.
    fn last_words(&self, why: Option<&OTelSdkError>) {
        let waiting = self.waiting.load(Ordering::Relaxed);
        self.dropped.inc_by(waiting as u64);
        self.said.lock().unwrap_or_else(PoisonError::into_inner).at = None;
        self.complain(why);
    }
}

/// Takes spans from those who finish them, as long as there is room. It keeps count itself because the SDK, whose room
/// is as large, tells nobody what it drops.
#[derive(Debug)]
struct Bounded {
    batch: BatchSpanProcessor,
    flow: Arc<Flow>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.flow.waiting.fetch_add(1, Ordering::Relaxed) >= ROOM {
            self.flow.waiting.fetch_sub(1, Ordering::Relaxed);
            return self.flow.dropped.inc();
        }
        self.batch.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batch.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let outcome = self.batch.shutdown_with_timeout(timeout);
        self.flow.last_words(outcome.as_ref().err());
        outcome
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batch.set_resource(resource);
    }
}

/// Hands spans to the exporter, on the thread that does so, and notes what became of them.
#[derive(Debug)]
struct Outgoing<E> {
    exporter: E,
    flow: Arc<Flow>,
}

impl<E: SpanExporter> SpanExporter for Outgoing<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let outcome = self.exporter.export(shown::spans(batch)).await;
        self.flow.waiting.fetch_sub(count, Ordering::Relaxed);
        let counter = match &outcome {
            Ok(()) => &self.flow.sent,
            Err(_) => &self.flow.failed,
        };
        counter.inc_by(count as u64);
        self.flow.complain(outcome.as_ref().err());
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// A collector that lets a delivery wait until its gate is open, and then answers.
    #[derive(Clone, Debug, Default)]
    struct Collector {
        gate: Arc<(Mutex<bool>, Condvar)>,
        refuses: bool,
    }

    impl Collector {
        fn open(&self) {
            *self.gate.0.lock().unwrap() = true;
            self.gate.1.notify_all();
        }
    }

    impl SpanExporter for Collector {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let shut = self.gate.0.lock().unwrap();
            drop(self.gate.1.wait_while(shut, |open| !*open).unwrap());
            if self.refuses {
                return Err(OTelSdkError::InternalFailure("it is away".into()));
            }
            Ok(())
        }
    }

    fn flow() -> Flow {
        let counter = || IntCounter::new("spans", "spans").unwrap();
        Flow {
            waiting: AtomicUsize::new(0),
            sent: counter(),
            failed: counter(),
            dropped: counter(),
            said: Mutex::default(),
        }
    }

    fn finish(provider: &SdkTracerProvider, count: usize) {
        let tracer = provider.tracer("test");
        for _ in 0..count {
            drop(tracer.start("span"));
        }
    }

    #[test]
    fn a_collector_that_hangs_holds_nobody_up_and_what_finds_no_room_is_counted() {
        let collector = Collector::default();
        let bounded = bounded(collector.clone(), flow());
        let flow = Arc::clone(&bounded.flow);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(bounded)
            .build();
        // Comes to an end at all only if nothing waits for the collector.
        let count = 3 * ROOM;
        finish(&provider, count);
        assert!(flow.dropped.get() > 0);
        collector.open();
        provider.shutdown().unwrap();
        assert_eq!(flow.sent.get() + flow.dropped.get(), count as u64);
        assert_eq!(flow.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn spans_that_a_collector_refuses_are_counted_and_spoken_of_once() {
        let collector = Collector {
            refuses: true,
            ..Collector::default()
        };
        collector.open();
        let bounded = bounded(collector, flow());
        let flow = Arc::clone(&bounded.flow);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(bounded)
            .build();
        for failed in [3, 6] {
            finish(&provider, 3);
            assert!(provider.force_flush().is_err());
            assert_eq!((flow.failed.get(), flow.sent.get()), (failed, 0));
            assert_eq!(flow.said.lock().unwrap().lost, 3);
        }
    }
}
