//! The generator: users who come at a pace, act out a scenario against a target, and what was measured.
//!
//! It shares its machine with what it measures, so it is made to cost little: hyper's HTTP/1 connections, one per user and
//! kept alive, on runtimes of one thread each that share nothing while they run.

mod alarm;
mod connection;
pub mod duration;
mod limits;
mod measured;
mod pace;
mod tally;
mod target;
mod thread;
mod user;

use std::{
    thread::available_parallelism,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    connection::{Answer, Call, Connection, Keep},
    user::User,
};
pub use self::{
    measured::{Flow, Generator, Measured, Second, Step, Watch, histogram, micros},
    pace::{Pace, Stage, format_stages, parse_stages},
    target::Target,
};
use self::{
    tally::{Report, Sum},
    thread::Work,
};
use crate::scenarios::Scenario;

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads of the generator; 0 takes half the cores, at least one.
    pub threads: usize,
    /// How long an answer may take before it counts as failed.
    pub timeout: Duration,
    /// How long users are there before anything is counted, at the level of the beginning.
    pub warmup: Duration,
    /// Closed model: how long a user pauses after an answer; each pause is between a half and one and a half of it.
    pub think: Duration,
    /// Ends the run at once when it is cancelled; what was measured is kept.
    pub stop: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: 0,
            timeout: Duration::from_secs(30),
            warmup: Duration::ZERO,
            think: Duration::ZERO,
            stop: CancellationToken::new(),
        }
    }
}

impl Options {
    fn threads_for(&self, users: usize) -> usize {
        let threads = match self.threads {
            0 => available_parallelism()
                .map_or(1, |cores| cores.get() / 2)
                .max(1),
            given => given,
        };
        threads.min(users.max(1))
    }
}

/// Lets users act out `scenario` against `target` at `pace`, and measures.
///
/// Requests that are under way at the end are waited for, up to the timeout, and counted; the time for that is part of
/// `elapsed`. When `options.stop` is cancelled or `watch` says so, they are cut off and not counted.
///
/// # Errors
/// When the machine does not let it have the threads or connections, or the pace lets nobody in. Failed requests are
/// no errors: they are counted.
pub async fn drive(
    target: &Target,
    scenario: &Scenario,
    pace: &Pace,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Measured> {
    let users = pace.most_users();
    if users == 0 || pace.duration().is_zero() {
        bail!("nobody would come: the pace needs at least one user and some time");
    }
    limits::allow_connections(users)?;
    let threads = options.threads_for(users);
    let stop = options.stop.child_token();
    // Whoever drops this future ends its threads.
    let _ending = stop.clone().drop_guard();
    let (reports, mut incoming) = mpsc::unbounded_channel();
    let cpu = process_time();
    let begin = Instant::now();
    let mut handles = Vec::new();
    for index in 0..threads {
        let work = Work {
            index,
            threads,
            target: target.clone(),
            scenario: scenario.clone(),
            pace: pace.clone(),
            warmup: options.warmup,
            timeout: options.timeout,
            think: options.think,
            begin,
            stop: stop.clone(),
            reports: reports.clone(),
        };
        let handle = std::thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(move || thread::run(work))
            .context("a thread of the generator cannot be started")?;
        handles.push(handle);
    }
    drop(reports);
    let mut sum = Sum::new(threads);
    let mut stopped = false;
    while let Some(report) = incoming.recv().await {
        let ending = matches!(report, Report::End { .. });
        if sum.take(report, watch) == Flow::Stop && !ending {
            stopped = true;
            stop.cancel();
        }
    }
    for handle in handles {
        match handle.join() {
            Ok(result) => result?,
            Err(_) => bail!("a thread of the generator panicked; what it said stands above"),
        }
    }
    if !sum.complete() {
        bail!("a thread of the generator ended without a report");
    }
    let mut measured = sum.finish();
    measured.stopped = stopped || options.stop.is_cancelled();
    measured.generator.threads = threads;
    measured.generator.cpu = process_time().saturating_sub(cpu);
    scenario.conclude(&mut measured);
    Ok(measured)
}

fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
