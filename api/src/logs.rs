//! `api logs`: reads the long-term log back, for people and for programs. What is stored and how it is found is
//! `domain::logs`' matter.

use std::{
    io::{self, ErrorKind, StdoutLock, Write},
    time::Duration,
};

use anyhow::Context as _;
use chrono::SecondsFormat;
use clap::{Args, ValueEnum};
use domain::{
    Error,
    clock::Clock,
    config::DatabaseConfig,
    logs::{Conditions, Level, Moment, Reader, Start, Statuses, Stored},
};
use serde_json::{Map, Value};

/// How often a follower looks for what has arrived.
const LOOK: Duration = Duration::from_millis(500);
/// How many of the newest records a follower begins with who asks for nothing else.
const TAIL: u32 = 10;

/// What `api logs --help` ends with.
pub const EXAMPLES: &str = "\
A TIME is so long ago (90s, 15m, 1h, 2d), a day in UTC (2026-01-31) or a moment (2026-01-31T12:00:00Z).

Examples:
  What went wrong in the last hour:
    api logs --level warn
  All that is known of a request, up to the verdict; its id is in the answer's header x-request-id:
    api logs --request-id 0af7651916cd43dd8448eb211c80319c
  Requests that failed yesterday, as JSON for jq:
    api logs --since 2026-01-30 --until 2026-01-31 --status 5xx --format json | jq -r '.\"http.route\"' | sort | uniq -c
  The last 20 records of a route:
    api logs --route '/api/posts/{id}' --limit 20
  What the workers log, as it happens:
    api logs --service worker --follow

Stored are all warnings, errors and failed requests, and of the other requests the share LOG_STORE_SAMPLE, for
LOG_STORE_DAYS days.";

/// How records are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line that reads well.
    #[default]
    Pretty,
    /// The bunyan record as it was logged.
    Json,
}

/// The options of `logs`.
#[derive(Clone, Debug, Args)]
pub struct LogsConfig {
    /// Records not older than this; without it those of the last hour, or with --request-id all.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Records older than this.
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub until: Option<Moment>,
    /// Records of this level or a higher one.
    #[arg(long, value_enum, default_value = "trace")]
    pub level: Level,
    /// Records of this request.
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Records of this program: api or worker.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Requests of this route, as it stands in the API's document.
    #[arg(long, value_name = "TEMPLATE")]
    pub route: Option<String>,
    /// Requests answered so: 404, or 5xx for 500 to 599.
    #[arg(long)]
    pub status: Option<Statuses>,
    /// No more than so many, the newest ones.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Go on with what arrives, until Ctrl-C; without --since and --limit it begins with the last ten.
    #[arg(long, short)]
    pub follow: bool,
    /// How they are shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// PostgreSQL.
    #[command(flatten)]
    pub database: DatabaseConfig,
}

impl LogsConfig {
    fn conditions(&self) -> Conditions {
        let now = Clock::System.now();
        let everything = Moment::At(chrono::DateTime::UNIX_EPOCH);
        let since = self.since.unwrap_or(match self.request_id {
            Some(_) => everything,
            None => Moment::Ago(chrono::TimeDelta::hours(1)),
        });
        Conditions {
            since: since.before(now),
            until: self.until.map(|until| until.before(now)),
            level: self.level,
            request_id: self.request_id.clone(),
            service: self.service.clone(),
            route: self.route.clone(),
            status: self.status,
        }
    }

    fn start(&self) -> Start {
        match self.limit {
            Some(limit) => Start::Newest(limit),
            None if self.follow && self.since.is_none() => Start::Newest(TAIL),
            None => Start::Oldest,
        }
    }
}

/// Writes the records to standard output. A reader that has gone (`| head`) has seen enough, which is no error.
///
/// # Errors
/// A sentence, when the store cannot be read.
pub async fn run(config: &LogsConfig) -> anyhow::Result<()> {
    let (conditions, start) = (config.conditions(), config.start());
    let mut reader = Reader::open(&config.database, conditions, start, config.follow).await?;
    let mut any = false;
    loop {
        let page = reader.next().await.context("cannot read the log store")?;
        if page.is_empty() {
            break;
        }
        any = true;
        if !show(&page, config.format)? {
            return Ok(());
        }
    }
    if !any {
        explain(&mut reader, config).await?;
    }
    if config.follow {
        follow(&mut reader, config.format).await?;
    }
    Ok(())
}

async fn follow(reader: &mut Reader, format: Format) -> anyhow::Result<()> {
    loop {
        match reader.arrived().await {
            Ok(page) if page.is_empty() => tokio::time::sleep(LOOK).await,
            Ok(page) => {
                if !show(&page, format)? {
                    return Ok(());
                }
            }
            Err(error @ Error::Unavailable { .. }) => {
                note(&format!("{error}; trying again until it is"));
                while reader.reconnect().await.is_err() {
                    tokio::time::sleep(LOOK).await;
                }
                note("the database is available again");
            }
            Err(error) => return Err(error).context("cannot read the log store"),
        }
    }
}

/// Says why there is nothing.
async fn explain(reader: &mut Reader, config: &LogsConfig) -> anyhow::Result<()> {
    let reach = reader.reach().await.context("cannot read the log store")?;
    let Some((oldest, newest)) = reach else {
        note(
            "the log store is empty: nothing was ever stored, or all of it has grown too old. LOG_STORE=postgres has \
             the API and the workers store what they log",
        );
        return Ok(());
    };
    let time = |time: chrono::DateTime<_>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let sampled = match config.request_id {
        Some(_) => {
            "; a request of which nothing is stored may have been left out by LOG_STORE_SAMPLE"
        }
        None => "",
    };
    note(&format!(
        "no record meets these conditions. The store reaches from {} to {}{sampled}",
        time(oldest),
        time(newest)
    ));
    Ok(())
}

/// For the person and not for the program that reads the records.
fn note(text: &str) {
    // Nobody may be there to read it.
    let _unread = writeln!(io::stderr(), "api logs: {text}");
}

/// Answers whether anybody still reads.
fn show(records: &[Stored], format: Format) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    let written = records
        .iter()
        .try_for_each(|record| write_record(&mut out, &record.record, format))
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written
            .map(|()| true)
            .context("cannot write to standard output"),
    }
}

fn write_record(out: &mut StdoutLock<'_>, record: &str, format: Format) -> io::Result<()> {
    match format {
        Format::Json => writeln!(out, "{record}"),
        Format::Pretty => writeln!(out, "{}", pretty(record)),
    }
}

/// The fields that the beginning of the line shows, and those that tell nothing new.
const NOT_AGAIN: [&str; 8] = [
    "v", "name", "msg", "level", "hostname", "pid", "time", "target",
];

/// Time, level, program, words, and the other fields as name=value.
fn pretty(record: &str) -> String {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(record) else {
        return plain(record);
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let level = match fields.get("level").and_then(Value::as_i64) {
        Some(50) => "ERROR",
        Some(40) => "WARN",
        Some(30) => "INFO",
        Some(20) => "DEBUG",
        _ => "TRACE",
    };
    let mut line = format!(
        "{} {level:5} {:6} {}",
        plain(text("time")),
        plain(text("name")),
        plain(text("msg"))
    );
    for (name, value) in &fields {
        if NOT_AGAIN.contains(&name.as_str()) {
            continue;
        }
        let value = match value {
            Value::String(text) if is_word(text) => text.clone(),
            other => plain(&other.to_string()),
        };
        line.push_str(&format!(" {}={value}", plain(name)));
    }
    line
}

fn is_word(text: &str) -> bool {
    let is_plain = |character: char| !character.is_control() && !character.is_whitespace();
    !text.is_empty() && !text.contains(['"', '=']) && text.chars().all(is_plain)
}

/// The text with control characters written out: what was logged must not move the reader's cursor.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            control if control.is_control() => plain.extend(control.escape_default()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_that_shows_each_field_once() {
        let line = r#"{"v":0,"name":"api","hostname":"h","pid":1,"level":40,"time":"2026-01-31T12:00:00.000001Z","target":"t","msg":"[REQUEST - EVENT] slow","request_id":"r-1","http.status":200,"why":"two words","share":0.5,"none":null}"#;
        assert_eq!(
            pretty(line),
            "2026-01-31T12:00:00.000001Z WARN  api    [REQUEST - EVENT] slow http.status=200 none=null request_id=r-1 \
             share=0.5 why=\"two words\""
        );
        assert_eq!(pretty("no record"), "no record");
    }

    #[test]
    fn nothing_that_was_logged_moves_the_cursor() {
        let line = r#"{"level":30,"msg":"a\u001b[2Jb\nc\u009bd","x\u001b":"\u001b]0;title\u0007","y":"a=b"}"#;
        let shown = pretty(line);
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(shown.contains(r"a\u{1b}[2Jb\nc\u{9b}d"), "{shown}");
        assert!(shown.contains(r#"y="a=b""#), "{shown}");
    }
}
