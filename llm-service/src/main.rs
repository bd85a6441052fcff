//! The program `llm-service`: reads the command line and hands over to the library.

use std::process::ExitCode;

use anyhow::Context as _;
use llm_service::{
    analyze::{Judge, JudgeSettings},
    config::{Cli, Command},
    eval::{self, EvalArgs},
    healthcheck, model, runner,
    startup::Application,
};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let cli: Cli = telemetry::secrets::parse(std::env::args_os().collect());
    let outcome = match &cli.command {
        None | Some(Command::Serve) => serve(&cli),
        Some(Command::Healthcheck) => healthcheck::check(&cli.config.llm_host, cli.config.llm_port),
        Some(Command::Calibrate) => calibrate(&cli),
        Some(Command::Eval(args)) => evaluate(&cli, args),
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
    let _logs = telemetry::init_serving("llm-service", &quiet_engine(&cli.log), &cli.traces, None)?;
    let runtime = runtime()?;
    let outcome =
        runtime.block_on(async { Application::build(&cli.config)?.run_until_stopped().await });
    // The model's threads are in the middle of a computation when a stop outlasts its patience; nobody waits for it.
    runtime.shutdown_background();
    outcome
}

fn calibrate(cli: &Cli) -> anyhow::Result<()> {
    let (models, judge) = (cli.config.models()?, cli.config.judge()?);
    let _logs = telemetry::init("llm-service", &quiet_engine(&cli.log))?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let model = runner::load(&models, cli.config.llm_dense).await?;
        let judge = JudgeSettings {
            anew: true,
            ..judge
        };
        Judge::new(&model, judge)
            .await
            .map(drop)
            .map_err(Into::into)
    });
    runtime.shutdown_background();
    outcome
}

fn evaluate(cli: &Cli, args: &EvalArgs) -> anyhow::Result<()> {
    let (models, judge) = (cli.config.models()?, cli.config.judge()?);
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let model = runner::load(&models, cli.config.llm_dense).await?;
        eval::run(args, &model, judge).await
    });
    runtime.shutdown_background();
    outcome
}

fn runtime() -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.context("cannot start the runtime")
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
