//! Listening to the queue with apalis, and beginning again whenever that ends.
//!
//! apalis' worker ends for good when a call to Redis fails, and a worker of the same name may not come back while
//! the old one counts as alive; so each try gets a name of its own. What the old one held in its hands goes on
//! (`jobs::analyze`), and its hints are put back by the others when its heartbeat has been missing long enough.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use apalis::prelude::{
    BackendExt as _, BoxDynError, Data, Event, EventListenerExt as _, PollSnapshot, PollStrategy,
    WorkerBuilder, WorkerBuilderExt as _, WorkerContext, WorkerError,
};
use apalis_redis::RedisStorage;
use domain::{Ctx, jobs::AnalyzePost};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{jobs::analyze::Analyzer, outage::Outage};

/// How often an idle worker looks for hints: half of this is what an idle stack adds to a post's way to its verdict.
const LOOK: Duration = Duration::from_millis(20);
/// The first wait before listening again; doubled by each try that fails.
const FIRST_REST: Duration = Duration::from_millis(200);
/// The longest, which is also the longest that a Redis that is back goes unnoticed.
const LONGEST_REST: Duration = Duration::from_secs(3);
/// Who has listened for this long had a good connection.
const SETTLED: Duration = Duration::from_secs(10);

/// Polls at a steady pace; apalis' own strategies wait for the next heartbeat or lose wake-ups (docs/decisions.md).
struct Tick(Interval);

impl Tick {
    fn new() -> Self {
        let mut interval = tokio::time::interval(LOOK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(interval)
    }
}

impl PollStrategy for Tick {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut fired = false;
        // Until it is pending, or nothing wakes this task for the next tick.
        while self.0.poll_tick(cx).is_ready() {
            fired = true;
        }
        if fired {
            Poll::Ready(Some(()))
        } else {
            Poll::Pending
        }
    }
}

type Listening = Pin<Box<dyn Future<Output = Result<(), WorkerError>> + Send>>;

/// What the queue is listened to with.
pub struct Monitor {
    /// Where the queue is.
    pub ctx: Ctx,
    /// Who sees to the hints.
    pub analyzer: Arc<Analyzer>,
    /// What the worker calls itself in Redis, followed by a number.
    pub name: String,
    /// Hints taken at once.
    pub concurrency: u16,
    /// The longest that a job can take. The queue takes a job that is cut short for failed and keeps it.
    pub patience: Duration,
    /// When to stop.
    pub stop: CancellationToken,
}

impl Monitor {
    /// Listens until told to stop and every job has ended.
    pub async fn run(self) {
        let outage = Arc::new(Outage::new("listening to the queue in Redis"));
        let mut rest = FIRST_REST;
        for number in 1.. {
            if self.stop.is_cancelled() {
                return;
            }
            let began = Instant::now();
            match self.listen(number, &outage).await {
                Ok(()) if self.stop.is_cancelled() => return,
                Ok(()) => outage.failed(&"the worker ended by itself"),
                Err(error) => outage.failed(&error),
            }
            if began.elapsed() > SETTLED {
                rest = FIRST_REST;
            }
            let jittered = rest.mul_f64(rand::random_range(0.75..1.25));
            rest = (rest * 2).min(LONGEST_REST);
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn listen(&self, number: u32, outage: &Arc<Outage>) -> anyhow::Result<()> {
        let connection = self.ctx.redis.patient_connection().await?;
        let storage: RedisStorage<AnalyzePost> =
            RedisStorage::new(connection).with_config(self.ctx.jobs.config().clone());
        let context = WorkerContext::new(&format!("{}-{number}", self.name));
        let alive = Arc::clone(outage);
        let worker = WorkerBuilder::new(&context)
            .backend(storage.poll_with_strategy(Tick::new()))
            .concurrency(self.concurrency.into())
            .catch_panic()
            .timeout(self.patience)
            .data(Arc::clone(&self.analyzer))
            .on_event(move |_, event| {
                if matches!(event, Event::HeartBeat) {
                    alive.passed();
                }
            })
            .build(handle);
        // Boxed, as the compiler cannot prove the bare future's closures general enough to be sent to a thread.
        let mut listening: Listening = Box::pin(worker.run());
        tokio::select! {
            ended = &mut listening => return Ok(ended?),
            () = self.stop.cancelled() => {}
        }
        // One that has not started yet cannot be stopped, and holds nothing.
        if context.stop().is_ok() {
            listening.await?;
        }
        Ok(())
    }
}

/// Always `Ok`: what is to be tried again, and when, PostgreSQL knows; apalis' own retries are not to be relied on.
async fn handle(job: AnalyzePost, analyzer: Data<Arc<Analyzer>>) -> Result<(), BoxDynError> {
    analyzer.handle(job).await;
    Ok(())
}
