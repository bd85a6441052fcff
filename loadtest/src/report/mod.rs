//! What is told of a run: JSON of a stable shape, a page, a line for CI.
//!
//! The JSON is [`Run`]; `version` is 1, and changes when a reader of an older shape would misread it. Fields may be added
//! without that.

mod chart;
mod machine;
mod page;
mod runs;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

pub use self::{
    chart::{Chart, Line, Scale},
    machine::Machine,
    page::{Block, Page, Section},
    runs::{ci_line, page_of},
};
use crate::{
    engine::{Measured, Step},
    prometheus::Sample,
    thresholds::Verdict,
};

/// The shape's number.
const VERSION: u32 = 1;
/// The percentiles that are kept.
const PERCENTILES: [(&str, f64); 8] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("max", 1.0),
];

/// A run, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Of this shape: 1.
    pub version: u32,
    /// Which scenario, or whatever else names it.
    pub name: String,
    /// Where the requests went.
    pub base_url: String,
    /// When it began, in RFC 3339.
    pub started: String,
    /// `closed` or `open`.
    pub model: String,
    /// The stages, as `--stages` reads them.
    pub stages: String,
    /// Seconds that were measured.
    pub elapsed_s: f64,
    /// Requests that were answered, or failed.
    pub requests: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Arrivals that found no free user.
    pub dropped: u64,
    /// Bytes of the answers' bodies.
    pub bytes: u64,
    /// Requests per second.
    pub rate: f64,
    /// The latency's percentiles in ms: p50, p75, p90, p95, p99, p99.9, p99.99, max, and the mean.
    pub latency_ms: BTreeMap<String, f64>,
    /// The whole curve: pairs of a share (0 to 1) and ms.
    pub curve: Vec<(f64, f64)>,
    /// The same by kind of request.
    pub steps: Vec<StepRow>,
    /// The same by second.
    pub seconds: Vec<SecondRow>,
    /// Which thresholds were reached.
    pub thresholds: Vec<ThresholdRow>,
    /// How often each kind of failure was.
    pub reasons: BTreeMap<String, u64>,
    /// Of each kind the first.
    pub first_failures: Vec<String>,
    /// What the generator itself took.
    pub generator: GeneratorRow,
    /// What Prometheus said of the server meanwhile.
    #[serde(default)]
    pub server: Vec<Sample>,
    /// Where it ran.
    pub machine: Machine,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// One kind of request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepRow {
    /// Its name.
    pub name: String,
    /// How many.
    pub requests: u64,
    /// How many failed.
    pub failures: u64,
    /// As for the whole.
    pub latency_ms: BTreeMap<String, f64>,
}

/// One second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecondRow {
    /// Users who were there.
    pub users: u64,
    /// Requests that ended.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Arrivals that found no free user.
    pub dropped: u64,
    /// Median latency; 0 when nothing ended.
    pub p50_ms: f64,
    /// 99th percentile; 0 when nothing ended.
    pub p99_ms: f64,
}

/// A threshold and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ThresholdRow {
    /// As it was written.
    pub text: String,
    /// The figure.
    pub value: String,
    /// Whether it was reached.
    pub met: bool,
}

/// What the generator took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GeneratorRow {
    /// Threads.
    pub threads: usize,
    /// CPU seconds.
    pub cpu_s: f64,
    /// The share of the time (0 to 1) that its busiest thread computed.
    pub busy: f64,
    /// The share of the time (0 to 1) that its most delayed thread waited for a core.
    pub waiting: f64,
    /// What to think of the figures then.
    pub warning: Option<String>,
}

/// What is known of a run beside what was measured.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Which scenario.
    pub name: String,
    /// Where the requests went.
    pub base_url: String,
    /// When it began, in RFC 3339.
    pub started: String,
    /// `closed` or `open`.
    pub model: String,
    /// The stages, as `--stages` reads them.
    pub stages: String,
}

impl Run {
    /// Of what was measured.
    #[must_use]
    pub fn new(
        about: About,
        measured: &Measured,
        verdicts: &[Verdict],
        server: Vec<Sample>,
    ) -> Self {
        let millis = |micros: u64| rounded(to_f64(micros) / 1000.0);
        Self {
            version: VERSION,
            name: about.name,
            base_url: about.base_url,
            started: about.started,
            model: about.model,
            stages: about.stages,
            elapsed_s: rounded(measured.elapsed.as_secs_f64()),
            requests: measured.requests,
            failures: measured.failures,
            dropped: measured.dropped,
            bytes: measured.bytes,
            rate: rounded(measured.rate()),
            latency_ms: percentiles(&measured.latency),
            curve: curve(&measured.latency),
            steps: measured
                .by_step
                .iter()
                .map(|(name, step)| step_row(name, step))
                .collect(),
            seconds: measured
                .seconds
                .iter()
                .map(|second| SecondRow {
                    users: second.users,
                    requests: second.requests,
                    failures: second.failures,
                    dropped: second.dropped,
                    p50_ms: millis(second.p50_us),
                    p99_ms: millis(second.p99_us),
                })
                .collect(),
            thresholds: verdicts
                .iter()
                .map(|Verdict { text, value, met }| ThresholdRow {
                    text: text.clone(),
                    value: value.clone(),
                    met: *met,
                })
                .collect(),
            reasons: measured.reasons.clone(),
            first_failures: measured.first_failures.clone(),
            generator: GeneratorRow {
                threads: measured.generator.threads,
                cpu_s: rounded(measured.generator.cpu.as_secs_f64()),
                busy: rounded(measured.generator.busy),
                waiting: rounded(measured.generator.waiting),
                warning: measured.generator.warning(),
            },
            server,
            machine: Machine::here(),
            stopped: measured.stopped,
        }
    }

    /// Reads a run that was kept.
    ///
    /// # Errors
    /// When it is none, or of another version.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } =
            serde_json::from_str(text).context("this is no report.json of loadtest")?;
        if version != VERSION {
            bail!("this report has version {version} and this program reads version {VERSION}");
        }
        serde_json::from_str(text).context("this report.json is damaged")
    }

    /// As it is kept.
    ///
    /// # Errors
    /// Never in practice: everything in it can be written.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

fn step_row(name: &str, step: &Step) -> StepRow {
    StepRow {
        name: name.to_owned(),
        requests: step.requests,
        failures: step.failures,
        latency_ms: percentiles(&step.latency),
    }
}

fn percentiles(latency: &Histogram<u64>) -> BTreeMap<String, f64> {
    let of = |(name, share): (&str, f64)| {
        (
            name.to_owned(),
            rounded(to_f64(latency.value_at_quantile(share)) / 1000.0),
        )
    };
    let mut all: BTreeMap<String, f64> = PERCENTILES.into_iter().map(of).collect();
    all.insert("mean".into(), rounded(latency.mean() / 1000.0));
    all
}

/// Points that get closer together towards the slow end.
fn curve(latency: &Histogram<u64>) -> Vec<(f64, f64)> {
    if latency.is_empty() {
        return Vec::new();
    }
    let last = 1.0 - 1.0 / to_f64(latency.len());
    let points = (0..=60).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 12.0));
    points
        .take_while(|share| *share <= last)
        .chain([last])
        .map(|share| {
            (
                share,
                rounded(to_f64(latency.value_at_quantile(share)) / 1000.0),
            )
        })
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and microseconds of a run are below 2^52"
)]
pub(crate) fn to_f64(number: u64) -> f64 {
    number as f64
}

/// To the thousandth: more is noise, and makes the file long.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A latency in the unit that suits it.
#[must_use]
pub fn milliseconds(ms: f64) -> String {
    if ms >= 10_000.0 {
        format!("{:.1} s", ms / 1000.0)
    } else if ms >= 1000.0 {
        format!("{:.2} s", ms / 1000.0)
    } else if ms >= 100.0 {
        format!("{ms:.0} ms")
    } else if ms >= 10.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.2} ms")
    }
}

/// A number with its thousands apart, and with a tenth when it is small.
#[must_use]
pub fn number(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_in_a_fitting_unit() {
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(-1500.0), "-1,500");
        assert_eq!(milliseconds(0.123), "0.12 ms");
        assert_eq!(milliseconds(1500.0), "1.50 s");
    }

    #[test]
    fn a_run_is_read_back_and_a_later_shape_is_refused() {
        let mut measured = Measured::default();
        measured.latency.record(1500).unwrap();
        measured.requests = 1;
        let run = Run::new(About::default(), &measured, &[], Vec::new());
        let text = run.to_json().unwrap();
        assert_eq!(Run::from_json(&text).unwrap().to_json().unwrap(), text);
        let later = text.replacen("\"version\": 1", "\"version\": 2", 1);
        assert!(
            Run::from_json(&later)
                .unwrap_err()
                .to_string()
                .contains("version 2")
        );
        assert!(Run::from_json("{}").is_err());
    }
}
