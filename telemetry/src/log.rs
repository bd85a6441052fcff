//! Log set-up: bunyan JSON for machines (`bunyan.rs`), plain text for people, and the way to a long-term store (`store.rs`).

use anyhow::Context as _;
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{bunyan::Bunyan, lines::Lines, store::Keep};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One bunyan JSON object a line (<https://github.com/trentm/node-bunyan#log-record-fields>).
    #[default]
    Json,
    /// Coloured text for a person at a terminal.
    Pretty,
}

/// The log options every program has.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Logs")]
pub struct LogConfig {
    /// What is logged: error, warn, info, debug, trace, or directives such as `info,sqlx=debug`.
    #[arg(long, env, default_value = "info")]
    pub log_level: String,
    /// How it is written.
    #[arg(long, env, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// The log of a running program. Dropped, it writes what has not been written yet: keep it until the end of `main`.
#[must_use = "what was logged last is written when this is dropped"]
pub struct Logs(Option<Lines>);

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(lines) = &self.0 {
            lines.flush();
        }
    }
}

/// Installs the process-wide subscriber; lines go to standard output, those of levels below warn at most 100 ms
/// late and many at once. `service` becomes bunyan's `name`.
///
/// # Errors
/// When `LOG_LEVEL` cannot be read as a filter, or a subscriber is already installed.
pub fn init(service: &'static str, config: &LogConfig) -> anyhow::Result<Logs> {
    init_storing(service, config, None)
}

/// The same, with records going to a long-term store as well, in whatever format the lines are.
///
/// # Errors
/// As [`init`].
pub fn init_storing(
    service: &'static str,
    config: &LogConfig,
    store: Option<Keep>,
) -> anyhow::Result<Logs> {
    let filter = filter(&config.log_level)?;
    let registry = tracing_subscriber::registry().with(filter);
    match config.log_format {
        LogFormat::Json => {
            let lines = Lines::to_stdout().context("no thread for the log")?;
            let installed = registry
                .with(Bunyan::new(service, Some(lines.clone()), store))
                .try_init();
            installed.map(|()| Logs(Some(lines)))
        }
        LogFormat::Pretty => registry
            .with(store.map(|store| Bunyan::new(service, None, Some(store))))
            .with(tracing_subscriber::fmt::layer())
            .try_init()
            .map(|()| Logs(None)),
    }
    .context("logging is already set up")
}

/// Reads `LOG_LEVEL`.
fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    // A lone word that is no level would name a module of which to log everything, and silence all the others.
    let mut words = text.split(',');
    let misspelt =
        words.find(|word| !word.contains(['=', '[']) && word.parse::<LevelFilter>().is_err());
    let refusal = || {
        format!(
            "LOG_LEVEL \"{text}\" is not a level (error, warn, info, debug, trace) or a list of directives"
        )
    };
    anyhow::ensure!(misspelt.is_none(), refusal());
    EnvFilter::try_new(text).with_context(refusal)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_level_is_one_of_five_words_or_belongs_to_a_module() {
        for sound in [
            "info",
            "WARN",
            "off",
            "info,sqlx=debug",
            "info,[request]=debug",
        ] {
            assert!(super::filter(sound).is_ok(), "{sound}");
        }
        for wrong in ["loud", "info,loud", "sqlx", "info,sqlx=loud", "a=b=c"] {
            let refusal = super::filter(wrong).unwrap_err().to_string();
            assert!(
                refusal.starts_with(&format!("LOG_LEVEL \"{wrong}\"")),
                "{refusal}"
            );
        }
    }
}
