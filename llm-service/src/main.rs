//! The program `llm-service`: reads the command line and hands over to the library.

use std::{os::unix::process::CommandExt as _, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use llm_service::{
    config::{Cli, Command, Config},
    healthcheck, model,
    startup::Application,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command.unwrap_or(Command::Serve) {
        Command::Healthcheck => healthcheck::check(&cli.config.llm_host, cli.config.llm_port),
        Command::Serve => serve(&cli),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("llm-service: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(cli: &Cli) -> anyhow::Result<()> {
    cli.config.models()?;
    if !model::environment_fits(cli.config.llm_dense) {
        return restart(&cli.config);
    }
    telemetry::init("llm-service", &quiet_engine(&cli.log))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome =
        runtime.block_on(async { Application::build(&cli.config)?.run_until_stopped().await });
    // The model's threads are in the middle of a computation when a stop outlasts its patience; nobody waits for it.
    runtime.shutdown_background();
    outcome
}

/// At the plain level info, mistral.rs tells of every step of loading; its warnings are enough. Whoever gives
/// directives or another level gets exactly that.
fn quiet_engine(log: &telemetry::LogConfig) -> telemetry::LogConfig {
    let mut log = log.clone();
    if log.log_level == "info" {
        log.log_level = format!("info,{}", model::QUIET);
    }
    log
}

/// Replaces this process with itself under the environment that `LLM_DENSE` needs. The process id stays, so a
/// supervisor sees nothing of it.
fn restart(config: &Config) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let mut again = std::process::Command::new(program);
    again.args(std::env::args_os().skip(1));
    if config.llm_dense {
        again.env(model::DENSE_VARIABLE, "1");
    } else {
        again.env_remove(model::DENSE_VARIABLE);
    }
    // Returns only when it fails.
    Err(again.exec()).context("cannot start this program anew for LLM_DENSE")
}
