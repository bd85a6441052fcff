//! The commands. What each does, and its options, is in the module of its name.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};

use crate::{
    report::{Run, page_of},
    run::{self, RunArgs},
};

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
    /// Run a scenario against a stack that is up, and judge it
    #[command(after_long_help = run::EXAMPLES, after_help = "`loadtest run --help` explains the scenarios and gives examples.")]
    Run(Box<RunArgs>),
    /// Make a page of runs that were kept as report.json, side by side when there are several
    #[command(
        after_help = "Example:\n  loadtest report before/report.json after/report.json --html change.html"
    )]
    Report(ReportArgs),
}

/// The options of `loadtest report`.
#[derive(Debug, Args)]
struct ReportArgs {
    /// What `loadtest run --out` wrote
    #[arg(required = true, value_name = "FILE.json")]
    files: Vec<PathBuf>,
    /// Where the page goes
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    html: PathBuf,
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
            Self::Run(args) => run::execute(*args).await,
            Self::Report(args) => report(&args),
        }
    }
}

fn report(args: &ReportArgs) -> Result<ExitCode> {
    let mut runs = Vec::new();
    for path in &args.files {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let run = Run::from_json(&text).with_context(|| path.display().to_string())?;
        runs.push((label(path), run));
    }
    std::fs::write(&args.html, page_of(&runs).html())
        .with_context(|| format!("{} cannot be written", args.html.display()))?;
    eprintln!("written: {}", args.html.display());
    Ok(ExitCode::SUCCESS)
}

/// What tells the files apart: the folder's name where the file has the usual one.
fn label(path: &std::path::Path) -> String {
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let folder = path
        .parent()
        .and_then(std::path::Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    match folder {
        Some(folder) if stem == "report" => folder,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_options_are_sound() {
        super::Cli::command().debug_assert();
    }
}
