//! The program `api`: reads its options, sets up telemetry and runs one subcommand.

use std::{io::Write as _, process::ExitCode, time::Duration};

use anyhow::Context as _;
use api::{
    config::{Cli, Command, HealthcheckConfig},
    openapi,
    startup::Application,
};
use clap::Parser as _;

/// A password's hash takes 19 MiB for 20 ms, on whichever thread is free. glibc keeps such a piece in the arena of each
/// thread that ever had one: a storm of logins took a replica from 21 to 518 MB, for good.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[actix_web::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the last word of a program that stops")]
            {
                eprintln!("api: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(config) => {
            telemetry::init("api", &config.log)?;
            Application::build(&config)?.run_until_stopped().await
        }
        Command::Migrate(config) => {
            telemetry::init("api-migrate", &config.log)?;
            let count = domain::db::migrate(&config.database).await?;
            answer(&format!(
                "the database is up to date: {count} migrations in all"
            ))
        }
        Command::Openapi => answer(&openapi::document().to_pretty_json()?),
        Command::Healthcheck(config) => healthcheck(&config).await,
    }
}

/// Writes a subcommand's answer to standard output; a reader that has gone (`| head`) is an error and no panic.
fn answer(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}

async fn healthcheck(config: &HealthcheckConfig) -> anyhow::Result<()> {
    let url = format!("http://{}:{}/readyz", config.api_host, config.api_port);
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()?;
    let status = client
        .get(&url)
        .send()
        .await
        .with_context(|| format!("no answer from {url}"))?
        .status();
    anyhow::ensure!(status.is_success(), "{url} answered {status}");
    Ok(())
}
