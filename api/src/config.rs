//! The program's options; every one is a flag and an environment variable, but for what a single run is told to do.

use std::net::IpAddr;

use clap::{Args, Parser, Subcommand};
use domain::{
    analysis::Condition,
    auth::AuthConfig,
    config::{CacheConfig, DatabaseConfig, LlmConfig, PostsConfig, RedisConfig},
    rate_limits::RateLimitConfig,
};
use ipnet::IpNet;
use telemetry::{LogConfig, TraceConfig, store::LogStoreConfig};

use crate::logs::{self, LogsConfig};

/// Linnet's HTTP API. Start as many replicas as you like: they share PostgreSQL and Redis and keep nothing to
/// themselves.
#[derive(Debug, Parser)]
#[command(name = "api", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve HTTP until SIGTERM or SIGINT, then finish what is under way.
    Serve(Box<ServeConfig>),
    /// Bring the database up to date, once, before the replicas start. Running it again does nothing.
    Migrate(MigrateConfig),
    /// Have posts that have a verdict judged again, behind those that have none.
    ///
    /// Let the new model or the new prompts go into service first: whoever is asked then judges. The first verdict of a post is shown until the second replaces it, and stays if there is to be no second. Posts
    /// are only marked here, the newest first; running workers do the rest whenever no new post waits. Doing it twice is
    /// doing it once, and it may be cut short and repeated at any time.
    #[command(after_long_help = REANALYZE_EXAMPLES)]
    Reanalyze(ReanalyzeConfig),
    /// Read the long-term log: what the replicas and workers logged with LOG_STORE=postgres, the oldest first.
    #[command(after_long_help = logs::EXAMPLES)]
    Logs(LogsConfig),
    /// Print the OpenAPI document.
    Openapi,
    /// Ask a running replica whether it is ready; exit status 0 means yes.
    Healthcheck(HealthcheckConfig),
}

/// The options of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeConfig {
    /// The address to listen on.
    #[arg(long, env, default_value = "127.0.0.1")]
    pub api_host: IpAddr,
    /// The port to listen on; 0 takes any that is free.
    #[arg(long, env, default_value_t = 3000)]
    pub api_port: u16,
    /// Threads that serve HTTP; 0 means one per core.
    #[arg(long, env, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=256))]
    pub api_workers: u16,
    /// How long a stop waits for requests under way, in seconds.
    #[arg(long, env, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub api_shutdown_seconds: u64,
    /// The most live streams (Server-Sent Events and WebSockets) this replica holds open; 0 lets none in.
    #[arg(long, env, default_value_t = 10_000)]
    pub api_live_streams: usize,
    /// The most live streams of one user (or address, when not logged in) on this replica.
    #[arg(long, env, default_value_t = 20)]
    pub api_live_streams_per_caller: usize,
    /// Addresses of the proxies before this API, or networks such as 10.0.0.0/8 that only they can be in, whose
    /// X-Forwarded-For and X-Forwarded-Proto are believed.
    #[arg(long, env, value_delimiter = ',', default_value = "127.0.0.1,::1", value_parser = parse_network)]
    pub trusted_proxies: Vec<IpNet>,
    /// PostgreSQL.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// Redis.
    #[command(flatten)]
    pub redis: RedisConfig,
    /// Logging in.
    #[command(flatten)]
    pub auth: AuthConfig,
    /// Posts.
    #[command(flatten)]
    pub posts: PostsConfig,
    /// The feed cache.
    #[command(flatten)]
    pub cache: CacheConfig,
    /// Rate limits.
    #[command(flatten)]
    pub rate_limits: RateLimitConfig,
    /// The language model.
    #[command(flatten)]
    pub llm: LlmConfig,
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

/// The options of `migrate`. Its role must be allowed to change the schema; that of `serve` need not be.
#[derive(Clone, Debug, Args)]
pub struct MigrateConfig {
    /// PostgreSQL.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// Logs.
    #[command(flatten)]
    pub log: LogConfig,
}

const REANALYZE_EXAMPLES: &str = "\
Conditions (quote them: an interactive shell reads ! as its own):
  model=NAME            the verdict was given by this model
  model!=NAME           … by any other
  prompt_version=NAME   … with these prompts
  prompt_version!=NAME  … with any others
  before=TIME           … before this time, such as 2026-01-31T00:00:00Z
  safety=dangerous      … and is this; or safety=ok
  all                   any verdict

Examples:
  After another model went into service; a post shows the name as analysis.model:
    api reanalyze --where 'model!=llama-3.2-1b-instruct-q8_0'
  How many that would be, without doing it:
    api reanalyze --where 'model!=llama-3.2-1b-instruct-q8_0' --dry-run
  Try new prompts on the thousand newest posts that the old ones found dangerous:
    api reanalyze --where safety=dangerous --where 'prompt_version!=7' --limit 1000

job_queue_depth{queue=\"analyze\",state=\"stale\"} says how many wait.";

/// The options of `reanalyze`.
#[derive(Clone, Debug, Args)]
pub struct ReanalyzeConfig {
    /// Which posts: those whose verdict meets this condition; repeated, every one of them. See below.
    #[arg(long = "where", value_name = "CONDITION", required = true)]
    pub conditions: Vec<Condition>,
    /// Mark no more posts than this, the newest first.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Only say how many posts match.
    #[arg(long)]
    pub dry_run: bool,
    /// PostgreSQL.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// Logs.
    #[command(flatten)]
    pub log: LogConfig,
}

/// The options of `healthcheck`.
#[derive(Clone, Debug, Args)]
pub struct HealthcheckConfig {
    /// Where the replica listens.
    #[arg(long, env, default_value = "127.0.0.1")]
    pub api_host: IpAddr,
    /// On which port.
    #[arg(long, env, default_value_t = 3000)]
    pub api_port: u16,
}

/// An address is a network of one.
fn parse_network(text: &str) -> Result<IpNet, &'static str> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse())
        .map_err(|_| "an address such as 10.1.2.3 or a network such as 10.0.0.0/8 is wanted")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn proxies_are_addresses_or_networks() {
        let network = |text: &str| super::parse_network(text).map(|network| network.to_string());
        assert_eq!(network("::1").unwrap(), "::1/128");
        assert_eq!(network("172.16.0.0/12").unwrap(), "172.16.0.0/12");
        for bad in ["", "nginx", "10.0.0.0/33", "10.0.0.0/8 "] {
            assert!(network(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_options_are_sound() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn the_readme_names_the_options_as_they_are() {
        let cli = super::Cli::command();
        telemetry::options::check_readme("api", cli.find_subcommand("serve").unwrap());
    }
}
