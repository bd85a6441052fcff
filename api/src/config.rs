//! The program's options; every one is a flag and an environment variable.

use std::net::IpAddr;

use clap::{Args, Parser, Subcommand};
use domain::{
    auth::AuthConfig,
    config::{CacheConfig, DatabaseConfig, LlmConfig, PostsConfig, RedisConfig},
    rate_limits::RateLimitConfig,
};
use telemetry::LogConfig;

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
    /// Addresses of the proxies before this API, whose X-Forwarded-For and X-Forwarded-Proto are believed.
    #[arg(long, env, value_delimiter = ',', default_value = "127.0.0.1,::1")]
    pub trusted_proxies: Vec<IpAddr>,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

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
