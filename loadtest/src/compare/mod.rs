//! `loadtest compare`: Linnet, the Node baseline and the bare limits of the machine, one after the other in one run, behind
//! the same NGINX, on the same PostgreSQL and Redis, by the same generator.
//!
//! # Layout
//!
//! - [`cell`] one measurement
//! - `sides`, `pgbench` what Linnet is compared with
//! - `plan` what is measured in which order, and how long that takes
//! - `lab` what runs meanwhile, and its end
//! - [`bars`] medians, ratios, what is met
//! - `show` the table and the files

pub mod bars;
pub mod cell;
mod lab;
mod pgbench;
mod plan;
mod show;
mod sides;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};

use crate::stack::{machine::Machine, native};
use cell::Side;

/// What `loadtest compare` is told.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// How long each measurement takes, in seconds, after two seconds of warming up.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// How often everything is measured; the medians are judged.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=20))]
    pub rounds: u64,
    /// How many users ask at once, each on a connection of their own.
    #[arg(long, value_delimiter = ',', default_value = "64,1000", value_parser = parse_connections)]
    pub connections: Vec<usize>,
    /// What they do. `mixed` has only calls that both services know: 90 % reads, 8 % posts, 2 % changes.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "read-feed,read-one,post,mixed"
    )]
    pub scenarios: Vec<What>,
    /// Also the stages from 10 to 2,000 users and a hold, four and a half minutes for each side.
    #[arg(long)]
    pub stress: bool,
    /// Only these sides.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Who>,
    /// How many posts there are before anything is written.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(1..=100_000_000))]
    pub posts: i64,
    /// Where compare.json and compare.html are written.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// The stack's data folder; without it one is made in /var/tmp and deleted at the end.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// The folder of the binaries `api` and `worker`; by default that of this program.
    #[arg(long)]
    pub binaries: Option<PathBuf>,
    /// Exit status 1 when a bar is not met. Otherwise it is told, and the status is 0 when everything could be measured.
    #[arg(long)]
    pub enforce: bool,
}

/// What users do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// The first page of the feed.
    ReadFeed,
    /// One post.
    ReadOne,
    /// Writing.
    Post,
    /// Reading, writing and changing.
    Mixed,
}

impl What {
    /// Its name in tables and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadFeed => "read-feed",
            Self::ReadOne => "read-one",
            Self::Post => "post",
            Self::Mixed => "mixed",
        }
    }
}

/// A side, by the names that people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Who {
    /// Linnet.
    Linnet,
    /// The Node baseline.
    Node,
    /// The bare limits.
    Bare,
    /// NGINX with fixed bytes, and so the bare limits.
    Fixed,
    /// pgbench, and so the bare limits.
    Pgbench,
}

impl Who {
    fn side(self) -> Side {
        match self {
            Self::Linnet => Side::Linnet,
            Self::Node => Side::Node,
            Self::Bare | Self::Fixed | Self::Pgbench => Side::Bare,
        }
    }
}

fn parse_connections(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(number) if (1..=10_000).contains(&number) => Ok(number),
        _ => Err(format!(
            "{text} is no number of connections from 1 to 10000"
        )),
    }
}

impl CompareArgs {
    /// The sides in the order in which they take turns.
    fn sides(&self) -> Vec<Side> {
        let all = [Side::Linnet, Side::Node, Side::Bare];
        let is_wanted =
            |side: &Side| self.only.is_empty() || self.only.iter().any(|who| who.side() == *side);
        all.into_iter().filter(is_wanted).collect()
    }
}

/// Measures, shows, and writes the files. What was measured before an interruption is shown too. The status is that of a
/// failure only with --enforce, when a bar is not met.
///
/// # Errors
/// When it could not measure.
pub async fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let wanted = native::Wanted::new(args.data.as_ref(), args.binaries.as_ref())?;
    let mut lab = lab::Lab::plan(&wanted)?;
    let machine = Machine::look(lab.root()).await;
    machine.announce(lab.data());
    let mut results = plan::Results::default();
    let outcome = tokio::select! {
        outcome = plan::measure(args, &mut lab, &mut results) => outcome,
        interrupted = crate::stack::interrupted() => interrupted,
    };
    eprintln!("loadtest: ending what was started");
    lab.end().await;
    if results.cells.is_empty() {
        return outcome.map(|()| ExitCode::SUCCESS);
    }
    let verdict = show::Verdict::new(args, machine, results);
    verdict.print();
    if let Some(folder) = &args.out {
        verdict.write(folder)?;
    }
    outcome?;
    Ok(if args.enforce && !verdict.is_met() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
