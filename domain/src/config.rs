//! The options that more than one program has, in groups; each program flattens those it needs into its own
//! clap struct. Values are checked when the program starts, never at first use.

use clap::{
    ArgAction, Args,
    builder::{BoolishValueParser, RangedU64ValueParser},
};
use secrecy::SecretString;
use url::Url;

/// Where PostgreSQL is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "PostgreSQL")]
pub struct DatabaseConfig {
    /// PostgreSQL's address: postgres://user:password@host:port/database.
    #[arg(long, env, hide_env_values = true)]
    pub database_url: SecretString,
    /// The most connections this process opens. Mind that replicas × this stays below PostgreSQL's own limit.
    #[arg(long, env, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub database_max_connections: u32,
}

/// Where Redis is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Redis")]
pub struct RedisConfig {
    /// Redis' address: redis://:password@host:port/database. Wins over REDIS_HOST and REDIS_PORT.
    #[arg(long, env, hide_env_values = true)]
    pub redis_url: Option<SecretString>,
    /// Redis' host, when there is no REDIS_URL.
    #[arg(long, env, default_value = "127.0.0.1")]
    pub redis_host: String,
    /// Redis' port, when there is no REDIS_URL.
    #[arg(long, env, default_value_t = 6379)]
    pub redis_port: u16,
    /// What every key begins with, so that several stacks can share a Redis.
    #[arg(long, env, default_value = "linnet")]
    pub redis_prefix: String,
}

/// The feed cache.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Feed cache")]
pub struct CacheConfig {
    /// Whether the feed is cached. When false, every read asks PostgreSQL.
    #[arg(long, env, default_value_t = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub cache_active: bool,
}

/// What a post may be.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Posts")]
pub struct PostsConfig {
    /// The longest post, in Unicode scalar values, after trimming.
    #[arg(long, env, default_value_t = 500, value_parser = RangedU64ValueParser::<usize>::new().range(1..=5_000))]
    pub content_max_characters: usize,
}

/// Where the language model is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Language model")]
pub struct LlmConfig {
    /// Base address of llm-service, or of the proxy before its replicas.
    #[arg(long, env, default_value = "http://127.0.0.1:3300")]
    pub llm_url: Url,
    /// How long one answer may take, in seconds.
    #[arg(long, env, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub llm_timeout_seconds: u64,
}
