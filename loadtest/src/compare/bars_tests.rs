//! Tests of medians, ratios and bars.

use super::*;
use crate::stack::cost::Cpu;

fn cell(side: Side, scenario: &str, rate: f64, api: f64) -> Cell {
    Cell {
        side,
        scenario: scenario.to_owned(),
        wanted: 1_000,
        connections: 1_000,
        seconds: 10.0,
        requests: (rate * 10.0) as u64,
        rate,
        p50_ms: 2.0,
        p99_ms: 19.0,
        memory_mb: if side == Side::Node { 100.0 } else { 30.0 },
        cpu: Cpu {
            api,
            others: 2.0,
            ..Cpu::default()
        },
        ..Cell::empty()
    }
}

fn bar<'a>(bars: &'a [Bar], words: &str) -> &'a Bar {
    bars.iter()
        .find(|bar| bar.name.contains(words))
        .unwrap_or_else(|| panic!("no bar {words}: {bars:?}"))
}

#[test]
fn a_median_is_the_middle_whatever_the_order() {
    assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
    assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 2.5);
    assert_eq!(median([7.0]), 7.0);
    assert_eq!(median([]), 0.0);
    assert_eq!(median([1.0, f64::NAN, 3.0, f64::INFINITY, 2.0]), 2.0);
}

#[test]
fn nothing_is_compared_with_nothing() {
    assert_eq!(ratio(1.0, 0.0), None);
    assert_eq!(ratio(3.0, 2.0), Some(1.5));
    assert_eq!(ratio(f64::NAN, 2.0), None);
}

#[test]
fn the_bars_are_ratios_of_medians() {
    let mut cells = Vec::new();
    // One odd round on each side decides nothing.
    for (linnet, node, bare) in [
        (9_000.0, 2_000.0, 10_000.0),
        (100.0, 2_000.0, 10_000.0),
        (9_000.0, 50.0, 90_000.0),
    ] {
        cells.push(cell(Side::Linnet, "read-feed", linnet, linnet / 20_000.0));
        cells.push(cell(Side::Node, "read-feed", node, node / 2_500.0));
        cells.push(cell(Side::Bare, "read-feed", bare, 1.0));
    }
    let bars = bars(&middles(&cells, 2));
    let limit = bar(&bars, "fixed bytes");
    assert_eq!(limit.measured, Some(0.9));
    assert_eq!(
        (limit.is_met(), limit.verdict()),
        (Some(true), "met, by 6 %".to_owned())
    );
    let rival = bar(&bars, "per API CPU second");
    assert!((rival.measured.unwrap() - 8.0).abs() < 1e-6, "{rival:?}");
    assert_eq!(rival.verdict(), "missed, short by 20 %");
    let memory = bar(&bars, "against Node's");
    assert!((memory.measured.unwrap() - 0.3).abs() < 1e-9);
    assert_eq!(memory.verdict(), "missed, over by 20 %");
    assert_eq!(bar(&bars, "resident memory").is_met(), Some(true));
}

#[test]
fn a_side_that_was_left_out_is_not_a_bar_that_is_met() {
    let cells = [cell(Side::Linnet, "post", 100.0, 0.1)];
    let bars = bars(&middles(&cells, 2));
    assert_eq!(bar(&bars, "pgbench").is_met(), None);
    assert_eq!(bar(&bars, "pgbench").verdict(), "not measured");
}

#[test]
fn the_open_model_and_the_stress_are_judged_by_p99_and_by_failures() {
    let open = Cell {
        model: Model::Open,
        failures: 1,
        ..cell(Side::Linnet, "read-feed", 500.0, 1.0)
    };
    let stress = Cell {
        model: Model::Stress,
        p99_ms: 1_200.0,
        ..cell(Side::Linnet, "read-feed", 500.0, 1.0)
    };
    let bars = bars(&middles(&[open, stress], 2));
    assert_eq!(bar(&bars, "p99 against p50").measured, Some(9.5));
    assert_eq!(bar(&bars, "failed or dropped").verdict(), "missed: 1");
    assert_eq!(bar(&bars, "users: p99").verdict(), "missed, over by 20 %");
    assert_eq!(bar(&bars, "users: failures").verdict(), "met");
}

#[test]
fn what_others_took_is_a_share_of_the_whole_machine() {
    let all = middles(&[cell(Side::Linnet, "post", 100.0, 0.1)], 2);
    let middle = &all.values().next().unwrap()[0];
    assert!((middle.others - 0.1).abs() < 1e-9);
    assert!((middle.cpu_ms["api"] - 0.1).abs() < 1e-9);
}
