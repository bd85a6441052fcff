//! `loadtest`: see `loadtest --help`.

use std::process::ExitCode;

use clap::Parser as _;
use loadtest::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().execute()
}
