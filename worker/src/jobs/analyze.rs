//! Judging a post: claim it, ask the language model, write the verdict. PostgreSQL keeps the state
//! (`domain::analysis`); a hint from the queue only says which post to look at, and may come twice or never.
//!
//! While the language model or PostgreSQL is away, hints are held and not used up: a worker's few hands hold one
//! each, the others wait in the queue, and the backlog goes on within seconds of the return.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    Ctx, Error,
    analysis::{self, Failure, Fate, Finished, MAX_ATTEMPTS, Polarity, Safety, Verdict},
    jobs::{ANALYZE, AnalyzePost},
    llm::{Llm, LlmError},
};
use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};
use telemetry::trace;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, Span, field::Empty};

use crate::{
    jobs::{JobMetrics, Outcome, QueueMetrics},
    outage::Outage,
    slow::SlowJobs,
};

/// How long a hint is held while something is away; then it goes back to the end of the queue, so that no job
/// outlives the queue's patience with it.
pub const HOLD: Duration = Duration::from_secs(30);
/// How often a held hint looks whether the language model is worth another try.
const LOOK: Duration = Duration::from_millis(100);
/// The wait after PostgreSQL failed, and the longest after the language model asked for one; its circuit breaker
/// spaces the tries beyond that.
const PAUSE: Duration = Duration::from_secs(1);
/// When the sweeper may offer a post that was released while its hint is still held; in case the holder dies.
const UNATTENDED: Duration = Duration::from_secs(5);
/// Upper bounds in seconds, from the small model on an idle stack to a backlog of half an hour.
const DELAY_BUCKETS: [f64; 16] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0,
    1800.0,
];

struct Metrics {
    queue: QueueMetrics,
    delay: Histogram,
    analyses: IntCounterVec,
}

impl Metrics {
    fn new(registry: &Registry, concurrency: u16) -> anyhow::Result<Self> {
        let delay = Histogram::with_opts(
            HistogramOpts::new(
                "analysis_delay_seconds",
                "Time from writing a post, or its new text, to its verdict",
            )
            .buckets(DELAY_BUCKETS.to_vec()),
        )?;
        let analyses = IntCounterVec::new(
            Opts::new("analyses_total", "Verdicts by kind"),
            &["polarity", "safety"],
        )?;
        registry.register(Box::new(delay.clone()))?;
        registry.register(Box::new(analyses.clone()))?;
        for polarity in [Polarity::Positive, Polarity::Neutral, Polarity::Negative] {
            for safety in [Safety::Ok, Safety::Dangerous] {
                analyses.with_label_values(&[polarity.as_str(), safety.as_str()]);
            }
        }
        Ok(Self {
            queue: JobMetrics::new(registry)?.queue(ANALYZE, concurrency),
            delay,
            analyses,
        })
    }
}

/// How an [`Analyzer`] works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose leases these are; no other process may call itself the same.
    pub owner: String,
    /// Posts judged at once.
    pub concurrency: u16,
    /// How long a claim lasts unless renewed.
    pub lease: Duration,
    /// Which jobs are named in the log.
    pub slow: SlowJobs,
}

/// The way to make an [`Analyzer`] stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Nothing new is begun, and held hints go back.
    pub begun: CancellationToken,
    /// What is under way is given back too.
    pub now: CancellationToken,
}

/// What comes before another try.
struct Pause(Duration);

/// Judges posts.
pub struct Analyzer {
    ctx: Ctx,
    llm: Llm,
    settings: Settings,
    metrics: Metrics,
    places: Arc<Semaphore>,
    running: TaskTracker,
    stop: Stop,
    database: Arc<Outage>,
    model: Outage,
}

impl Analyzer {
    /// # Errors
    /// When the registry holds one of its metrics already.
    pub fn new(
        ctx: Ctx,
        llm: Llm,
        settings: Settings,
        stop: Stop,
        database: Arc<Outage>,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            metrics: Metrics::new(registry, settings.concurrency)?,
            places: Arc::new(Semaphore::new(settings.concurrency.into())),
            running: TaskTracker::new(),
            database,
            model: Outage::new("the language model"),
            ctx,
            llm,
            settings,
            stop,
        })
    }

    /// Sees to one hint.
    ///
    /// The work is a task of its own: the queue's library drops what it runs whenever Redis fails, and a text being
    /// judged need not know of that. Hence the places too, since a new set of hints may come before the old is done.
    pub async fn handle(self: &Arc<Self>, job: AnalyzePost) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return;
        };
        let span = span_of(&job);
        let (analyzer, hint) = (Arc::clone(self), job.clone());
        let work = async move {
            let outcome = analyzer.see_to(&hint).await;
            Span::current().record("outcome", outcome.as_str());
            analyzer.metrics.queue.processed(outcome);
            drop(place);
        };
        let ended = self.running.spawn(work.instrument(span.clone())).await;
        if ended.is_err_and(|error| error.is_panic()) {
            self.panicked(&job).instrument(span).await;
        }
    }

    /// Waits until nothing is under way. Call it when no hint will come any more.
    pub async fn idle(&self) {
        self.running.close();
        self.running.wait().await;
    }

    async fn see_to(&self, job: &AnalyzePost) -> Outcome {
        let began = Instant::now();
        loop {
            let Pause(pause) = if self.stop.begun.is_cancelled() || began.elapsed() > HOLD {
                return self.give_back(job).await;
            } else if self.llm.is_away() {
                Pause(LOOK)
            } else {
                let started = Instant::now();
                let attempt = self.attempt(job).await;
                let took = started.elapsed();
                self.metrics.queue.ran(took);
                self.settings.slow.note(ANALYZE, took);
                match attempt {
                    Ok(outcome) => return outcome,
                    Err(pause) => pause,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.begun.cancelled() => {}
            }
        }
    }

    async fn attempt(&self, job: &AnalyzePost) -> Result<Outcome, Pause> {
        let Settings { owner, lease, .. } = &self.settings;
        let claim = match analysis::claim(&self.ctx, job, owner, *lease).await {
            Ok(claim) => claim,
            Err(error) => return self.stumbled(&error),
        };
        self.database.passed();
        let Some(claim) = claim else {
            return Ok(Outcome::Nothing);
        };
        let answer = tokio::select! {
            answer = self.llm.analyze(&claim.content, &job.request_id) => answer,
            () = self.lost(job) => return Ok(Outcome::Nothing),
            () = self.stop.now.cancelled() => {
                self.release(job, "its worker stopped", Duration::ZERO).await;
                return Ok(self.give_back(job).await);
            }
        };
        match answer {
            Ok(verdict) => {
                self.model.passed();
                self.finish(job, &verdict).await
            }
            Err(LlmError::Failed(why)) => {
                self.model.passed();
                self.fail(job, &why).await
            }
            Err(error @ LlmError::Silent) => {
                self.model.failed(&error);
                self.fail(job, &error.to_string()).await
            }
            Err(LlmError::Away { why, retry_after }) => {
                self.model.failed(&why);
                self.release(job, &why, UNATTENDED).await;
                let jitter = rand::random_range(0.75..1.25);
                Err(Pause(retry_after.clamp(LOOK, PAUSE).mul_f64(jitter)))
            }
        }
    }

    /// Renews the lease for as long as it is ours; returns when it is not any more.
    async fn lost(&self, job: &AnalyzePost) {
        let Settings { owner, lease, .. } = &self.settings;
        loop {
            tokio::time::sleep(*lease / 3).await;
            match analysis::renew(&self.ctx, job, owner, *lease).await {
                Ok(true) => self.database.passed(),
                Ok(false) => return,
                // The model may still answer, and the answer is written if nobody else's is.
                Err(error) => self.database.failed(&error),
            }
        }
    }

    /// Writes the verdict; it took the model some work, so PostgreSQL gets some time to come back.
    async fn finish(&self, job: &AnalyzePost, verdict: &Verdict) -> Result<Outcome, Pause> {
        let began = Instant::now();
        loop {
            match analysis::finish(&self.ctx, job, &self.settings.owner, verdict).await {
                Ok(Some(finished)) => {
                    self.database.passed();
                    if let Finished::First(waited) = finished {
                        self.metrics.delay.observe(waited.as_secs_f64());
                    }
                    let kind = [verdict.polarity.as_str(), verdict.safety.as_str()];
                    self.metrics.analyses.with_label_values(&kind).inc();
                    return Ok(Outcome::Done);
                }
                Ok(None) => return Ok(Outcome::Nothing),
                Err(error) if !is_away(&error) => {
                    // It would be the same the next time; that it counts ends it at some time.
                    // Readers see why a post is dead, so PostgreSQL's own words go to the log.
                    tracing::error!(%error, "a verdict cannot be stored");
                    return self.fail(job, "its verdict cannot be stored").await;
                }
                Err(error) => self.database.failed(&error),
            }
            if began.elapsed() > HOLD || self.stop.now.is_cancelled() {
                return Ok(self.give_back(job).await);
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.stop.now.cancelled() => {}
            }
        }
    }

    async fn fail(&self, job: &AnalyzePost, why: &str) -> Result<Outcome, Pause> {
        match analysis::fail(&self.ctx, job, &self.settings.owner, why).await {
            Ok(None) => Ok(Outcome::Nothing),
            Ok(Some(Failure {
                fate: Fate::Dead,
                attempts,
            })) => {
                tracing::error!(
                    error = why,
                    attempts,
                    "given up; `worker revive` tries it again"
                );
                Ok(Outcome::Dead)
            }
            Ok(Some(Failure {
                fate: Fate::Keeps,
                attempts,
            })) => {
                tracing::error!(
                    error = why,
                    attempts,
                    "given up judging it again; its first verdict stays"
                );
                Ok(Outcome::Dead)
            }
            Ok(Some(Failure {
                fate: Fate::Waits,
                attempts,
            })) => {
                tracing::warn!(
                    error = why,
                    attempts,
                    of = MAX_ATTEMPTS,
                    "not judged; it will be tried again"
                );
                Ok(Outcome::Failed)
            }
            Err(error) => self.stumbled(&error),
        }
    }

    async fn release(&self, job: &AnalyzePost, why: &str, wait: Duration) {
        if let Err(error) = analysis::release(&self.ctx, job, &self.settings.owner, why, wait).await
        {
            // The lease then ends by itself.
            self.database.failed(&error);
        }
    }

    /// Puts the hint back for whoever can use it; if Redis is away too, the sweeper offers the post when it is due.
    async fn give_back(&self, job: &AnalyzePost) -> Outcome {
        if let Err(error) = self.ctx.jobs.offer(std::slice::from_ref(job)).await {
            tracing::debug!(%error, "the hint is left to the sweeper");
        }
        Outcome::Away
    }

    /// What to do about an error of PostgreSQL's: wait when it is away, else leave the post to the sweeper.
    fn stumbled(&self, error: &Error) -> Result<Outcome, Pause> {
        if is_away(error) {
            self.database.failed(error);
            return Err(Pause(PAUSE));
        }
        tracing::error!(%error, "cannot be judged now; the sweeper will offer it again");
        Ok(Outcome::Error)
    }

    /// Counts a panic against the post, or a text that brings it about would be tried for ever.
    async fn panicked(&self, job: &AnalyzePost) {
        tracing::error!("the job panicked");
        self.metrics.queue.processed(Outcome::Error);
        let _the_lease_ends_anyway = self.fail(job, "the worker panicked on it").await;
    }
}

/// The job's span: part of the trace of the request that wrote the text, whose id leads to it also when the hint was lost
/// and the one that is offered again does not know it.
fn span_of(job: &AnalyzePost) -> Span {
    let make = || {
        tracing::info_span!(
            "analyze",
            otel.kind = "consumer",
            post.id = job.post_id.0,
            revision = job.revision,
            request_id = %job.request_id,
            outcome = Empty,
        )
    };
    match &job.traceparent {
        Some(traceparent) => trace::resume(traceparent, make),
        None => trace::begin(&job.request_id, make),
    }
}

fn is_away(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. })
}
