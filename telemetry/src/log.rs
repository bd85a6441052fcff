//! Log set-up: bunyan JSON for machines, plain text for people.

use anyhow::Context as _;
use tracing::{Event, Subscriber, span};
use tracing_bunyan_formatter::{BunyanFormattingLayer, JsonStorageLayer};
use tracing_subscriber::{
    EnvFilter, Layer, layer::Context, layer::SubscriberExt as _, registry::LookupSpan,
    util::SubscriberInitExt as _,
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
    let filter = EnvFilter::try_new(&config.log_level).with_context(|| {
        format!(
            "LOG_LEVEL \"{}\" is not a level (error, warn, info, debug, trace) or a list of directives",
            config.log_level
        )
    })?;
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
