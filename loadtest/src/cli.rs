//! The commands. What each does, and its options, is in the module of its name.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::{compare, growth, seed};

/// Puts load on a Linnet, measures what comes of it, and judges the figures.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Measures Linnet beside the Node baseline and the bare limits of this machine, in one run, on a stack of its own.
    Compare(compare::CompareArgs),
    /// Measures Linnet with more and more posts and replicas, on a stack of its own.
    Growth(growth::GrowthArgs),
    /// Fills a database of this machine with people and posts, up to so many; may be ended and called again.
    Seed(seed::SeedArgs),
}

impl Cli {
    /// Does it. The status is 0 when all was well, 1 when a threshold was missed, 2 when it could not be done.
    #[must_use]
    pub fn execute(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("no thread can be started");
        let done = runtime.and_then(|runtime| runtime.block_on(self.command.run()));
        done.unwrap_or_else(|error| {
            eprintln!("loadtest: {error:#}");
            ExitCode::from(2)
        })
    }
}

impl Command {
    async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Compare(args) => compare::run(&args).await,
            Self::Growth(args) => growth::run(&args).await,
            Self::Seed(args) => seed::run(&args).await.map(|()| ExitCode::SUCCESS),
        }
    }
}
