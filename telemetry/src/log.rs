//! Log set-up: bunyan JSON for machines (`bunyan.rs`), plain text for people, and the way to a long-term store (`store.rs`).

use anyhow::Context as _;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt as _, registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::{
    bunyan::Bunyan,
    lines::Lines,
    store::Keep,
    trace::{self, TraceConfig, Traces},
};

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

/// The log of a running program, and its traces. Dropped, it writes and sends what has not been: keep it until the end of
/// `main`.
#[must_use = "what was logged last is written when this is dropped"]
pub struct Logs {
    lines: Option<Lines>,
    traces: Option<Traces>,
}

impl Drop for Logs {
    fn drop(&mut self) {
        // Traces first: that some cannot be sent is still to be logged.
        drop(self.traces.take());
        if let Some(lines) = &self.lines {
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
    init_serving(service, config, &TraceConfig::default(), None)
}

/// The same for a program that serves: it makes traces, if `traces` says where to, and records go to a long-term store as
/// well, if there is one, in whatever format the lines are.
///
/// # Errors
/// As [`init`], or when an option of the traces is wrong.
pub fn init_serving(
    service: &'static str,
    config: &LogConfig,
    traces: &TraceConfig,
    store: Option<Keep>,
) -> anyhow::Result<Logs> {
    let filter = filter(&config.log_level)?;
    let registry = tracing_subscriber::registry();
    let (installed, lines, traces) = match trace::start(service, traces)? {
        // One filter for everything: with none of its own, a layer costs a span or an event the least.
        None => {
            let (words, lines) = words(service, config, store)?;
            (registry.with(filter).with(words).try_init(), lines, None)
        }
        // What belongs to a trace and what is logged are decided apart.
        Some((spans, traces)) => {
            let (words, lines) = words(service, config, store)?;
            let words = words.with_filter(filter);
            (
                registry.with(spans).with(words).try_init(),
                lines,
                Some(traces),
            )
        }
    };
    installed.context("logging is already set up")?;
    Ok(Logs { lines, traces })
}

/// What writes the log and gives it to the store, and the lines that it gathers.
fn words<S>(
    service: &'static str,
    config: &LogConfig,
    store: Option<Keep>,
) -> anyhow::Result<(Box<dyn Layer<S> + Send + Sync>, Option<Lines>)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    Ok(match config.log_format {
        LogFormat::Json => {
            let lines = Lines::to_stdout().context("no thread for the log")?;
            let layer = Bunyan::new(service, Some(lines.clone()), store);
            (layer.boxed(), Some(lines))
        }
        LogFormat::Pretty => {
            let printed = tracing_subscriber::fmt::layer();
            let layer = match store {
                Some(store) => Bunyan::new(service, None, Some(store))
                    .and_then(printed)
                    .boxed(),
                None => printed.boxed(),
            };
            (layer, None)
        }
    })
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
