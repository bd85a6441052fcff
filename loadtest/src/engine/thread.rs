//! One thread of the generator, with its share of the users, in either model.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    sync::mpsc::UnboundedSender,
    task::{JoinSet, LocalSet, spawn_local},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use super::{
    alarm::Alarm,
    pace::{Curve, Pace},
    tally::{Report, Tally},
    target::Target,
    user::{Paths, User},
};
use crate::scenarios::Scenario;

/// What a thread is to do.
pub(crate) struct Work {
    pub(crate) index: usize,
    pub(crate) threads: usize,
    pub(crate) target: Target,
    pub(crate) scenario: Scenario,
    pub(crate) pace: Pace,
    pub(crate) warmup: Duration,
    pub(crate) timeout: Duration,
    pub(crate) think: Duration,
    pub(crate) begin: Instant,
    pub(crate) stop: CancellationToken,
    pub(crate) reports: UnboundedSender<Report>,
}

impl Work {
    fn counted_from(&self) -> Instant {
        self.begin + self.warmup
    }

    fn at(&self, seconds: f64) -> Instant {
        self.begin + Duration::from_secs_f64(seconds)
    }
}

/// Does it, and reports each second and at the end.
pub(crate) fn run(work: Work) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("a thread of the generator cannot be started")?;
    let paths = Rc::new(Paths::new(&work.target)?);
    let work = Rc::new(work);
    let tally = Rc::new(RefCell::new(Tally::default()));
    let local = LocalSet::new();
    // From here on it is counted; the warm-up's own cost is part of the whole and small.
    let before = Time::now();
    let reported = Cell::new(0);
    local.block_on(&runtime, async {
        let users = async {
            match &work.pace {
                Pace::Closed(_) => closed(&work, &paths, &tally).await,
                Pace::Open { .. } => open(&work, &paths, &tally).await,
            }
        };
        tokio::select! {
            biased;
            result = users => result,
            () = seconds(&work, &tally, &reported) => Ok(()),
            () = work.stop.cancelled() => Ok(()),
        }
    })?;
    let last = Instant::now().saturating_duration_since(work.counted_from());
    // Users who are still under way are cut off here, and their requests are not counted.
    drop(local);
    let (busy, waiting) = before.shares();
    let rest = tally.borrow_mut().take();
    let _nobody_listens = work.reports.send(Report::End {
        rest,
        seconds: reported.get(),
        last,
        busy,
        waiting,
    });
    Ok(())
}

/// Reports each second; never ends.
async fn seconds(work: &Work, tally: &RefCell<Tally>, reported: &Cell<usize>) {
    for number in 0_u32.. {
        sleep_until((work.counted_from() + Duration::from_secs(u64::from(number) + 1)).into())
            .await;
        reported.set(number as usize + 1);
        let report = Report::Second(number as usize, tally.borrow_mut().take());
        if work.reports.send(report).is_err() {
            break;
        }
    }
    std::future::pending().await
}

async fn closed(work: &Rc<Work>, paths: &Rc<Paths>, tally: &Rc<RefCell<Tally>>) -> Result<()> {
    let curve = work.pace.curve(work.warmup);
    let mut users = JoinSet::new();
    for number in (work.index..work.pace.most_users()).step_by(work.threads) {
        let spans = curve.spans(number);
        let user = User::new(number, paths, work.timeout, tally, work.counted_from());
        users.spawn_local(one(Rc::clone(work), user, spans));
    }
    while let Some(ended) = users.join_next().await {
        ended.context("a simulated user panicked")?;
    }
    // With fewer users than threads a thread may have none; it reports its seconds all the same.
    sleep_until(work.at(curve.end()).into()).await;
    Ok(())
}

/// One user of the closed model.
async fn one(work: Rc<Work>, mut user: User, spans: Vec<(f64, f64)>) {
    for (from, to) in spans {
        let end = work.at(to);
        sleep_until(work.at(from).into()).await;
        user.tally.borrow_mut().users += 1;
        while Instant::now() < end {
            work.scenario.iterate(&mut user, Some(end)).await;
            user.think(work.think).await;
        }
        user.tally.borrow_mut().users -= 1;
        user.leave();
    }
}

async fn open(work: &Rc<Work>, paths: &Rc<Paths>, tally: &Rc<RefCell<Tally>>) -> Result<()> {
    let curve: Curve = work.pace.curve(work.warmup);
    // Users are shared out: the first threads have one more.
    let users = work.pace.most_users();
    let most = users / work.threads + usize::from(work.index < users % work.threads);
    let free: Rc<RefCell<Vec<User>>> = Rc::default();
    let (mut made, under_way) = (0, Rc::new(Cell::new(0_usize)));
    let mut alarm = Alarm::new()?;
    for at in curve.arrivals(work.index, work.threads) {
        let due = work.at(at);
        alarm.wait_until(due).await?;
        let found = free.borrow_mut().pop();
        let mut user = match found {
            Some(user) => user,
            None if made < most => {
                let number = work.index + made * work.threads;
                made += 1;
                User::new(number, paths, work.timeout, tally, work.counted_from())
            }
            None => {
                if due >= work.counted_from() {
                    tally.borrow_mut().dropped += 1;
                }
                continue;
            }
        };
        user.due = Some(due);
        tally.borrow_mut().users += 1;
        under_way.set(under_way.get() + 1);
        let (work, free, under_way) = (Rc::clone(work), Rc::clone(&free), Rc::clone(&under_way));
        spawn_local(async move {
            work.scenario.iterate(&mut user, None).await;
            user.tally.borrow_mut().users -= 1;
            under_way.set(under_way.get() - 1);
            free.borrow_mut().push(user);
        });
    }
    sleep_until(work.at(curve.end()).into()).await;
    while under_way.get() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// What a thread has had so far: the clock, its computing, its waiting for a core.
struct Time {
    clock: Instant,
    computed: Duration,
    waited: Duration,
}

impl Time {
    fn now() -> Self {
        let computed = clock_gettime(ClockId::ThreadCPUTime);
        Self {
            clock: Instant::now(),
            computed: Duration::new(
                u64::try_from(computed.tv_sec).unwrap_or(0),
                u32::try_from(computed.tv_nsec).unwrap_or(0),
            ),
            waited: waited().unwrap_or_default(),
        }
    }

    /// Which shares of the time since then were computing and waiting.
    fn shares(&self) -> (f64, f64) {
        let now = Self::now();
        let all = (now.clock - self.clock).as_secs_f64().max(1e-9);
        let share =
            |later: Duration, before: Duration| later.saturating_sub(before).as_secs_f64() / all;
        (
            share(now.computed, self.computed),
            share(now.waited, self.waited),
        )
    }
}

/// How long this thread was ready and had no core, where the kernel says so: the second figure of schedstat, in ns.
fn waited() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(
        text.split_whitespace().nth(1)?.parse().ok()?,
    ))
}
