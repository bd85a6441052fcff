//! What is computed now and then and not for a post: trends and insights. Every worker tries; that together they do it
//! as often as one is `domain`'s matter. It runs beside the sweeper, whose posts are not to wait for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{Ctx, Error, insights, trends};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use tokio_util::sync::CancellationToken;

use crate::{
    jobs::Outcome,
    outage::{self, Outage},
    slow::SlowJobs,
};

/// Between two tries; what is computed how often is said where it is computed.
const PAUSE: Duration = Duration::from_secs(10);
/// Upper bounds in seconds: from a look that finds nothing to do to the minute that a statement may take.
const RUN_BUCKETS: [f64; 10] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// Something that is computed now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Trends,
    Insights,
}

impl Job {
    const ALL: [Self; 2] = [Self::Trends, Self::Insights];

    /// The word used in metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::Trends => "trends",
            Self::Insights => "insights",
        }
    }

    /// What it does, for the log.
    fn what(self) -> &'static str {
        match self {
            Self::Trends => "computing the trends",
            Self::Insights => "computing insights",
        }
    }

    /// Does it if it is time; answers whether there was anything to do.
    async fn run(self, ctx: &Ctx) -> domain::Result<bool> {
        match self {
            Self::Trends => trends::recompute(ctx).await,
            Self::Insights => insights::recompute(ctx).await,
        }
    }
}

/// Computes until told to stop.
pub struct Schedule {
    ctx: Ctx,
    database: Arc<Outage>,
    slow: SlowJobs,
    jobs: Vec<(Job, Outage)>,
    runs: IntCounterVec,
    seconds: HistogramVec,
}

impl Schedule {
    /// A schedule that has not computed yet.
    ///
    /// # Errors
    /// When the registry holds its metrics already.
    pub fn new(
        ctx: Ctx,
        database: Arc<Outage>,
        slow: SlowJobs,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let runs = IntCounterVec::new(
            Opts::new(
                "scheduled_runs_total",
                "Tries to compute what is computed now and then, by what came of them: done, nothing (to do, or another \
                 worker at it), away (PostgreSQL), error (a fault of ours)",
            ),
            &["job", "outcome"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("scheduled_run_seconds", "Time that these tries took")
                .buckets(RUN_BUCKETS.to_vec()),
            &["job"],
        )?;
        registry.register(Box::new(runs.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        for job in Job::ALL {
            for outcome in [
                Outcome::Done,
                Outcome::Nothing,
                Outcome::Away,
                Outcome::Error,
            ] {
                runs.with_label_values(&[job.as_str(), outcome.as_str()]);
            }
            seconds.with_label_values(&[job.as_str()]);
        }
        Ok(Self {
            ctx,
            database,
            slow,
            jobs: Job::ALL.map(|job| (job, Outage::new(job.what()))).into(),
            runs,
            seconds,
        })
    }

    /// Computes again and again; no failure ends it. A stop does not wait: what is not committed is computed by another.
    pub async fn run(self, stop: CancellationToken) {
        let forever = async {
            loop {
                for (job, outage) in &self.jobs {
                    self.try_at(*job, outage).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = forever => {}
            () = stop.cancelled() => {}
        }
    }

    async fn try_at(&self, job: Job, outage: &Outage) {
        let start = Instant::now();
        let result = job.run(&self.ctx).await;
        let outcome = match &result {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::Nothing,
            Err(Error::Unavailable { .. }) => Outcome::Away,
            Err(_) => Outcome::Error,
        };
        let (name, took) = (job.as_str(), start.elapsed());
        self.runs.with_label_values(&[name, outcome.as_str()]).inc();
        self.seconds
            .with_label_values(&[name])
            .observe(took.as_secs_f64());
        self.slow.note(name, took);
        outage::note(&self.database, outage, result);
    }
}
