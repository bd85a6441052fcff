//! The `llm_*` series. The HTTP series and the process's own are telemetry's.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Upper bounds in seconds: a short post takes the small model about 0.3 s, a long one a 1 B model some seconds.
const VERDICT_BUCKETS: [f64; 11] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0, 8.0, 20.0];
const BATCH_BUCKETS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Handles to the series; cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    tokens: IntCounterVec,
    refused: IntCounterVec,
    info: IntGaugeVec,
    /// Texts per analyze request, observed when the model begins with it.
    pub batch_size: Histogram,
    /// Requests that the model is working on now (those that wait are in `queue_depth`).
    pub in_flight: IntGauge,
    /// Texts and posts to write that wait for the model.
    pub queue_depth: IntGauge,
    /// Seconds that the model took for one text, all its questions included, without the wait.
    pub verdict_seconds: Histogram,
}

impl Metrics {
    /// Makes the series and registers them.
    ///
    /// # Errors
    /// When the registry already holds them.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            tokens: IntCounterVec::new(
                Opts::new(
                    "llm_tokens_total",
                    "Tokens that the model read (prompt) and wrote (completion).",
                ),
                &["kind"],
            )?,
            refused: IntCounterVec::new(
                Opts::new(
                    "llm_requests_refused_total",
                    "Requests answered with 503, by reason.",
                ),
                &["reason"],
            )?,
            info: IntGaugeVec::new(
                Opts::new(
                    "llm_model_info",
                    "1 for the model and the prompts that answer now.",
                ),
                &["model", "prompt_version"],
            )?,
            batch_size: Histogram::with_opts(
                HistogramOpts::new("llm_batch_size", "Texts per analyze request.")
                    .buckets(BATCH_BUCKETS.to_vec()),
            )?,
            in_flight: IntGauge::new(
                "llm_requests_in_flight",
                "Requests that the model is working on.",
            )?,
            queue_depth: IntGauge::new("llm_queue_depth", "Texts that wait for the model.")?,
            verdict_seconds: Histogram::with_opts(
                HistogramOpts::new("llm_verdict_seconds", "Seconds of model time for one text.")
                    .buckets(VERDICT_BUCKETS.to_vec()),
            )?,
        };
        registry.register(Box::new(metrics.tokens.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.info.clone()))?;
        registry.register(Box::new(metrics.batch_size.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.queue_depth.clone()))?;
        registry.register(Box::new(metrics.verdict_seconds.clone()))?;
        // A rate over a series that appears late loses its first step, so the known ones exist from the start.
        metrics.count_tokens(0, 0);
        for reason in ["loading", "full", "waited", "stopping", "unusable"] {
            metrics.refused.with_label_values(&[reason]).inc_by(0);
        }
        Ok(metrics)
    }

    /// Counts tokens read and written.
    pub fn count_tokens(&self, prompt: usize, completion: usize) {
        self.tokens
            .with_label_values(&["prompt"])
            .inc_by(prompt as u64);
        self.tokens
            .with_label_values(&["completion"])
            .inc_by(completion as u64);
    }

    /// Counts a request answered with 503.
    pub fn count_refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// Names the model that answers from now on.
    pub fn name_model(&self, model: &str, prompt_version: &str) {
        self.info.reset();
        self.info.with_label_values(&[model, prompt_version]).set(1);
    }
}
