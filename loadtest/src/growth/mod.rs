//! `loadtest growth`: Linnet with more and more posts, and with more and more replicas, on a stack of its own.
//!
//! Latency at different sizes is comparable only where the load is the same: so the open model at one modest rate, and
//! eight users in the closed one. Where the cores of this machine are too few to show what more replicas would give, a
//! model says it, from the CPU time that a request was measured to cost in each part.
//!
//! # Layout
//!
//! - `steps` what is measured in which order
//! - [`model`] what more replicas would give
//! - `show` the tables and the files

pub mod model;
mod show;
mod steps;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::stack::{machine::Machine, native};

/// What `loadtest growth` is told.
#[derive(Clone, Debug, Args)]
pub struct GrowthArgs {
    /// The sizes, in posts; each is what the one before it is filled up to. 10⁷ posts take about 10 GB and a quarter of an hour.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "10000,100000,1000000,10000000"
    )]
    pub posts: Vec<i64>,
    /// How many API replicas; measured at the largest size.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub replicas: Vec<u32>,
    /// How long each measurement takes, in seconds, after two seconds of warming up.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// How often everything is measured; the medians are shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=20))]
    pub rounds: u64,
    /// Arrivals per second in the open model, the same at every size.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// How many people there are beside those who act; the first three have followers enough to be large accounts.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(i64).range(200..=1_000_000))]
    pub people: i64,
    /// Where growth.json and growth.html are written.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// The stack's data folder; without it one is made in /var/tmp and deleted at the end.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// The folder of the binaries `api` and `worker`; by default that of this program.
    #[arg(long)]
    pub binaries: Option<PathBuf>,
    /// Exit status 1 when a bar is not met.
    #[arg(long)]
    pub enforce: bool,
}

/// Measures, shows, and writes the files. What was measured before an interruption is shown too.
///
/// # Errors
/// When it could not measure.
pub async fn run(args: &GrowthArgs) -> anyhow::Result<ExitCode> {
    let wanted = native::Wanted::new(args.data.as_ref(), args.binaries.as_ref())?;
    let mut stack = native::Native::plan(&wanted)?;
    let machine = Machine::look(stack.root()).await;
    machine.announce(&stack.data);
    let mut results = steps::Results::default();
    let outcome = tokio::select! {
        outcome = steps::measure(args, &mut stack, machine.here.cores, &mut results) => outcome,
        interrupted = crate::stack::interrupted() => interrupted,
    };
    eprintln!("loadtest: ending what was started");
    stack.end().await;
    if results.sizes.is_empty() {
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
