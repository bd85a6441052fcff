//! What is done for a hint from the queue, one file for each kind of job, and what all kinds count.

pub mod analyze;

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

/// Upper bounds in seconds: a hint with nothing to do takes a millisecond, a large model on a small machine a minute.
const RUN_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its work is done.
    Done,
    /// There was nothing to do: done already, somebody else's, out of date or gone.
    Nothing,
    /// It failed, which was counted; it will be tried again.
    Failed,
    /// It failed too often and was given up.
    Dead,
    /// It was given back untouched, because something it needs is away or the worker stops.
    Away,
    /// A fault of ours.
    Error,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Done,
        Self::Nothing,
        Self::Failed,
        Self::Dead,
        Self::Away,
        Self::Error,
    ];

    /// The word used in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Away => "away",
            Self::Error => "error",
        }
    }
}

/// What every kind of job counts; one set per registry.
#[derive(Clone, Debug)]
pub struct JobMetrics {
    processed: IntCounterVec,
    run: HistogramVec,
    concurrency: IntGaugeVec,
}

impl JobMetrics {
    /// # Errors
    /// When the registry holds these metrics already.
    pub fn new(registry: &Registry) -> anyhow::Result<Self> {
        let processed = IntCounterVec::new(
            Opts::new(
                "jobs_processed_total",
                "Hints this worker has dealt with, by what came of them: done, nothing (to do), failed, dead (given \
                 up), away (given back), error (a fault of ours)",
            ),
            &["queue", "outcome"],
        )?;
        let run = HistogramVec::new(
            HistogramOpts::new(
                "job_run_seconds",
                "Time that jobs kept one of the worker's places busy, without waiting for what was away",
            )
            .buckets(RUN_BUCKETS.to_vec()),
            &["queue"],
        )?;
        let concurrency = IntGaugeVec::new(
            Opts::new("worker_concurrency", "Jobs that this worker does at once"),
            &["queue"],
        )?;
        registry.register(Box::new(processed.clone()))?;
        registry.register(Box::new(run.clone()))?;
        registry.register(Box::new(concurrency.clone()))?;
        Ok(Self {
            processed,
            run,
            concurrency,
        })
    }

    /// The metrics of one queue, every series there from the start, so that rates and alerts have something to stand
    /// on.
    #[must_use]
    pub fn queue(&self, queue: &'static str, concurrency: u16) -> QueueMetrics {
        for outcome in Outcome::ALL {
            self.processed.with_label_values(&[queue, outcome.as_str()]);
        }
        self.concurrency
            .with_label_values(&[queue])
            .set(concurrency.into());
        QueueMetrics {
            queue,
            processed: self.processed.clone(),
            run: self.run.with_label_values(&[queue]),
        }
    }
}

/// What the jobs of one queue count.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    queue: &'static str,
    processed: IntCounterVec,
    run: Histogram,
}

impl QueueMetrics {
    /// Counts a hint that has been dealt with.
    pub fn processed(&self, outcome: Outcome) {
        self.processed
            .with_label_values(&[self.queue, outcome.as_str()])
            .inc();
    }

    /// Counts time that a place was busy.
    pub fn ran(&self, time: Duration) {
        self.run.observe(time.as_secs_f64());
    }
}
