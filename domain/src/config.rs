//! The options that more than one program has, in groups; each program flattens those it needs into its own
//! clap struct. Values are checked when the program starts, never at first use.

use clap::{
    ArgAction, Args, ValueEnum,
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
    /// Statements that take so many milliseconds are named in the log as warnings, without their values; 0: none.
    #[arg(long, env, default_value_t = 250)]
    pub log_slow_query_ms: u64,
}

impl DatabaseConfig {
    /// The same with the most connections divided among so many pools, none without one.
    #[must_use]
    pub fn divided(&self, pools: usize) -> Self {
        let pools = u32::try_from(pools.max(1)).unwrap_or(u32::MAX);
        Self {
            database_max_connections: (self.database_max_connections / pools).max(1),
            ..self.clone()
        }
    }
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

/// Home timelines.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Home timelines")]
pub struct TimelineConfig {
    /// Posts of accounts with more followers than this are not written to their followers' timelines; those who read
    /// look for them. An account that has once had so many stays that way.
    #[arg(long, env, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub timeline_fanout_max_followers: u32,
}

/// What a post may be.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Posts")]
pub struct PostsConfig {
    /// The longest post, in Unicode scalar values, after trimming.
    #[arg(long, env, default_value_t = 500, value_parser = RangedU64ValueParser::<usize>::new().range(1..=5_000))]
    pub content_max_characters: usize,
}

/// What the server at `LLM_URL` speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LlmBackend {
    /// llm-service's own protocol.
    Native,
    /// OpenAI's, as many servers do; llm-service too.
    Openai,
}

/// Where the language model is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Language model")]
pub struct LlmConfig {
    /// What the server at LLM_URL speaks: `native` is llm-service's own protocol, `openai` that of any
    /// OpenAI-compatible server.
    #[arg(long, env, value_enum, default_value_t = LlmBackend::Native, hide_possible_values = true)]
    pub llm_backend: LlmBackend,
    /// Base address of llm-service, of the proxy before its replicas, or of an OpenAI-compatible server; with or
    /// without /v1.
    #[arg(long, env, default_value = "http://127.0.0.1:3300")]
    pub llm_url: Url,
    /// For `openai`: the model to ask for. Empty: the first that the server lists.
    #[arg(long, env)]
    pub llm_api_model: Option<String>,
    /// For `openai`: the key, sent as a bearer token. Empty: none.
    #[arg(long, env, hide_env_values = true)]
    pub llm_api_key: Option<SecretString>,
    /// How long one answer may take, in seconds.
    #[arg(long, env, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub llm_timeout_seconds: u64,
    /// How long posts of the same words share a verdict, in seconds; 0 asks the model for each.
    #[arg(long, env, default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(0..=2_592_000))]
    pub llm_share_seconds: u64,
}
