//! What happened: counts and latencies, whole, by step and by second.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

/// The longest latency that is told apart, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// An empty histogram of microseconds, exact to three digits, growing as it must.
///
/// # Panics
/// Never: the bounds are sound, which a test shows.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "constant bounds that a test shows to be sound"
)]
pub fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_max(10_000, 3).expect("sound bounds");
    histogram.auto(true);
    histogram
}

/// `latency` in the unit of the histograms.
#[must_use]
pub fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST))
}

/// Adds `other` to `sum`, which grows as it must.
pub(crate) fn add(sum: &mut Histogram<u64>, other: &Histogram<u64>) {
    // It cannot fail: both have the same lowest value and precision, and `sum` resizes itself.
    let _grown = sum.add(other);
}

/// One kind of request.
#[derive(Clone, Debug)]
pub struct Step {
    /// How many were answered, or failed.
    pub requests: u64,
    /// How many of these failed.
    pub failures: u64,
    /// µs, with those of the failed.
    pub latency: Histogram<u64>,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            requests: 0,
            failures: 0,
            latency: histogram(),
        }
    }
}

impl Step {
    /// The latency that a share `q` (0 to 1) of the requests did not exceed.
    #[must_use]
    pub fn p(&self, q: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(q))
    }
}

/// One second of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Users who were there (closed model) or under way (open model) at its end.
    pub users: u64,
    /// Requests that ended in it.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Arrivals that found no free user.
    pub dropped: u64,
    /// Median latency in µs; 0 when nothing ended.
    pub p50_us: u64,
    /// 99th percentile of the latency in µs; 0 when nothing ended.
    pub p99_us: u64,
}

/// What the generator itself took. A saturated one measures itself and not the server.
#[derive(Clone, Debug, Default)]
pub struct Generator {
    /// Its threads.
    pub threads: usize,
    /// CPU time of the whole process during the run.
    pub cpu: Duration,
    /// The share (0 to 1) of the time that its busiest thread was computing.
    pub busy: f64,
    /// The share (0 to 1) of the time that its most delayed thread was ready and had no core.
    pub waiting: f64,
}

impl Generator {
    /// What to think of the figures, when the generator was at its own limit.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let percent = |share: f64| (share * 100.0).round();
        if self.busy > 0.85 {
            Some(format!(
                "the generator was saturated (a thread computed {} % of the time): the server may be faster than \
                 these figures; give it more --threads or cores",
                percent(self.busy)
            ))
        } else if self.busy + self.waiting > 0.85 {
            Some(format!(
                "the generator wanted a core {} % of the time and had one {} %: it shares the machine with the \
                 server, and the latencies hold its waiting too",
                percent(self.busy + self.waiting),
                percent(self.busy)
            ))
        } else {
            None
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Measured {
    /// From the end of the warm-up to the end of the last request.
    pub elapsed: Duration,
    /// Requests that were answered, or failed.
    pub requests: u64,
    /// Requests that failed: another status than expected, no answer in time, no connection.
    pub failures: u64,
    /// Open model: arrivals that found no free user.
    pub dropped: u64,
    /// Bytes of the answers' bodies.
    pub bytes: u64,
    /// µs, with those of the failed; open model: from the moment the arrival was due.
    pub latency: Histogram<u64>,
    /// The same by kind of request.
    pub by_step: BTreeMap<&'static str, Step>,
    /// The same by second.
    pub seconds: Vec<Second>,
    /// For each reason the first failure, with what the server said.
    pub first_failures: Vec<String>,
    /// How often each reason was.
    pub reasons: BTreeMap<String, u64>,
    /// What the generator took; known at the end.
    pub generator: Generator,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            elapsed: Duration::ZERO,
            requests: 0,
            failures: 0,
            dropped: 0,
            bytes: 0,
            latency: histogram(),
            by_step: BTreeMap::new(),
            seconds: Vec::new(),
            first_failures: Vec::new(),
            reasons: BTreeMap::new(),
            generator: Generator::default(),
            stopped: false,
        }
    }
}

impl Measured {
    /// Requests per second, failed ones among them.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate need not be exact to 2^-52"
    )]
    pub fn rate(&self) -> f64 {
        if self.elapsed.is_zero() {
            0.0
        } else {
            self.requests as f64 / self.elapsed.as_secs_f64()
        }
    }

    /// The latency that a share `q` (0 to 1) of the requests did not exceed.
    #[must_use]
    pub fn p(&self, q: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(q))
    }

    /// The share (0 to 1) of the requests that failed.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share need not be exact to 2^-52"
    )]
    pub fn failure_share(&self) -> f64 {
        if self.requests == 0 {
            0.0
        } else {
            self.failures as f64 / self.requests as f64
        }
    }
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    GoOn,
    /// It ends now, and is reported.
    Stop,
}

/// Who is told each second what happened so far. `()` only waits.
pub trait Watch: Send + Sync {
    /// A second is over.
    fn second(&self, so_far: &Measured) -> Flow {
        let _unused = so_far;
        Flow::GoOn
    }
}

impl Watch for () {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_exact_to_three_digits_up_to_an_hour() {
        let mut all = histogram();
        for latency in [1, 999, 1_234_567, LONGEST] {
            all.record(latency).unwrap();
        }
        assert!(all.max().abs_diff(LONGEST) < LONGEST / 1000);
        let mut sum = histogram();
        add(&mut sum, &all);
        assert_eq!(sum.len(), 4);
        assert_eq!(micros(Duration::from_secs(1_000_000)), LONGEST);
    }

    #[test]
    fn a_generator_at_its_limit_is_not_taken_for_a_slow_server() {
        let of = |busy, waiting| {
            Generator {
                busy,
                waiting,
                ..Generator::default()
            }
            .warning()
        };
        assert!(of(0.5, 0.1).is_none());
        assert!(of(0.95, 0.0).unwrap().contains("saturated"));
        assert!(of(0.5, 0.45).unwrap().contains("wanted a core 95 %"));
    }
}
