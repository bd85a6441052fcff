//! What a run has to reach: `p99<1s`, `failures<1%`, `rate>500`, and the same for one step: `post:p99<200ms`.

use std::{fmt, path::Path, str::FromStr};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::engine::{Measured, Step, duration};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    /// A percentile of the latency, as a share.
    Percentile(f64),
    Mean,
    Failures,
    Dropped,
    Requests,
    Rate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    Seconds(f64),
    /// A share of all, 0 to 1.
    Share(f64),
    Number(f64),
}

/// A bound for a figure, of the whole run or of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    step: Option<String>,
    figure: Figure,
    relation: Relation,
    bound: Bound,
    text: String,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The threshold as it was written.
    pub text: String,
    /// The figure, as it is told.
    pub value: String,
    /// Whether it was reached.
    pub met: bool,
}

impl FromStr for Threshold {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let help = "write for example p99<1s, failures<1%, dropped<1, rate>500, or with a step post:p99<200ms";
        let place = text.find(['<', '>']);
        let place =
            place.with_context(|| format!("the threshold `{text}` compares nothing: {help}"))?;
        let (left, right) = text.split_at(place);
        let (relation, right) = match (right.strip_prefix("<="), right.strip_prefix(">=")) {
            (Some(right), _) => (Relation::AtMost, right),
            (_, Some(right)) => (Relation::AtLeast, right),
            _ if right.starts_with('<') => (Relation::Less, &right[1..]),
            _ => (Relation::More, &right[1..]),
        };
        let (step, name) = match left.rsplit_once(':') {
            Some((step, name)) => (Some(step.trim().to_owned()), name.trim()),
            None => (None, left.trim()),
        };
        let figure = match name {
            "mean" => Figure::Mean,
            "max" => Figure::Percentile(1.0),
            "failures" => Figure::Failures,
            "dropped" => Figure::Dropped,
            "requests" => Figure::Requests,
            "rate" => Figure::Rate,
            _ => {
                let number = name
                    .strip_prefix('p')
                    .and_then(|number| number.parse::<f64>().ok());
                let number = number.filter(|number| (0.0..=100.0).contains(number));
                let number = number.with_context(|| {
                    format!(
                        "`{name}` in the threshold `{text}` is unknown: there are p50, p99 or any other percentile, \
                         mean, max, failures, dropped, requests and rate"
                    )
                })?;
                Figure::Percentile(number / 100.0)
            }
        };
        if step.is_some() && figure == Figure::Dropped {
            bail!(
                "in the threshold `{text}` dropped has a step, but arrivals are dropped before they do anything"
            );
        }
        let right = right.trim();
        let number = |text: &str| {
            text.trim()
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite() && *number >= 0.0)
        };
        let bound = match figure {
            Figure::Percentile(_) | Figure::Mean => {
                let read = duration::parse(right)
                    .with_context(|| format!("the threshold `{text}` needs a duration"))?;
                Bound::Seconds(read.as_secs_f64())
            }
            Figure::Failures | Figure::Dropped if right.ends_with('%') => {
                let share = number(right.trim_end_matches('%'));
                Bound::Share(
                    share.with_context(|| {
                        format!("`{right}` in the threshold `{text}` is no share: {help}")
                    })? / 100.0,
                )
            }
            _ => Bound::Number(number(right).with_context(|| {
                format!("`{right}` in the threshold `{text}` is no number: {help}")
            })?),
        };
        Ok(Self {
            step,
            figure,
            relation,
            bound,
            text: text.trim().to_owned(),
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Threshold {
    /// Compares a run with it. A step that never happened misses it: nothing was shown.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are below 2^52")]
    pub fn judge(&self, measured: &Measured) -> Verdict {
        let whole;
        let step = match &self.step {
            Some(name) => match measured.by_step.get(name.as_str()) {
                Some(step) => step,
                None => return self.verdict("no such step happened".into(), false),
            },
            None => {
                whole = Step {
                    requests: measured.requests,
                    failures: measured.failures,
                    latency: measured.latency.clone(),
                };
                &whole
            }
        };
        // With nothing measured the best of latencies would be zero.
        if step.requests == 0 && !matches!(self.figure, Figure::Dropped | Figure::Requests) {
            return self.verdict("nothing was measured".into(), false);
        }
        let all = match self.figure {
            Figure::Dropped => (measured.requests + measured.dropped) as f64,
            _ => step.requests as f64,
        };
        let value = match self.figure {
            Figure::Percentile(share) => step.p(share).as_secs_f64(),
            Figure::Mean => step.latency.mean() / 1e6,
            Figure::Failures => step.failures as f64,
            Figure::Dropped => measured.dropped as f64,
            Figure::Requests => step.requests as f64,
            Figure::Rate => step.requests as f64 / measured.elapsed.as_secs_f64().max(1e-9),
        };
        let (value, bound, told) = match self.bound {
            Bound::Seconds(bound) => (value, bound, crate::report::milliseconds(value * 1000.0)),
            Bound::Share(bound) => {
                let share = value / all.max(1.0);
                (
                    share,
                    bound,
                    format!("{:.3} % ({value} of {all})", share * 100.0),
                )
            }
            Bound::Number(bound) => (value, bound, crate::report::number(value)),
        };
        let met = match self.relation {
            Relation::Less => value < bound,
            Relation::AtMost => value <= bound,
            Relation::More => value > bound,
            Relation::AtLeast => value >= bound,
        };
        self.verdict(told, met)
    }

    /// Whether what it looks at has happened at all.
    #[must_use]
    pub fn has_happened(&self, so_far: &Measured) -> bool {
        self.step
            .as_ref()
            .is_none_or(|name| so_far.by_step.contains_key(name.as_str()))
    }

    /// Whether a miss in the middle of a run is one: what has to be reached may still come.
    #[must_use]
    pub fn can_be_judged_early(&self) -> bool {
        !matches!(self.relation, Relation::More | Relation::AtLeast)
    }

    fn verdict(&self, value: String, met: bool) -> Verdict {
        Verdict {
            text: self.text.clone(),
            value,
            met,
        }
    }
}

/// A file of thresholds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    thresholds: Vec<String>,
    /// Of single steps.
    #[serde(default)]
    steps: std::collections::BTreeMap<String, Vec<String>>,
}

/// Reads thresholds from a file: JSON when its name ends so, otherwise TOML, both with `thresholds`, a list, and
/// `steps`, a list for each step.
///
/// # Errors
/// When it cannot be read or one of them is not understood.
pub fn read(path: &Path) -> Result<Vec<Threshold>> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
    let json = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let file: File = if json {
        serde_json::from_str(&text).with_context(|| format!("{name} is no file of thresholds"))?
    } else {
        toml::from_str(&text).with_context(|| format!("{name} is no file of thresholds"))?
    };
    let of_steps = file
        .steps
        .iter()
        .flat_map(|(step, texts)| texts.iter().map(move |text| format!("{step}:{text}")));
    let all: Vec<Threshold> = file
        .thresholds
        .iter()
        .cloned()
        .chain(of_steps)
        .map(|text| text.parse())
        .collect::<Result<_>>()
        .with_context(|| format!("in {name}"))?;
    if all.is_empty() {
        bail!("{name} has no thresholds in it: write thresholds = [\"p99<1s\", \"failures<1%\"]");
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// 100 requests of 1 to 100 ms in ten seconds, two of which failed; 98 of them are `feed`, which never failed.
    fn run() -> Measured {
        let mut measured = Measured {
            requests: 100,
            failures: 2,
            dropped: 1,
            ..Measured::default()
        };
        measured.elapsed = Duration::from_secs(10);
        let mut feed = Step {
            requests: 98,
            ..Step::default()
        };
        for millis in 1..=100 {
            measured.latency.record(millis * 1000).unwrap();
            feed.latency.record(millis * 1000).unwrap();
        }
        measured.by_step.insert("feed", feed);
        measured
    }

    #[test]
    fn each_kind_is_judged() {
        for (text, met) in [
            ("p99<1s", true),
            ("p99<50ms", false),
            ("p50 <= 51ms", true),
            ("max<1s", true),
            ("mean>1ms", true),
            ("failures<1%", false),
            ("failures<=2%", true),
            ("failures<3", true),
            ("dropped<1", false),
            ("dropped<5%", true),
            ("rate>=10", true),
            ("requests>100", false),
            ("feed:failures<1", true),
            ("feed:p99.9<1s", true),
            ("home:p99<1s", false),
        ] {
            let threshold: Threshold = text.parse().unwrap();
            assert_eq!(threshold.judge(&run()).met, met, "{text}");
            assert!(
                !"p99<1s"
                    .parse::<Threshold>()
                    .unwrap()
                    .judge(&Measured::default())
                    .met
            );
        }
    }

    #[test]
    fn what_is_not_understood_says_what_would_be() {
        for wrong in [
            "",
            "p99",
            "p99<",
            "p99<1",
            "p101<1s",
            "errors<1%",
            "failures<x%",
            "rate>-1",
            "post:dropped<1",
        ] {
            assert!(wrong.parse::<Threshold>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn both_kinds_of_file_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let (toml, json) = (
            folder.path().join("bars.toml"),
            folder.path().join("bars.json"),
        );
        std::fs::write(
            &toml,
            "thresholds = [\"p99<1s\"]\n[steps]\npost = [\"p99<2s\"]\n",
        )
        .unwrap();
        std::fs::write(
            &json,
            r#"{"thresholds":["p99<1s"],"steps":{"post":["p99<2s"]}}"#,
        )
        .unwrap();
        assert_eq!(read(&toml).unwrap(), read(&json).unwrap());
        assert_eq!(read(&toml).unwrap()[1].to_string(), "post:p99<2s");
        std::fs::write(&toml, "treshholds = []").unwrap();
        assert!(read(&toml).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _either = text.parse::<Threshold>();
        }

        #[test]
        fn every_percentile_and_bound_is_understood(tenths in 0_u32..=1000, millis in 1_u64..100_000, step in "[a-z ]{1,10}") {
            let percentile = f64::from(tenths) / 10.0;
            let text = format!("{step}:p{percentile}<{}", duration::format(Duration::from_millis(millis)));
            let read: Threshold = text.parse().unwrap();
            prop_assert_eq!(read.figure, Figure::Percentile(percentile / 100.0));
            let wanted = Duration::from_millis(millis).as_secs_f64();
            prop_assert!(matches!(read.bound, Bound::Seconds(bound) if (bound - wanted).abs() < 1e-6));
        }
    }
}
