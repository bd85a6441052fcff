//! Log set-up: bunyan JSON for machines, plain text for people.

use anyhow::Context as _;
use tracing::{Event, Subscriber, span};
use tracing_bunyan_formatter::{BunyanFormattingLayer, JsonStorageLayer};
use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, layer::Context, layer::SubscriberExt as _,
    registry::LookupSpan, util::SubscriberInitExt as _,
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

/// Installs the process-wide subscriber; lines go to standard output. `service` becomes bunyan's `name`.
///
/// # Errors
/// When `LOG_LEVEL` cannot be read as a filter, or a subscriber is already installed.
pub fn init(service: &'static str, config: &LogConfig) -> anyhow::Result<()> {
    let filter = filter(&config.log_level)?;
    let registry = tracing_subscriber::registry().with(filter);
    match config.log_format {
        LogFormat::Json => {
            // The place in the source says little to an operator and would be half of every line.
            let bunyan = BunyanFormattingLayer::new(service.into(), std::io::stdout)
                .skip_fields(["file", "line"].into_iter())?;
            registry
                .with(JsonStorageLayer)
                .with(WithoutSpanStarts(bunyan))
                .try_init()
        }
        LogFormat::Pretty => registry.with(tracing_subscriber::fmt::layer()).try_init(),
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

/// Drops the record that the bunyan layer writes when a span opens: a request is one line, written when it
/// ends, which carries everything the first one would have said and the status and latency besides.
struct WithoutSpanStarts<L>(L);

impl<S, L> Layer<S> for WithoutSpanStarts<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        self.0.on_event(event, ctx);
    }

    fn on_close(&self, id: span::Id, ctx: Context<'_, S>) {
        self.0.on_close(id, ctx);
    }
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
