//! Linnet's load harness: the command line.
use clap::{Parser, Subcommand};
use loadtest::seed;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fills a database with people and posts.
    Seed(seed::SeedArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Seed(args) => seed::run(&args).await,
    }
}
