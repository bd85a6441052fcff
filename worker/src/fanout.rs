//! Brings new posts to home timelines, again and again, beside judging. How a post gets there `domain::timelines` says;
//! any number of workers share the posts that wait.

use std::time::{Duration, Instant};

use domain::{
    Ctx,
    timelines::{self, Brought, FanOut},
};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry};
use tokio_util::sync::CancellationToken;

use crate::{outage::Outage, slow::SlowJobs};

/// How often a worker with nothing to do looks for posts. A look is one statement of a tenth of a millisecond; a
/// NOTIFY by the writer would cost every write a lock that all of them share.
const LOOK: Duration = Duration::from_millis(50);
/// The first wait after a failure; doubled by each that follows.
const FIRST_REST: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST_REST: Duration = Duration::from_secs(3);
/// Between two counts of the posts that wait.
const OBSERVE: Duration = Duration::from_secs(5);
/// Upper bounds in seconds.
const DELAY_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0,
];

struct Metrics {
    posts: IntCounter,
    pushes: IntCounter,
    delay: Histogram,
    waiting: IntGauge,
}

impl Metrics {
    fn new(registry: &Registry) -> anyhow::Result<Self> {
        let metrics = Self {
            posts: IntCounter::new(
                "fanout_posts_total",
                "Posts brought to home timelines or left to their readers by this process",
            )?,
            pushes: IntCounter::new(
                "fanout_pushes_total",
                "Entries put into home timelines by this process",
            )?,
            delay: Histogram::with_opts(
                HistogramOpts::new(
                    "fanout_delay_seconds",
                    "Time from writing a post to its being in its readers' home timelines",
                )
                .buckets(DELAY_BUCKETS.to_vec()),
            )?,
            waiting: IntGauge::new(
                "fanout_waiting",
                "Posts that are not yet in home timelines, counted up to 10,000; the same in every process",
            )?,
        };
        registry.register(Box::new(metrics.posts.clone()))?;
        registry.register(Box::new(metrics.pushes.clone()))?;
        registry.register(Box::new(metrics.delay.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        Ok(metrics)
    }

    fn count(&self, brought: &Brought) {
        self.posts
            .inc_by(u64::try_from(brought.delays.len()).unwrap_or(0));
        self.pushes.inc_by(brought.pushes);
        for delay in &brought.delays {
            // Two machines' clocks may differ by more than it took.
            self.delay.observe(delay.as_seconds_f64().max(0.0));
        }
    }
}

/// The loop of one worker.
pub struct Bringer {
    ctx: Ctx,
    fan_out: FanOut,
    metrics: Metrics,
    outage: Outage,
    slow: SlowJobs,
}

impl Bringer {
    /// # Errors
    /// When the registry holds one of its metrics already.
    pub fn new(
        ctx: Ctx,
        max_followers: u32,
        slow: SlowJobs,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            fan_out: FanOut::new(ctx.clone(), max_followers),
            metrics: Metrics::new(registry)?,
            outage: Outage::new("bringing posts to home timelines"),
            slow,
            ctx,
        })
    }

    /// Brings posts until told to stop; no failure ends it, and what is under way then is finished.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut rest, mut observed) = (FIRST_REST, None::<Instant>);
        while !stop.is_cancelled() {
            let began = Instant::now();
            let step = self.fan_out.step().await;
            self.slow.note("fanout", began.elapsed());
            let pause = match step {
                Ok(brought) => {
                    self.outage.passed();
                    self.metrics.count(&brought);
                    rest = FIRST_REST;
                    if brought.more { Duration::ZERO } else { LOOK }
                }
                Err(error) => {
                    self.outage.failed(&error);
                    let pause = rest.mul_f64(rand::random_range(0.75..1.25));
                    rest = (rest * 2).min(LONGEST_REST);
                    pause
                }
            };
            if observed.is_none_or(|at| at.elapsed() >= OBSERVE) {
                observed = Some(Instant::now());
                if let Ok(waiting) = timelines::waiting(&self.ctx).await {
                    self.metrics.waiting.set(waiting);
                }
            }
            if !pause.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }
}
