//! What came of it: tables for people, JSON for programs, a page to keep.

use std::path::Path;

use serde_json::json;

use super::{
    GrowthArgs,
    model::{ASSUMPTIONS, Capacity, capacity},
    steps::{Figure, Results, Scale, Size},
};
use crate::{
    compare::{
        bars::{Bar, ratio},
        cell::Model,
    },
    report::{Block, Chart, Page, Scale as Axis, Section},
    stack::machine::Machine,
    table::{Align, Table},
};

/// How much slower reading may be at the largest size than at the smallest.
const SLOWER: f64 = 1.2;

/// Figures and what they mean.
pub(super) struct Verdict {
    machine: Machine,
    settings: serde_json::Value,
    sizes: Vec<Size>,
    scales: Vec<Scale>,
    bars: Vec<Bar>,
    capacities: Vec<(&'static str, Vec<Capacity>)>,
    notes: Vec<String>,
}

impl Verdict {
    pub(super) fn new(args: &GrowthArgs, machine: Machine, results: Results) -> Self {
        let mut notes = Vec::new();
        if results.most_others > 0.1 {
            notes.push(format!(
                "other processes took up to {:.0} % of the machine while something was measured; measure again when it is idle",
                results.most_others * 100.0
            ));
        }
        Self {
            settings: json!({
                "posts": args.posts, "replicas": args.replicas, "seconds": args.seconds, "rounds": args.rounds,
                "rate": args.rate, "people": args.people,
            }),
            bars: bars(&results.sizes),
            capacities: capacities(&results, &args.replicas),
            machine,
            sizes: results.sizes,
            scales: results.scales,
            notes,
        }
    }

    /// Whether no bar that was measured is missed.
    pub(super) fn is_met(&self) -> bool {
        self.bars.iter().all(|bar| bar.is_met() != Some(false))
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = vec![self.latencies(), self.places()];
        if !self.scales.is_empty() {
            tables.push(self.replicas());
        }
        tables.push(self.model());
        tables.push(self.verdicts());
        tables
    }

    #[expect(
        clippy::print_stdout,
        reason = "the tables are what the command is for"
    )]
    pub(super) fn print(&self) {
        println!("{}\n", self.machine.line());
        for table in self.tables() {
            println!("{}", table.text());
        }
        for note in self.machine.warnings.iter().chain(&self.notes) {
            println!("Mind: {note}.");
        }
    }

    fn latencies(&self) -> Table {
        let head = [
            "scenario", "model", "posts", "req/s", "p50 ms", "p99 ms", "× first", "api",
            "postgres", "redis", "nginx", "failed",
        ];
        let mut table = Table::new("Latency and cost by the number of posts", &head);
        table.align(1, Align::Left);
        let Some(first) = self.sizes.first() else {
            return table;
        };
        for start in &first.figures {
            for size in &self.sizes {
                let Some(figure) = find(&size.figures, start) else {
                    continue;
                };
                let middle = &figure.middle;
                let mut row = vec![
                    figure.scenario.to_owned(),
                    format!("{:?}", figure.model).to_lowercase(),
                    size.posts.to_string(),
                    format!("{:.0}", middle.rate),
                    format!("{:.2}", middle.p50_ms),
                    format!("{:.2}", middle.p99_ms),
                    ratio(middle.p99_ms, start.middle.p99_ms)
                        .map_or_else(String::new, |share| format!("{share:.2}")),
                ];
                row.extend(["api", "postgres", "redis", "nginx"].map(|part| cost(figure, part)));
                row.push((middle.failures + middle.dropped).to_string());
                table.row(row);
            }
        }
        table.note("× first: p99 against that of the smallest size. api … nginx: CPU milliseconds of 1,000 requests.");
        table
    }

    fn places(&self) -> Table {
        let mut table = Table::new(
            "What it takes, in megabytes",
            &[
                "posts",
                "filled in s",
                "replica",
                "postgres",
                "redis",
                "tables",
            ],
        );
        table.align(5, Align::Left);
        for size in &self.sizes {
            let tables: Vec<String> = size
                .tables
                .iter()
                .take(6)
                .map(|(name, mb)| format!("{name} {mb:.0}"))
                .collect();
            table.row([
                size.posts.to_string(),
                format!("{:.0}", size.seeded_seconds),
                format!("{:.0}", size.replica_mb),
                format!("{:.0}", size.postgres_mb),
                format!("{:.0}", size.redis_mb),
                tables.join(", "),
            ]);
        }
        table.note("replica: resident memory of the larger one; postgres: all its processes, shared memory once; tables with their indexes.");
        table
    }

    fn replicas(&self) -> Table {
        let head = [
            "scenario", "replicas", "req/s", "p50 ms", "p99 ms", "api", "postgres", "redis",
            "nginx", "MB",
        ];
        let mut table = Table::new(
            "By the number of replicas, 64 users, at the largest size",
            &head,
        );
        let Some(first) = self.scales.first() else {
            return table;
        };
        for start in &first.figures {
            for scale in &self.scales {
                let Some(figure) = find(&scale.figures, start) else {
                    continue;
                };
                let middle = &figure.middle;
                let mut row = vec![
                    figure.scenario.to_owned(),
                    scale.replicas.to_string(),
                    format!("{:.0}", middle.rate),
                    format!("{:.2}", middle.p50_ms),
                    format!("{:.2}", middle.p99_ms),
                ];
                row.extend(["api", "postgres", "redis", "nginx"].map(|part| cost(figure, part)));
                row.push(format!("{:.0}", middle.memory_mb));
                table.row(row);
            }
        }
        table.note(format!(
            "This machine has {} cores for everything, the generator among it: more replicas cannot give more here.",
            self.machine.here.cores
        ));
        table
    }

    fn model(&self) -> Table {
        let mut table = Table::new(
            "Model: requests/s by cores",
            &[
                "scenario",
                "replicas",
                "N cores for all",
                "N cores each",
                "limit",
            ],
        );
        table.align(4, Align::Left);
        for (scenario, capacities) in &self.capacities {
            for capacity in capacities {
                table.row([
                    (*scenario).to_owned(),
                    capacity.replicas.to_string(),
                    format!("{:.0}", capacity.shared),
                    format!("{:.0}", capacity.separate),
                    capacity.limit.to_owned(),
                ]);
            }
        }
        for assumption in ASSUMPTIONS {
            table.note(assumption);
        }
        table
    }

    fn verdicts(&self) -> Table {
        let mut table = Table::new("Bars", &["what", "measured", "bar", "verdict"]);
        table.align(3, Align::Left);
        for bar in &self.bars {
            table.row([
                bar.name.clone(),
                bar.measured
                    .map_or_else(|| "–".to_owned(), |value| format!("{value:.2}{}", bar.unit)),
                format!("≤ {:.2}{}", bar.bar, bar.unit),
                bar.verdict(),
            ]);
        }
        table
    }

    /// growth.json and growth.html.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let bars: Vec<_> = self
            .bars
            .iter()
            .map(|bar| json!({ "bar": bar, "met": bar.is_met(), "verdict": bar.verdict() }))
            .collect();
        let model: Vec<_> = self
            .capacities
            .iter()
            .map(|(scenario, capacities)| json!({ "scenario": scenario, "capacities": capacities }))
            .collect();
        let all = json!({
            "version": 1, "kind": "growth", "machine": self.machine, "settings": self.settings, "bars": bars,
            "sizes": self.sizes, "replicas": self.scales, "model": model, "assumptions": ASSUMPTIONS, "notes": self.notes,
        });
        self.page().write(folder, "growth", &all)
    }

    fn page(&self) -> Page {
        let mut page = Page::new(
            "Linnet with more posts and more replicas",
            self.machine.line(),
        );
        let mut tables = self.tables();
        // The verdict first, as a reader wants it.
        tables.rotate_right(1);
        let charts =
            Section::new("Latency by the number of posts").with(Block::Charts(self.charts()));
        for (place, table) in tables.iter().enumerate() {
            page.push(table.section());
            if place == 0 {
                page.push(charts.clone());
            }
        }
        let mut about = Section::new("How it was measured").with(Block::Text(
            "At each size: eight users who ask again when they are answered, and arrivals at the same rate for every size, \
             whose latency counts from the moment they were due. A worker brings posts to home timelines meanwhile; the \
             readers of those follow a hundred people each. Figures are medians of the rounds."
                .to_owned(),
        ));
        for note in self.machine.warnings.iter().chain(&self.notes) {
            about = about.with(Block::Warning(format!("{note}.")));
        }
        page.push(about.with(Block::Verbatim(self.settings.to_string())));
        page
    }

    /// For each model: p50 and p99 of each scenario.
    fn charts(&self) -> Vec<Chart> {
        let Some(first) = self.sizes.first() else {
            return Vec::new();
        };
        let mut charts = Vec::new();
        for (model, words) in [(Model::Open, "open model"), (Model::Closed, "8 users")] {
            for (quantile, is_p99) in [("p50", false), ("p99", true)] {
                let mut chart = Chart::new(format!("{quantile}, {words}"), "ms", Axis::Powers);
                for start in first.figures.iter().filter(|figure| figure.model == model) {
                    let points = self.sizes.iter().filter_map(|size| {
                        let middle = &find(&size.figures, start)?.middle;
                        Some((
                            size.posts as f64,
                            if is_p99 { middle.p99_ms } else { middle.p50_ms },
                        ))
                    });
                    chart = chart.line(start.scenario, points.collect());
                }
                charts.push(chart);
            }
        }
        charts
    }
}

fn find<'a>(figures: &'a [Figure], like: &Figure) -> Option<&'a Figure> {
    figures
        .iter()
        .find(|figure| figure.scenario == like.scenario && figure.model == like.model)
}

fn cost(figure: &Figure, part: &str) -> String {
    format!(
        "{:.0}",
        figure.middle.cpu_ms.get(part).copied().unwrap_or(0.0) * 1_000.0
    )
}

/// Reads and home timelines at the largest size against the smallest; both models.
fn bars(sizes: &[Size]) -> Vec<Bar> {
    let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else {
        return Vec::new();
    };
    if first.posts == last.posts {
        return Vec::new();
    }
    first
        .figures
        .iter()
        .filter(|figure| figure.scenario != "post")
        .map(|start| {
            let model = if start.model == Model::Open {
                "open model"
            } else {
                "8 users"
            };
            let name = format!(
                "{}, {model}: p99 at {} posts against {}",
                start.scenario, last.posts, first.posts
            );
            let measured = find(&last.figures, start)
                .and_then(|end| ratio(end.middle.p99_ms, start.middle.p99_ms));
            Bar::at_most(name, measured, SLOWER, " ×")
        })
        .collect()
}

/// From the costs with many users, where there are some; otherwise from those at the largest size with few.
fn capacities(results: &Results, replicas: &[u32]) -> Vec<(&'static str, Vec<Capacity>)> {
    let figures = match (results.scales.first(), results.sizes.last()) {
        (Some(scale), _) => &scale.figures,
        (None, Some(size)) => &size.figures,
        (None, None) => return Vec::new(),
    };
    figures
        .iter()
        .filter(|figure| figure.model == Model::Closed)
        .map(|figure| {
            let all = replicas
                .iter()
                .map(|count| capacity(&figure.middle.cpu_ms, *count))
                .collect();
            (figure.scenario, all)
        })
        .collect()
}
