//! One measurement: a side, a scenario, a number of connections, a round. And how it is taken.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::Serialize;

use crate::{
    engine::{self, Flow, Measured, Options, Pace, Target, Watch},
    scenarios::Scenario,
    stack::cost::{Cpu, Parts},
};

/// Bytes of a megabyte, as memory is told.
pub(crate) const MEGABYTE: f64 = 1_048_576.0;

/// Whom requests were handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Linnet.
    Linnet,
    /// The Node baseline.
    Node,
    /// The bare limit: NGINX with fixed bytes, or pgbench for writing.
    Bare,
}

impl Side {
    /// Its name in tables; what is bare depends on the scenario.
    #[must_use]
    pub fn name(self, scenario: &str) -> &'static str {
        match (self, scenario) {
            (Self::Linnet, _) => "linnet",
            (Self::Node, _) => "node",
            (Self::Bare, "post") => "pgbench",
            (Self::Bare, _) => "fixed",
        }
    }
}

/// How users came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// So many users at once, each asking again when it is answered.
    Closed,
    /// So many arrivals a second, whatever the answers take.
    Open,
    /// The stages from 10 to 2,000 users.
    Stress,
}

/// What one measurement gave.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Whom it was of.
    pub side: Side,
    /// What users did.
    pub scenario: String,
    /// How they came.
    pub model: Model,
    /// From 1.
    pub round: usize,
    /// How many connections were asked for.
    pub wanted: usize,
    /// How many there were.
    pub connections: usize,
    /// How long it was measured.
    pub seconds: f64,
    /// Requests that were answered, or failed.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Open model: arrivals that found nobody free.
    pub dropped: u64,
    /// Requests per second.
    pub rate: f64,
    /// Milliseconds.
    pub p50_ms: f64,
    /// Milliseconds.
    pub p99_ms: f64,
    /// CPU seconds of each part.
    pub cpu: Cpu,
    /// Resident memory of the largest process behind NGINX, the most that was seen, in megabytes.
    pub memory_mb: f64,
    /// What the generator says of itself, when it was at its limit.
    pub warning: Option<String>,
    /// A few failures with reasons.
    pub first_failures: Vec<String>,
}

impl Cell {
    /// One that says nothing yet.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            side: Side::Linnet,
            scenario: String::new(),
            model: Model::Closed,
            round: 1,
            wanted: 0,
            connections: 0,
            seconds: 0.0,
            requests: 0,
            failures: 0,
            dropped: 0,
            rate: 0.0,
            p50_ms: 0.0,
            p99_ms: 0.0,
            cpu: Cpu::default(),
            memory_mb: 0.0,
            warning: None,
            first_failures: Vec::new(),
        }
    }
}

/// Looks at the replicas' memory each second.
struct Memory<'a> {
    parts: &'a Parts,
    most: AtomicU64,
}

impl Watch for Memory<'_> {
    fn second(&self, _so_far: &Measured) -> Flow {
        self.most.fetch_max(self.parts.largest(), Ordering::Relaxed);
        Flow::GoOn
    }
}

/// Drives a scenario and takes its cost. `cell` says what it is of; the rest is filled in.
///
/// # Errors
/// Those of the generator.
pub async fn take(
    cell: Cell,
    target: &Target,
    scenario: &Scenario,
    pace: &Pace,
    warmup: Duration,
    parts: &Parts,
) -> anyhow::Result<Cell> {
    let options = Options {
        warmup,
        ..Options::default()
    };
    let memory = Memory {
        parts,
        most: AtomicU64::new(0),
    };
    let before = async {
        // Users are there from the beginning; the first look is when counting begins.
        tokio::time::sleep(warmup).await;
        parts.cpu()
    };
    let (measured, before) = tokio::join!(
        engine::drive(target, scenario, pace, &options, &memory),
        before
    );
    let cpu = parts.cpu().since(before);
    let measured = measured?;
    let most = memory.most.load(Ordering::Relaxed).max(parts.largest());
    Ok(Cell {
        seconds: measured.elapsed.as_secs_f64(),
        requests: measured.requests,
        failures: measured.failures,
        dropped: measured.dropped,
        rate: measured.rate(),
        p50_ms: milliseconds(measured.p(0.5)),
        p99_ms: milliseconds(measured.p(0.99)),
        cpu,
        memory_mb: most as f64 / MEGABYTE,
        warning: measured.generator.warning(),
        first_failures: measured.first_failures.into_iter().take(3).collect(),
        ..cell
    })
}

/// As a figure.
#[must_use]
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
