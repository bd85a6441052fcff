//! How users come: how many are there at each moment (closed model), or when each arrives (open model).

use std::{str::FromStr, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::duration;

/// A change of level: linearly to `to` over `over`. A stage with the level of the one before is a hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Users (closed model) or arrivals per second (open model) at the end of the stage.
    pub to: f64,
    /// How long the change takes; zero is a jump.
    pub over: Duration,
}

impl Stage {
    /// A stage.
    #[must_use]
    pub fn new(to: f64, over: Duration) -> Self {
        Self { to, over }
    }
}

impl FromStr for Stage {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (to, over) = text.split_once(':').with_context(|| {
            format!("`{text}` is not a stage: write LEVEL:DURATION, such as 20:30s")
        })?;
        let level: f64 = to
            .trim()
            .parse()
            .ok()
            .filter(|level: &f64| level.is_finite() && *level >= 0.0 && *level <= 1e7)
            .with_context(|| {
                format!("`{to}` in the stage `{text}` is not a number from 0 to 10,000,000")
            })?;
        Ok(Self::new(level, duration::parse(over)?))
    }
}

/// Reads `10:10s,20:20s`.
///
/// # Errors
/// When it is something else, or nothing would happen.
pub fn parse_stages(text: &str) -> Result<Vec<Stage>> {
    let stages: Vec<Stage> = text
        .split(',')
        .map(str::parse)
        .collect::<Result<_>>()
        .with_context(|| format!("the stages `{text}` are not understood"))?;
    if stages.iter().all(|stage| stage.over.is_zero()) {
        bail!("the stages `{text}` take no time at all: give one a duration, such as 20:30s");
    }
    if stages.iter().all(|stage| stage.to == 0.0) {
        bail!("the stages `{text}` never let anybody in: give one a level above 0");
    }
    Ok(stages)
}

/// Writes stages in the form that [`parse_stages`] reads.
#[must_use]
pub fn format_stages(stages: &[Stage]) -> String {
    let texts: Vec<String> = stages
        .iter()
        .map(|stage| format!("{}:{}", stage.to, duration::format(stage.over)))
        .collect();
    texts.join(",")
}

/// How users come.
///
/// The first stage begins at 0, or at its own level when it takes no time.
#[derive(Clone, Debug, PartialEq)]
pub enum Pace {
    /// So many users, each of whom asks again as soon as the answer is there. A slow server is asked less often, so the
    /// latencies flatter it: use it to find a ceiling.
    Closed(Vec<Stage>),
    /// So many arrivals per second, whatever the server does. Latency counts from the moment an arrival was due.
    Open {
        /// Arrivals per second.
        stages: Vec<Stage>,
        /// The most users who may be under way at once. Who arrives and finds all of them busy is dropped, and counted.
        max_users: usize,
    },
}

impl Pace {
    /// `users` users for `duration` (closed model).
    #[must_use]
    pub fn hold(users: usize, duration: Duration) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 users")]
        let users = users as f64;
        Self::Closed(vec![
            Stage::new(users, Duration::ZERO),
            Stage::new(users, duration),
        ])
    }

    /// `rate` arrivals per second for `duration` (open model), at most `max_users` at once.
    #[must_use]
    pub fn steady(rate: f64, duration: Duration, max_users: usize) -> Self {
        let stages = vec![Stage::new(rate, Duration::ZERO), Stage::new(rate, duration)];
        Self::Open { stages, max_users }
    }

    /// The stress test of the Node service's users (10 to 2,000 users in four minutes), and a hold of 30 s at the top: without
    /// one, the most users are there for an instant only.
    #[must_use]
    pub fn stress() -> Self {
        let stages = [
            (10, 10),
            (20, 20),
            (50, 20),
            (100, 20),
            (200, 20),
            (500, 50),
            (1000, 50),
            (2000, 50),
            (2000, 30),
        ];
        let stage = |(to, over)| Stage::new(f64::from(to), Duration::from_secs(over));
        Self::Closed(stages.into_iter().map(stage).collect())
    }

    /// The stages.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        match self {
            Self::Closed(stages) | Self::Open { stages, .. } => stages,
        }
    }

    /// How long it goes on.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.stages().iter().map(|stage| stage.over).sum()
    }

    /// The most users at once.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "levels are at least 0 and at most 10,000,000"
    )]
    pub fn most_users(&self) -> usize {
        match self {
            Self::Closed(stages) => stages
                .iter()
                .map(|stage| stage.to.ceil() as usize)
                .max()
                .unwrap_or(0),
            Self::Open { max_users, .. } => *max_users,
        }
    }

    /// The curve of the level, with `warmup` at the level of the beginning before it.
    pub(crate) fn curve(&self, warmup: Duration) -> Curve {
        let stages = self.stages();
        let mut level = match stages.first() {
            Some(first) if first.over.is_zero() => first.to,
            _ => 0.0,
        };
        let mut pieces = Vec::new();
        let mut at = 0.0;
        if !warmup.is_zero() {
            at = warmup.as_secs_f64();
            let beginning = if level > 0.0 { level } else { 1.0 };
            pieces.push(Piece {
                start: 0.0,
                end: at,
                from: beginning,
                to: beginning,
            });
        }
        for stage in stages {
            let end = at + stage.over.as_secs_f64();
            if end > at {
                pieces.push(Piece {
                    start: at,
                    end,
                    from: level,
                    to: stage.to,
                });
            }
            (at, level) = (end, stage.to);
        }
        Curve(pieces)
    }
}

/// A level that changes linearly, in seconds since the beginning.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: f64,
    end: f64,
    from: f64,
    to: f64,
}

/// A level over time, piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct Curve(Vec<Piece>);

impl Curve {
    /// When it ends, in seconds.
    pub(crate) fn end(&self) -> f64 {
        self.0.last().map_or(0.0, |piece| piece.end)
    }

    /// When user `number` (from 0) is there: while the level is above the number. Seconds from and to, in order.
    pub(crate) fn spans(&self, number: usize) -> Vec<(f64, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 users")]
        let number = number as f64;
        let mut spans: Vec<(f64, f64)> = Vec::new();
        for piece in &self.0 {
            let crossing = || {
                let share = (number - piece.from) / (piece.to - piece.from);
                piece.start + share * (piece.end - piece.start)
            };
            let (from, to) = match (piece.from > number, piece.to > number) {
                (true, true) => (piece.start, piece.end),
                (false, true) => (crossing(), piece.end),
                (true, false) => (piece.start, crossing()),
                (false, false) => continue,
            };
            match spans.last_mut() {
                Some(last) if from - last.1 < 1e-9 => last.1 = to,
                _ => spans.push((from, to)),
            }
        }
        spans
    }

    /// When arrivals `first`, `first + step`, … are due, in seconds: arrival n when the area under the curve reaches n.
    pub(crate) fn arrivals(
        &self,
        first: usize,
        step: usize,
    ) -> impl Iterator<Item = f64> + 'static {
        let pieces = self.0.clone();
        let (mut piece, mut before, mut number) = (0, 0.0, first);
        std::iter::from_fn(move || {
            loop {
                let Piece {
                    start,
                    end,
                    from,
                    to,
                } = *pieces.get(piece)?;
                let length = end - start;
                let area = (from + to) / 2.0 * length;
                #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^52 arrivals")]
                let wanted = number as f64 - before;
                if area <= 0.0 || wanted >= area - 1e-9 {
                    before += area;
                    piece += 1;
                    continue;
                }
                // The root of from·x + slope·x²/2 = wanted, in the form that is sound for a slope of 0 too.
                let slope = (to - from) / length;
                let root = (from * from + 2.0 * slope * wanted).max(0.0).sqrt();
                let after = if wanted <= 0.0 {
                    0.0
                } else {
                    2.0 * wanted / (from + root)
                };
                number += step;
                return Some(start + after.min(length));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn users_come_one_after_the_other_on_a_ramp_and_leave_in_the_reverse_order() {
        let up_and_down = Pace::Closed(parse_stages("10:10s,10:5s,0:10s").unwrap());
        let curve = up_and_down.curve(Duration::ZERO);
        assert_eq!(curve.spans(0), [(0.0, 25.0)]);
        assert_eq!(curve.spans(9), [(9.0, 16.0)]);
        assert!(curve.spans(10).is_empty());
        assert_eq!(up_and_down.most_users(), 10);
        assert_eq!(up_and_down.duration(), seconds(25));
    }

    #[test]
    fn a_hold_has_everybody_from_the_beginning_and_the_warm_up_comes_before() {
        let curve = Pace::hold(3, seconds(8)).curve(seconds(2));
        assert_eq!(curve.spans(2), [(0.0, 10.0)]);
        assert_eq!(curve.end(), 10.0);
    }

    #[test]
    fn the_stress_test_is_the_one_that_node_users_know() {
        let stress = Pace::stress();
        assert_eq!(stress.duration(), seconds(240 + 30));
        assert_eq!(stress.most_users(), 2000);
    }

    #[test]
    fn arrivals_at_a_constant_rate_are_evenly_spaced() {
        let curve = Pace::steady(4.0, seconds(2), 1).curve(Duration::ZERO);
        let all: Vec<f64> = curve.arrivals(0, 1).collect();
        assert_eq!(all, [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for wrong in [
            "", "10", "10:", ":10s", "x:10s", "-1:10s", "10:10s,,", "NaN:1s", "inf:1s",
        ] {
            assert!(parse_stages(wrong).is_err(), "{wrong}");
        }
        assert!(
            parse_stages("5:0s")
                .unwrap_err()
                .to_string()
                .contains("no time")
        );
        assert!(
            parse_stages("0:5s")
                .unwrap_err()
                .to_string()
                .contains("anybody")
        );
    }

    fn some_stages() -> impl Strategy<Value = Vec<Stage>> {
        let stage =
            (0_u32..200, 0_u64..20).prop_map(|(to, over)| Stage::new(f64::from(to), seconds(over)));
        prop::collection::vec(stage, 1..6).prop_filter("something happens", |stages| {
            stages.iter().any(|stage| !stage.over.is_zero())
                && stages.iter().any(|stage| stage.to > 0.0)
        })
    }

    proptest! {
        #[test]
        fn stages_are_read_back_as_they_were_written(stages in some_stages()) {
            prop_assert_eq!(parse_stages(&format_stages(&stages)).unwrap(), stages);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _either = parse_stages(&text);
        }

        #[test]
        fn as_many_arrive_as_the_area_says_in_order_however_they_are_shared_out(stages in some_stages(), threads in 1_usize..4) {
            let pace = Pace::Open { stages, max_users: 1 };
            let curve = pace.curve(Duration::ZERO);
            let area: f64 = curve.0.iter().map(|p| (p.from + p.to) / 2.0 * (p.end - p.start)).sum();
            let alone: Vec<f64> = curve.arrivals(0, 1).collect();
            prop_assert!((alone.len() as f64 - area.ceil()).abs() <= 1.0, "{} for {area}", alone.len());
            prop_assert!(alone.is_sorted());
            prop_assert!(alone.iter().all(|at| *at <= curve.end()));
            let mut shared: Vec<f64> = (0..threads).flat_map(|first| curve.arrivals(first, threads)).collect();
            shared.sort_by(f64::total_cmp);
            prop_assert_eq!(shared.len(), alone.len());
            prop_assert!(shared.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-6));
        }

        #[test]
        fn users_are_there_while_the_level_is_above_their_number(stages in some_stages()) {
            let pace = Pace::Closed(stages);
            let curve = pace.curve(Duration::ZERO);
            // Users times seconds is the area under the curve, to within one user.
            let area: f64 = curve.0.iter().map(|p| (p.from + p.to) / 2.0 * (p.end - p.start)).sum();
            let there: f64 = (0..=pace.most_users()).flat_map(|n| curve.spans(n)).map(|(from, to)| to - from).sum();
            prop_assert!(there >= area - 1e-6 && there <= area + curve.end() + 1e-6, "{there} for {area}");
        }
    }
}
