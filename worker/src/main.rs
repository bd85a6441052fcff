//! The program `worker`: reads its options, sets up telemetry and runs one subcommand.

use std::process::ExitCode;

use domain::{Ctx, analysis};
use telemetry::LogConfig;
use worker::{
    config::{Cli, Command, ReviveConfig},
    startup::{self, Worker},
};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::read()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the last word of a program that stops")]
            {
                eprintln!("worker: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(config) => {
            let (keep, buffer) = config.log_store.buffer()?.unzip();
            let log = quieter(&config.log);
            let _logs = telemetry::init_serving("worker", &log, &config.traces, keep)?;
            let worker = Worker::build(&config)?;
            let storing = worker.store_log(buffer, &config)?;
            let outcome = worker.run_until(telemetry::shutdown_signal()).await;
            if let Some(storing) = storing {
                storing.finish().await;
            }
            outcome
        }
        Command::Healthcheck(config) => {
            startup::healthcheck(config.worker_host, config.worker_port).await
        }
        Command::Revive(config) => revive(&config).await,
    }
}

/// Leaves out what the libraries say of things that the worker reports itself, once; a later directive in LOG_LEVEL
/// (`debug,apalis_core=debug`) brings it back.
fn quieter(log: &LogConfig) -> LogConfig {
    LogConfig {
        log_level: format!("apalis_core=off,actix_server=warn,{}", log.log_level),
        ..log.clone()
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the subcommand's answer goes to standard output"
)]
async fn revive(config: &ReviveConfig) -> anyhow::Result<()> {
    let _logs = telemetry::init("worker-revive", &config.log)?;
    let registry = telemetry::metrics_registry()?;
    let ctx = Ctx::new(&config.database, &config.redis, &config.cache, &registry)?;
    let count = analysis::revive_dead(&ctx).await?;
    println!("posts given another life: {count}");
    Ok(())
}
