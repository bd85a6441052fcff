//! What came of a comparison: a table for people, JSON for programs, a page to keep.

use std::{collections::BTreeMap, path::Path};

use serde_json::json;

use super::{
    CompareArgs,
    bars::{self, Bar, Middle, Place, ratio},
    cell::{Cell, Model, Side},
    plan::Results,
};
use crate::{
    report::{Block, Page, Section},
    stack::machine::Machine,
    table::{Align, Table},
};

/// Figures and what they mean.
pub(super) struct Verdict {
    machine: Machine,
    settings: serde_json::Value,
    cells: Vec<Cell>,
    middles: BTreeMap<Place, Vec<Middle>>,
    bars: Vec<Bar>,
    idle_mb: BTreeMap<Side, f64>,
    notes: Vec<String>,
}

impl Verdict {
    pub(super) fn new(args: &CompareArgs, machine: Machine, results: Results) -> Self {
        let middles = bars::middles(&results.cells, machine.here.cores);
        let mut notes = results.notes;
        let most = middles
            .values()
            .flatten()
            .map(|middle| middle.others)
            .fold(0.0, f64::max);
        if most > 0.1 {
            notes.push(format!(
                "other things took up to {:.0} % of the machine while something was measured; compare again when it is idle",
                most * 100.0
            ));
        }
        let mut warnings: Vec<&String> = results
            .cells
            .iter()
            .filter_map(|cell| cell.warning.as_ref())
            .collect();
        warnings.sort();
        if let Some(first) = warnings.first() {
            notes.push(format!(
                "in {} of {} measurements: {first}",
                warnings.len(),
                results.cells.len()
            ));
        }
        Self {
            machine,
            settings: json!({
                "seconds": args.seconds, "rounds": args.rounds, "connections": args.connections, "posts": args.posts,
                "scenarios": args.scenarios.iter().map(|what| what.name()).collect::<Vec<_>>(), "stress": args.stress,
            }),
            bars: bars::bars(&middles),
            middles,
            cells: results.cells,
            idle_mb: results.idle_mb,
            notes,
        }
    }

    /// Whether no bar that was measured is missed.
    pub(super) fn is_met(&self) -> bool {
        self.bars.iter().all(|bar| bar.is_met() != Some(false))
    }

    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    pub(super) fn print(&self) {
        println!("{}\n", self.machine.line());
        println!("{}", self.figures().text());
        println!("{}", self.costs().text());
        println!("{}", self.verdicts().text());
        for note in self.machine.warnings.iter().chain(&self.notes) {
            println!("Mind: {note}.");
        }
    }

    /// Each place and side: the medians.
    fn figures(&self) -> Table {
        let mut table = Table::new(
            "Medians of the rounds",
            &[
                "scenario",
                "users",
                "side",
                "req/s",
                "× linnet",
                "req/API-CPU-s",
                "p50 ms",
                "p99 ms",
                "MB",
                "failed",
            ],
        );
        for (place, middles) in &self.middles {
            let linnet = middles.iter().find(|middle| middle.side == Side::Linnet);
            for middle in middles {
                let share = linnet.and_then(|linnet| ratio(middle.rate, linnet.rate));
                table.row([
                    scenario(place),
                    middle.connections.to_string(),
                    middle.side.name(&place.scenario).to_owned(),
                    format!("{:.0}", middle.rate),
                    share.map_or_else(String::new, |share| format!("{share:.2}")),
                    middle
                        .per_api_cpu
                        .map_or_else(String::new, |rate| format!("{rate:.0}")),
                    format!("{:.2}", middle.p50_ms),
                    format!("{:.2}", middle.p99_ms),
                    if middle.memory_mb > 0.0 {
                        format!("{:.0}", middle.memory_mb)
                    } else {
                        String::new()
                    },
                    (middle.failures + middle.dropped).to_string(),
                ]);
            }
        }
        for (side, idle) in &self.idle_mb {
            table.note(format!(
                "A replica of {} before anything was asked: {idle:.0} MB.",
                side.name("")
            ));
        }
        table.note("MB: resident memory of the largest replica under load. req/API-CPU-s: requests per CPU second of what stands behind NGINX.");
        table
    }

    /// Where the CPU time of a request goes.
    fn costs(&self) -> Table {
        let parts = ["api", "postgres", "redis", "nginx", "generator", "kernel"];
        let mut head = vec!["scenario", "users", "side"];
        head.extend(parts);
        head.push("others %");
        let mut table = Table::new("CPU milliseconds of 1,000 requests", &head);
        for (place, middles) in &self.middles {
            for middle in middles {
                let mut row = vec![
                    scenario(place),
                    middle.connections.to_string(),
                    middle.side.name(&place.scenario).to_owned(),
                ];
                row.extend(parts.map(|part| {
                    format!(
                        "{:.0}",
                        middle.cpu_ms.get(part).copied().unwrap_or(0.0) * 1_000.0
                    )
                }));
                row.push(format!("{:.0}", middle.others * 100.0));
                table.row(row);
            }
        }
        table.note("api: what stands behind NGINX. kernel: interrupts, which is the loopback network. others: how much of the machine other processes took.");
        table
    }

    fn verdicts(&self) -> Table {
        let mut table = Table::new("Bars", &["what", "measured", "bar", "verdict"]);
        table.align(0, Align::Left).align(3, Align::Left);
        for bar in &self.bars {
            let figure = |value: f64| match value.abs() {
                ..10.0 => format!("{value:.2}{}", bar.unit),
                _ => format!("{value:.0}{}", bar.unit),
            };
            table.row([
                bar.name.clone(),
                bar.measured.map_or_else(|| "–".to_owned(), figure),
                format!(
                    "{} {}",
                    if bar.at_least { "≥" } else { "≤" },
                    figure(bar.bar)
                ),
                bar.verdict(),
            ]);
        }
        table
    }

    fn json(&self) -> serde_json::Value {
        let middles: Vec<_> = self
            .middles
            .iter()
            .map(|(place, middles)| json!({ "place": place, "sides": middles }))
            .collect();
        let bars: Vec<_> = self
            .bars
            .iter()
            .map(|bar| {
                let mut value = json!(bar);
                value["met"] = json!(bar.is_met());
                value["verdict"] = json!(bar.verdict());
                value
            })
            .collect();
        json!({
            "version": 1, "kind": "compare", "machine": self.machine, "settings": self.settings,
            "bars": bars, "medians": middles, "cells": self.cells,
            "idle_mb": self.idle_mb.iter().map(|(side, mb)| (side.name("").to_owned(), *mb)).collect::<BTreeMap<_, _>>(),
            "notes": self.notes,
        })
    }

    /// compare.json and compare.html.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        self.page().write(folder, "compare", &self.json())
    }

    fn page(&self) -> Page {
        let mut page = Page::new(
            "Linnet, a Node service, and the limits of the machine",
            self.machine.line(),
        );
        let mut about = Section::new("How it was measured").with(Block::Text(
            "All sides stood behind the same NGINX, with the same PostgreSQL and Redis, and were asked by the same generator on \
             the same machine, taking turns in every round. `fixed` is an NGINX that answers with as many bytes without \
             thinking; `pgbench` sends PostgreSQL the same INSERT as Linnet. Figures are medians of the rounds."
                .to_owned(),
        ));
        for note in self.machine.warnings.iter().chain(&self.notes) {
            about = about.with(Block::Warning(format!("{note}.")));
        }
        page.push(self.verdicts().section());
        page.push(self.figures().section());
        page.push(self.costs().section());
        page.push(about.with(Block::Verbatim(self.settings.to_string())));
        page
    }
}

fn scenario(place: &Place) -> String {
    match place.model {
        Model::Closed | Model::Stress => place.scenario.clone(),
        Model::Open => format!("{}, open", place.scenario),
    }
}
