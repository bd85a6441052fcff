//! Medians of rounds, ratios between sides, and whether the bars are met. Nothing is measured here.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cell::{Cell, Model, Side};

/// The middle of the values; between the two middle ones when their number is even. 0 of none.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values
        .into_iter()
        .filter(|value| value.is_finite())
        .collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// `a` for each `b`; nothing when there is no `b`.
#[must_use]
pub fn ratio(a: f64, b: f64) -> Option<f64> {
    (b > 0.0 && a.is_finite()).then(|| a / b)
}

/// What was measured together: a scenario, a model and a number of connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// What reads only comes first, as it is measured.
    #[serde(skip)]
    rank: usize,
    /// The scenario's name.
    pub scenario: String,
    /// How users came.
    pub model: Model,
    /// How many there were at most.
    pub connections: usize,
}

impl Place {
    fn of(cell: &Cell) -> Self {
        let order = ["read-feed", "read-one", "post", "mixed", "stress"];
        Self {
            rank: order
                .iter()
                .position(|name| *name == cell.scenario)
                .unwrap_or(order.len()),
            scenario: cell.scenario.clone(),
            model: cell.model,
            connections: cell.wanted,
        }
    }
}

/// The medians of one side's rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Middle {
    /// Which side.
    pub side: Side,
    /// How many rounds there were.
    pub rounds: usize,
    /// Connections really used; pgbench may have had fewer than asked for.
    pub connections: usize,
    /// Requests per second.
    pub rate: f64,
    /// Requests per CPU second of what stands behind NGINX.
    pub per_api_cpu: Option<f64>,
    /// CPU milliseconds per request of each part.
    pub cpu_ms: BTreeMap<&'static str, f64>,
    /// Milliseconds.
    pub p50_ms: f64,
    /// Milliseconds.
    pub p99_ms: f64,
    /// Memory of the largest replica under load, in megabytes; the most of all rounds.
    pub memory_mb: f64,
    /// Failed requests of all rounds.
    pub failures: u64,
    /// Open model: arrivals that found nobody free.
    pub dropped: u64,
    /// The share of the machine that other things took, the most of all rounds.
    pub others: f64,
}

/// The medians of all cells, by place, in the order of the sides.
#[must_use]
pub fn middles(cells: &[Cell], cores: usize) -> BTreeMap<Place, Vec<Middle>> {
    let mut groups: BTreeMap<(Place, Side), Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        let place = Place::of(cell);
        groups.entry((place, cell.side)).or_default().push(cell);
    }
    let mut all: BTreeMap<Place, Vec<Middle>> = BTreeMap::new();
    for ((place, side), cells) in groups {
        all.entry(place)
            .or_default()
            .push(middle(side, &cells, cores));
    }
    all
}

/// The medians of these rounds of one side.
pub(crate) fn middle(side: Side, cells: &[&Cell], cores: usize) -> Middle {
    let of = |value: &dyn Fn(&Cell) -> f64| median(cells.iter().map(|cell| value(cell)));
    let most =
        |value: &dyn Fn(&Cell) -> f64| cells.iter().map(|cell| value(cell)).fold(0.0, f64::max);
    let each =
        |cell: &Cell, seconds: f64| ratio(seconds * 1000.0, cell.requests as f64).unwrap_or(0.0);
    let api = of(&|cell| ratio(cell.requests as f64, cell.cpu.api).unwrap_or(f64::NAN));
    Middle {
        side,
        rounds: cells.len(),
        connections: cells.first().map_or(0, |cell| cell.connections),
        rate: of(&|cell| cell.rate),
        per_api_cpu: (api > 0.0).then_some(api),
        cpu_ms: BTreeMap::from([
            ("api", of(&|cell| each(cell, cell.cpu.api))),
            ("postgres", of(&|cell| each(cell, cell.cpu.postgres))),
            ("redis", of(&|cell| each(cell, cell.cpu.redis))),
            ("nginx", of(&|cell| each(cell, cell.cpu.nginx))),
            ("generator", of(&|cell| each(cell, cell.cpu.generator))),
            ("worker", of(&|cell| each(cell, cell.cpu.worker))),
            ("kernel", of(&|cell| each(cell, cell.cpu.kernel))),
        ]),
        p50_ms: of(&|cell| cell.p50_ms),
        p99_ms: of(&|cell| cell.p99_ms),
        memory_mb: most(&|cell| cell.memory_mb),
        failures: cells.iter().map(|cell| cell.failures).sum(),
        dropped: cells.iter().map(|cell| cell.dropped).sum(),
        others: most(&|cell| ratio(cell.cpu.others, cell.seconds * cores as f64).unwrap_or(0.0)),
    }
}

/// One bar of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// What is held to it.
    pub name: String,
    /// What was measured; `None` when this run did not measure it.
    pub measured: Option<f64>,
    /// The figure that decides.
    pub bar: f64,
    /// Whether more is better.
    pub at_least: bool,
    /// The unit behind both figures.
    pub unit: &'static str,
}

impl Bar {
    fn at_least(name: String, measured: Option<f64>, bar: f64, unit: &'static str) -> Self {
        Self {
            name,
            measured,
            bar,
            at_least: true,
            unit,
        }
    }

    pub(crate) fn at_most(
        name: String,
        measured: Option<f64>,
        bar: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            at_least: false,
            ..Self::at_least(name, measured, bar, unit)
        }
    }

    /// Whether it is met; `None` when it was not measured.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        self.measured.map(|measured| {
            if self.at_least {
                measured >= self.bar
            } else {
                measured <= self.bar
            }
        })
    }

    /// "met, by 12 %", "missed, short by 30 %", "not measured".
    #[must_use]
    pub fn verdict(&self) -> String {
        let (Some(is_met), Some(measured)) = (self.is_met(), self.measured) else {
            return "not measured".to_owned();
        };
        if self.bar == 0.0 {
            return if is_met {
                "met".to_owned()
            } else {
                format!("missed: {measured:.0}{}", self.unit)
            };
        }
        let distance = ((measured - self.bar) / self.bar * 100.0).abs();
        match (is_met, self.at_least) {
            (true, _) => format!("met, by {distance:.0} %"),
            (false, true) => format!("missed, short by {distance:.0} %"),
            (false, false) => format!("missed, over by {distance:.0} %"),
        }
    }
}

/// The bars of the comparison. Each is judged where it was measured.
#[must_use]
pub fn bars(all: &BTreeMap<Place, Vec<Middle>>) -> Vec<Bar> {
    let mut bars = Vec::new();
    let side =
        |middles: &[Middle], side: Side| middles.iter().find(|middle| middle.side == side).cloned();
    for (place, middles) in all {
        let (linnet, node, bare) = (
            side(middles, Side::Linnet),
            side(middles, Side::Node),
            side(middles, Side::Bare),
        );
        let Some(linnet) = linnet else { continue };
        let at = format!("{}, {} connections", place.scenario, place.connections);
        let against = |other: &Option<Middle>, value: &dyn Fn(&Middle) -> f64| {
            other
                .as_ref()
                .and_then(|other| ratio(value(&linnet), value(other)))
        };
        let per_cpu = |middle: &Middle| middle.per_api_cpu.unwrap_or(0.0);
        match (place.scenario.as_str(), place.model) {
            ("read-feed", Model::Closed) => {
                let name = format!("{at}: requests/s against NGINX with fixed bytes");
                bars.push(Bar::at_least(name, against(&bare, &|m| m.rate), 0.85, " ×"));
                let name = format!("{at}: requests per API CPU second against Node");
                bars.push(Bar::at_least(name, against(&node, &per_cpu), 10.0, " ×"));
            }
            ("post", Model::Closed) => {
                let name = format!("{at}: posts/s against the same INSERT under pgbench");
                bars.push(Bar::at_least(name, against(&bare, &|m| m.rate), 0.5, " ×"));
                let name = format!("{at}: requests per API CPU second against Node");
                bars.push(Bar::at_least(name, against(&node, &per_cpu), 5.0, " ×"));
            }
            (_, Model::Open) => {
                let name = format!(
                    "{}, open model at half the ceiling: p99 against p50",
                    place.scenario
                );
                bars.push(Bar::at_most(
                    name,
                    ratio(linnet.p99_ms, linnet.p50_ms),
                    10.0,
                    " ×",
                ));
                let name = format!(
                    "{}, open model at half the ceiling: failed or dropped",
                    place.scenario
                );
                bars.push(Bar::at_most(
                    name,
                    Some((linnet.failures + linnet.dropped) as f64),
                    0.0,
                    "",
                ));
            }
            (_, Model::Stress) => {
                let name = "stress to 2,000 users: failures".to_owned();
                bars.push(Bar::at_most(name, Some(linnet.failures as f64), 0.0, ""));
                let name = "stress to 2,000 users: p99".to_owned();
                bars.push(Bar::at_most(name, Some(linnet.p99_ms), 1_000.0, " ms"));
            }
            _ => {}
        }
    }
    bars.extend(memory(all));
    bars
}

/// Of a replica under 1,000 connections, whatever it was asked for; and against Node's in the same place.
fn memory(all: &BTreeMap<Place, Vec<Middle>>) -> Vec<Bar> {
    let most = |side: Side| {
        all.iter()
            .filter(|(place, _)| place.connections == 1_000 && place.model == Model::Closed)
            .flat_map(|(_, middles)| middles.iter().filter(|middle| middle.side == side))
            .map(|middle| middle.memory_mb)
            .max_by(f64::total_cmp)
    };
    let (linnet, node) = (most(Side::Linnet), most(Side::Node));
    let share = linnet
        .zip(node)
        .and_then(|(linnet, node)| ratio(linnet, node));
    let name = "an API replica under 1,000 connections: resident memory";
    vec![
        Bar::at_most(name.to_owned(), linnet, 40.0, " MB"),
        Bar::at_most(format!("{name} against Node's"), share, 0.25, " ×"),
    ]
}

#[cfg(test)]
#[path = "bars_tests.rs"]
mod tests;
