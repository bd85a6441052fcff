//! The program's options; every one is a flag and an environment variable.

use std::{ffi::OsString, net::IpAddr};

use clap::{Args, Parser, Subcommand};
use domain::config::{CacheConfig, DatabaseConfig, LlmConfig, RedisConfig, TimelineConfig};
use telemetry::{LogConfig, TraceConfig, store::LogStoreConfig};

/// Linnet's worker: takes every post to the language model and its verdict back into the database.
///
/// Start as many as you like, on any machine that reaches PostgreSQL, Redis and llm-service; they share the work,
/// and any of them may be stopped or killed at any moment without a post being lost. Without a subcommand the
/// worker serves. `worker help serve` lists its options.
#[derive(Debug, Parser)]
#[command(name = "worker", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge posts until SIGTERM or SIGINT, then finish what is under way. This is the default.
    Serve(Box<ServeConfig>),
    /// Ask a running worker whether it is ready; exit status 0 means yes.
    Healthcheck(ListenConfig),
    /// Give posts that were given up after repeated failures (`dead`) another life; prints how many.
    Revive(Box<ReviveConfig>),
}

impl Cli {
    /// Reads the command line, the environment and files of secrets; ends the program with an explanation if they make no sense.
    #[must_use]
    pub fn read() -> Self {
        telemetry::secrets::parse(with_default_command(std::env::args_os().collect()))
    }
}

/// `worker --worker-port 3201` means `worker serve --worker-port 3201`; only what the program itself answers stays.
fn with_default_command(mut args: Vec<OsString>) -> Vec<OsString> {
    let first = args.get(1).and_then(|argument| argument.to_str());
    let is_own = matches!(first, Some("-h" | "--help" | "-V" | "--version"));
    if !is_own && first.is_none_or(|argument| argument.starts_with('-')) {
        args.insert(1.min(args.len()), "serve".into());
    }
    args
}

/// Where the worker tells how it is.
#[derive(Clone, Debug, Args)]
pub struct ListenConfig {
    /// The address that /metrics, /livez and /readyz are served on.
    #[arg(long, env, default_value = "127.0.0.1")]
    pub worker_host: IpAddr,
    /// Their port; 0 takes any that is free.
    #[arg(long, env, default_value_t = 3200)]
    pub worker_port: u16,
}

/// The options of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeConfig {
    /// Where the worker tells how it is.
    #[command(flatten)]
    pub listen: ListenConfig,
    /// Posts judged at once. Half as many again as llm-service reads together (LLM_BATCH): while it reads some, the
    /// next are there already.
    #[arg(long, env, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub worker_concurrency: u16,
    /// How long a stop waits for posts being judged, in seconds; the others are then given back.
    #[arg(long, env, default_value_t = 25, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub worker_shutdown_seconds: u64,
    /// How long a post stays with a worker that no longer says it is at it, in seconds: the longest that a post
    /// waits because its worker was killed.
    #[arg(long, env, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub worker_lease_seconds: u64,
    /// Jobs that take so many milliseconds are named in the log as warnings; 0: none.
    #[arg(long, env, default_value_t = 10_000)]
    pub log_slow_job_ms: u64,
    /// The language model.
    #[command(flatten)]
    pub llm: LlmConfig,
    /// PostgreSQL.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// Redis.
    #[command(flatten)]
    pub redis: RedisConfig,
    /// The feed cache, which verdicts make old; as in the API.
    #[command(flatten)]
    pub cache: CacheConfig,
    /// Home timelines.
    #[command(flatten)]
    pub timelines: TimelineConfig,
    /// Logs.
    #[command(flatten)]
    pub log: LogConfig,
    /// Traces.
    #[command(flatten)]
    pub traces: TraceConfig,
    /// The long-term log.
    #[command(flatten)]
    pub log_store: LogStoreConfig,
}

/// The options of `revive`.
#[derive(Clone, Debug, Args)]
pub struct ReviveConfig {
    /// PostgreSQL.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// Redis.
    #[command(flatten)]
    pub redis: RedisConfig,
    /// The feed cache, which shows what became of a post.
    #[command(flatten)]
    pub cache: CacheConfig,
    /// Logs.
    #[command(flatten)]
    pub log: LogConfig,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_options_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_readme_lists_the_options() {
        let cli = Cli::command();
        telemetry::options::check_readme("worker", cli.find_subcommand("serve").unwrap());
    }

    #[test]
    fn serving_is_the_default() {
        let read = |args: &[&str]| {
            let args = ["worker"].iter().chain(args);
            with_default_command(args.map(OsString::from).collect())
        };
        assert_eq!(read(&[]), ["worker", "serve"]);
        assert_eq!(
            read(&["--worker-port", "1"]),
            ["worker", "serve", "--worker-port", "1"]
        );
        assert_eq!(read(&["revive"]), ["worker", "revive"]);
        assert_eq!(read(&["--help"]), ["worker", "--help"]);
        assert_eq!(with_default_command(vec![]), ["serve"]);
    }
}
