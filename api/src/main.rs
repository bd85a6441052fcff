//! The program `api`: reads its options, sets up telemetry and runs one subcommand.

use std::{
    io::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use api::{
    config::{Cli, Command, HealthcheckConfig, ReanalyzeConfig},
    logs, openapi,
    startup::Application,
};
use domain::analysis::{self, Reanalysis};

/// A password's hash takes 19 MiB for 20 ms, on whichever thread is free, and glibc keeps such a piece in the arena of each
/// thread that ever had one. jemalloc gives it back, and takes less time for everything else than mimalloc did.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[actix_web::main]
async fn main() -> ExitCode {
    // Of each connection's two buffers of 8 KB, which an idle connection has too, only the beginnings are ever used. In
    // huge pages the rest is resident all the same: 5,000 live streams took 100 MB, and without them take 70.
    let _works_without = rustix::thread::disable_transparent_huge_pages(true);
    match run(telemetry::secrets::parse(std::env::args_os().collect())).await {
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
            let (keep, buffer) = config.log_store.buffer()?.unzip();
            let _logs = telemetry::init_serving("api", &config.log, &config.traces, keep)?;
            let application = Application::build(&config)?;
            let storing = application.store_log(buffer, &config)?;
            let outcome = application.run_until_stopped().await;
            if let Some(storing) = storing {
                storing.finish().await;
            }
            outcome
        }
        Command::Migrate(config) => {
            let _logs = telemetry::init("api-migrate", &config.log)?;
            let done = domain::schema::migrate(&config.database).await?;
            let newer = match done.newer {
                0 => String::new(),
                newer => format!(", and {newer} newer ones, which this program can live with"),
            };
            answer(&format!(
                "the database is up to date: {} migrations in all{newer}",
                done.known
            ))
        }
        Command::Reanalyze(config) => reanalyze(&config).await,
        // Without a log of its own, which would stand among what is read.
        Command::Logs(config) => logs::run(&config).await,
        Command::Openapi => answer(&openapi::document().to_pretty_json()?),
        Command::Healthcheck(config) => healthcheck(&config).await,
    }
}

/// Writes a subcommand's answer to standard output; a reader that has gone (`| head`) is an error and no panic.
fn answer(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}

async fn reanalyze(config: &ReanalyzeConfig) -> anyhow::Result<()> {
    let _logs = telemetry::init("api-reanalyze", &config.log)?;
    let limit = config.limit.unwrap_or(u64::MAX);
    let marking = if config.dry_run { 0 } else { limit };
    let mut said: Option<Instant> = None;
    let progress = |now: &Reanalysis| {
        let is_time = said.is_none_or(|said| said.elapsed() >= Duration::from_secs(1));
        if is_time || now.seen == now.of {
            said = Some(Instant::now());
            // That nobody reads it any more does not stop the work.
            let _unread = writeln!(
                std::io::stderr(),
                "{} % of the posts looked through: {} match, {} marked",
                now.seen * 100 / now.of.max(1),
                now.matched,
                now.marked
            );
        }
    };
    let db = domain::db::pool(&config.database)?;
    let done = analysis::reanalyze(&db, &config.conditions, marking, progress)
        .await
        .context("cut short; what is marked stays marked, and the same call goes on from there")?;
    let waiting = format!(
        "posts that match: {}; waiting to be judged again already: {}",
        done.matched, done.waiting
    );
    if config.dry_run {
        let would = limit.min(done.matched - done.waiting);
        return answer(&format!(
            "{waiting}; to be marked without --dry-run: {would}"
        ));
    }
    answer(&format!("{waiting}; marked now: {}", done.marked))
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
