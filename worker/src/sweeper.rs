//! What every worker does beside judging: it offers posts again whose hint was lost or not taken, keeps the queue
//! in Redis in shape, measures it, and removes what has expired. All of it may run in many workers at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    Ctx,
    analysis::{self, Offered},
    auth,
    jobs::FORGET_BATCH,
    llm::Llm,
    notifications,
};
use tokio_util::sync::CancellationToken;

use crate::outage::{self, Outage};

/// Between two sweeps.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two sweeps while posts are due that the queue has no room for. [`domain::jobs::MAX_HINTS`] hints in this
/// time are more than any number of workers can do; [`analysis::STALE_HINTS`] for stale posts are forty a second.
const SHORT_PAUSE: Duration = Duration::from_millis(100);
/// Between two looks at the depth of the queue.
const OBSERVE: Duration = Duration::from_secs(5);
/// Between two removals of expired sessions and old notifications.
const PURGE: Duration = Duration::from_secs(60);
/// The most calls of one kind in one sweep, so that a backlog of one kind does not keep the others waiting.
const STEPS: usize = 10;

/// Sweeps until told to stop.
pub struct Sweeper {
    ctx: Ctx,
    llm: Llm,
    database: Arc<Outage>,
    offering: Outage,
    observing: Outage,
    purging: Outage,
    observed: Option<Instant>,
    purged: Option<Instant>,
}

impl Sweeper {
    /// A sweeper that has not swept yet.
    #[must_use]
    pub fn new(ctx: Ctx, llm: Llm, database: Arc<Outage>) -> Self {
        Self {
            ctx,
            llm,
            database,
            offering: Outage::new("offering posts that are due"),
            observing: Outage::new("measuring the queue"),
            purging: Outage::new("removing what has expired"),
            observed: None,
            purged: None,
        }
    }

    /// Sweeps again and again; no failure ends it.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = self.sweep().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Sweeps once; answers when to do it again.
    pub async fn sweep(&mut self) -> Duration {
        self.tidy_queue().await;
        let more = self.offer().await;
        if is_time(&mut self.observed, OBSERVE) {
            self.note(&self.observing, analysis::observe(&self.ctx).await);
        }
        if is_time(&mut self.purged, PURGE) {
            self.note(&self.purging, auth::purge_expired(&self.ctx).await);
            for _ in 0..STEPS {
                match self.note(&self.purging, notifications::purge_old(&self.ctx).await) {
                    Some(purged) if purged >= notifications::PURGE_BATCH => {}
                    _ => break,
                }
            }
        }
        if more { SHORT_PAUSE } else { PAUSE }
    }

    fn note<T>(&self, outage: &Outage, result: domain::Result<T>) -> Option<T> {
        outage::note(&self.database, outage, result)
    }

    /// What fails here for want of Redis is done by a later sweep.
    async fn tidy_queue(&self) {
        let now = self.ctx.clock.now();
        for _ in 0..STEPS {
            match self.ctx.jobs.drain_scheduled(now).await {
                Ok(moved) if moved > 0 => {}
                _ => break,
            }
        }
        for _ in 0..STEPS {
            match self.ctx.jobs.forget_done().await {
                Ok(forgotten) if forgotten >= FORGET_BATCH => {}
                _ => break,
            }
        }
    }

    /// Answers whether more may be due. Nothing is offered while the language model is away: the posts stay due, and
    /// the first look after its return finds them.
    async fn offer(&self) -> bool {
        for _ in 0..STEPS {
            if self.llm.is_away() {
                return false;
            }
            match self.note(&self.offering, analysis::offer_due(&self.ctx).await) {
                Some(Offered { count, more: true }) if count > 0 => {}
                Some(Offered { more, .. }) => return more,
                None => return false,
            }
        }
        true
    }
}

/// Whether `every` has passed since the last time, which is now then.
fn is_time(last: &mut Option<Instant>, every: Duration) -> bool {
    let is_time = last.is_none_or(|last| last.elapsed() >= every);
    if is_time {
        *last = Some(Instant::now());
    }
    is_time
}
