//! What one thread of the generator counts, and how the threads' counts become one.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use super::measured::{Flow, Generator, Measured, Second, Step, Watch, add, histogram, micros};

/// Counts of one thread since its last report.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) users: u64,
    pub(crate) dropped: u64,
    bytes: u64,
    by_step: BTreeMap<&'static str, Step>,
    /// Of steps that are no requests, such as events of a stream.
    beside: BTreeMap<&'static str, Step>,
    /// By reason: how often, and what the first said in full.
    faults: BTreeMap<String, (u64, String)>,
}

impl Tally {
    /// A request has ended.
    pub(crate) fn request(
        &mut self,
        step: &'static str,
        latency: Duration,
        bytes: u64,
        failed: bool,
    ) {
        self.bytes += bytes;
        count(&mut self.by_step, step, latency, failed);
    }

    /// Something else has been waited for.
    pub(crate) fn event(&mut self, step: &'static str, latency: Duration) {
        count(&mut self.beside, step, latency, false);
    }

    /// Why a request failed: a reason that many share, and the whole story of this one.
    pub(crate) fn fault(&mut self, reason: String, story: impl FnOnce() -> String) {
        self.faults.entry(reason).or_insert_with(|| (0, story())).0 += 1;
    }

    /// What was counted since the last time.
    pub(crate) fn take(&mut self) -> Self {
        let users = self.users;
        std::mem::replace(
            self,
            Self {
                users,
                ..Self::default()
            },
        )
    }
}

fn count(
    steps: &mut BTreeMap<&'static str, Step>,
    step: &'static str,
    latency: Duration,
    failed: bool,
) {
    let step = steps.entry(step).or_default();
    step.requests += 1;
    step.failures += u64::from(failed);
    // It resizes itself, and `micros` keeps to the longest.
    let _always_fits = step.latency.record(micros(latency));
}

/// A thread's report.
pub(crate) enum Report {
    /// Of the second with this number.
    Second(usize, Tally),
    /// Of what was left, and the thread has ended.
    End {
        rest: Tally,
        /// How many seconds it has reported.
        seconds: usize,
        /// When its last request ended.
        last: Duration,
        busy: f64,
        waiting: f64,
    },
}

/// A second that not all threads have reported yet.
struct Partial {
    reports: usize,
    second: Second,
    latency: Histogram<u64>,
}

impl Default for Partial {
    fn default() -> Self {
        Self {
            reports: 0,
            second: Second::default(),
            latency: histogram(),
        }
    }
}

/// Makes one of all.
pub(crate) struct Sum {
    pub(crate) measured: Measured,
    threads: usize,
    /// For each thread that has ended, how many seconds it has reported.
    ended: Vec<usize>,
    partial: BTreeMap<usize, Partial>,
    rest: Partial,
}

impl Sum {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            measured: Measured::default(),
            threads,
            ended: Vec::new(),
            partial: BTreeMap::new(),
            rest: Partial::default(),
        }
    }

    /// Takes a report in, and tells `watch` when a second is complete.
    pub(crate) fn take(&mut self, report: Report, watch: &dyn Watch) -> Flow {
        match report {
            Report::Second(number, tally) => {
                let partial = self.partial.entry(number).or_default();
                partial.reports += 1;
                merge(&mut self.measured, partial, tally);
            }
            Report::End {
                rest,
                seconds,
                last,
                busy,
                waiting,
            } => {
                self.ended.push(seconds);
                self.rest.reports += 1;
                merge(&mut self.measured, &mut self.rest, rest);
                self.measured.elapsed = self.measured.elapsed.max(last);
                let Generator {
                    busy: most,
                    waiting: longest,
                    ..
                } = &mut self.measured.generator;
                (*most, *longest) = (most.max(busy), longest.max(waiting));
            }
        }
        let mut flow = Flow::GoOn;
        while let Some(first) = self.partial.first_entry() {
            let silent = self
                .ended
                .iter()
                .filter(|seconds| **seconds <= *first.key())
                .count();
            if first.get().reports + silent < self.threads {
                break;
            }
            let partial = first.remove();
            self.measured.seconds.push(finish(partial));
            let seconds = Duration::from_secs(self.measured.seconds.len() as u64);
            self.measured.elapsed = self.measured.elapsed.max(seconds);
            if watch.second(&self.measured) == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        flow
    }

    /// Whether all threads have ended.
    pub(crate) fn complete(&self) -> bool {
        self.ended.len() == self.threads
    }

    /// All there is. What came after the last whole second is a second of its own when it is more than a remnant.
    pub(crate) fn finish(mut self) -> Measured {
        let rest = finish(self.rest);
        let seconds = &mut self.measured.seconds;
        #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
        let over = self.measured.elapsed.as_secs_f64() - seconds.len() as f64;
        match seconds.last_mut() {
            Some(last) if over < 0.5 => {
                last.requests += rest.requests;
                last.failures += rest.failures;
                last.dropped += rest.dropped;
            }
            _ if rest.requests + rest.dropped > 0 => seconds.push(rest),
            _ => {}
        }
        self.measured
    }
}

fn merge(measured: &mut Measured, partial: &mut Partial, tally: Tally) {
    let second = &mut partial.second;
    second.users += tally.users;
    second.dropped += tally.dropped;
    measured.dropped += tally.dropped;
    measured.bytes += tally.bytes;
    for (name, step) in tally.by_step {
        second.requests += step.requests;
        second.failures += step.failures;
        measured.requests += step.requests;
        measured.failures += step.failures;
        add(&mut partial.latency, &step.latency);
        add(&mut measured.latency, &step.latency);
        sum(measured.by_step.entry(name).or_default(), &step);
    }
    for (name, step) in tally.beside {
        sum(measured.by_step.entry(name).or_default(), &step);
    }
    for (reason, (times, story)) in tally.faults {
        let before = measured.reasons.entry(reason).or_default();
        if *before == 0 && measured.first_failures.len() < 20 {
            measured.first_failures.push(story);
        }
        *before += times;
    }
}

fn sum(all: &mut Step, step: &Step) {
    all.requests += step.requests;
    all.failures += step.failures;
    add(&mut all.latency, &step.latency);
}

fn finish(partial: Partial) -> Second {
    Second {
        p50_us: partial.latency.value_at_quantile(0.5),
        p99_us: partial.latency.value_at_quantile(0.99),
        ..partial.second
    }
}
