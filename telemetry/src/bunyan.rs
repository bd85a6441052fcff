//! Log records as bunyan JSON (<https://github.com/trentm/node-bunyan#log-record-fields>), one object a line.
//!
//! A span's fields are rendered when they become known and then only copied: a request's line is written on the thread that
//! answers others, and as a map of values it took an eighth of the time of a cached read.

use std::{
    fmt::{self, Write as _},
    time::{Instant, SystemTime},
};

use chrono::{DateTime, SecondsFormat, Utc};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{lines::Lines, store::Keep};

/// Fields that every record has; a field of the same name in a span or event would make two of them.
const OWN: [&str; 8] = [
    "v", "name", "msg", "level", "hostname", "pid", "time", "target",
];

/// The layer: a line for each event, and for each span one when it ends, with its fields and
/// `elapsed_milliseconds`. It writes nothing when a span begins: the line at its end says all that and how it ended.
pub(crate) struct Bunyan {
    lines: Option<Lines>,
    store: Option<Keep>,
    /// `{"v":0,"name":…,"hostname":…,"pid":…`, which is the same in every line.
    head: String,
}

impl Bunyan {
    /// One whose lines go to `lines`, to the long-term store, or to both.
    pub(crate) fn new(service: &str, lines: Option<Lines>, store: Option<Keep>) -> Self {
        let mut head = String::from(r#"{"v":0,"name":"#);
        quote(&mut head, service);
        head.push_str(r#","hostname":"#);
        quote(
            &mut head,
            &rustix::system::uname().nodename().to_string_lossy(),
        );
        let _never_fails = write!(head, r#","pid":{}"#, std::process::id());
        Self { lines, store, head }
    }

    /// Writes a line with the fields of `own`, those of `outer`, and what `end` appends.
    fn write(
        &self,
        about: &Metadata<'_>,
        message: fmt::Arguments<'_>,
        own: &Fields,
        outer: &Fields,
        end: &str,
    ) {
        let level = match *about.level() {
            Level::ERROR => 50,
            Level::WARN => 40,
            Level::INFO => 30,
            Level::DEBUG => 20,
            Level::TRACE => 10,
        };
        let store = self.store.as_ref().filter(|store| {
            let value = |name| own.get(name).or_else(|| outer.get(name));
            store.wants(level, || value("request_id"), || value("http.status"))
        });
        if self.lines.is_none() && store.is_none() {
            return;
        }
        let now: DateTime<Utc> = SystemTime::now().into();
        let time = now.to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut line = String::with_capacity(512);
        let _never_fails = write!(
            line,
            r#"{},"level":{level},"time":"{time}","target":"{}","msg":""#,
            self.head,
            about.target()
        );
        let _never_fails = write!(Escaped(&mut line), "{message}");
        line.push('"');
        for more in [&own.text, &outer.text, end] {
            line.push_str(more);
        }
        line.push_str("}\n");
        if let Some(lines) = &self.lines {
            lines.add(&line, level >= 40);
        }
        if let Some(store) = store {
            store.offer(line);
        }
    }
}

impl<S> Layer<S> for Bunyan
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = span
            .parent()
            .and_then(|parent| parent.extensions().get::<Fields>().cloned())
            .unwrap_or_default();
        attributes.record(&mut fields);
        let mut extensions = span.extensions_mut();
        extensions.insert(fields);
        extensions.insert(Instant::now());
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let about = event.metadata();
        let mut own = Fields::default();
        event.record(&mut own);
        let message = own.message.as_deref().unwrap_or(about.target());
        let Some(span) = ctx.lookup_current() else {
            let none = Fields::default();
            return self.write(about, format_args!("{message}"), &own, &none, "");
        };
        let extensions = span.extensions();
        let mut outer = extensions.get::<Fields>().cloned().unwrap_or_default();
        for (name, _) in &own.starts {
            outer.remove(name);
        }
        let name = span.metadata().name().to_uppercase();
        self.write(
            about,
            format_args!("[{name} - EVENT] {message}"),
            &own,
            &outer,
            "",
        );
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let extensions = span.extensions();
        let none = Fields::default();
        let fields = extensions.get::<Fields>().unwrap_or(&none);
        let elapsed = extensions.get::<Instant>().map(Instant::elapsed);
        let elapsed = format!(
            r#","elapsed_milliseconds":{:.3}"#,
            elapsed.unwrap_or_default().as_secs_f64() * 1e3
        );
        let name = span.metadata().name().to_uppercase();
        self.write(
            span.metadata(),
            format_args!("[{name} - END]"),
            fields,
            &none,
            &elapsed,
        );
    }
}

/// Fields as they stand in a line: `,"name":value` one after the other.
#[derive(Clone, Default)]
struct Fields {
    text: String,
    /// Where each begins.
    starts: Vec<(&'static str, usize)>,
    /// An event's own words, which have a place of their own.
    message: Option<String>,
}

impl Fields {
    /// Makes room for a value, in place of an earlier one of the same name.
    fn begin(&mut self, name: &'static str) -> bool {
        // What begins so is said to the traces.
        if OWN.contains(&name) || name.starts_with("otel.") {
            return false;
        }
        self.remove(name);
        self.starts.push((name, self.text.len()));
        let _never_fails = write!(self.text, r#","{name}":"#);
        true
    }

    /// A value as it stands in the line, as JSON.
    fn get(&self, name: &str) -> Option<&str> {
        let place = self.starts.iter().position(|(known, _)| *known == name)?;
        let end = match self.starts.get(place + 1) {
            Some((_, next)) => *next,
            None => self.text.len(),
        };
        // What `begin` wrote before it.
        let start = self.starts[place].1 + r#","":"#.len() + name.len();
        self.text.get(start..end)
    }

    fn remove(&mut self, name: &str) {
        let Some(place) = self.starts.iter().position(|(known, _)| *known == name) else {
            return;
        };
        let (_, start) = self.starts.remove(place);
        let end = self
            .starts
            .get(place)
            .map_or(self.text.len(), |next| next.1);
        self.text.replace_range(start..end, "");
        for later in &mut self.starts[place..] {
            later.1 -= end - start;
        }
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        if self.begin(field.name()) {
            let _never_fails = write!(self.text, "{value}");
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = Some(format!("{value:?}"));
        } else if self.begin(field.name()) {
            self.text.push('"');
            let _never_fails = write!(Escaped(&mut self.text), "{value:?}");
            self.text.push('"');
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = Some(value.to_owned());
        } else if self.begin(field.name()) {
            quote(&mut self.text, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON knows neither infinity nor NaN.
        if value.is_finite() {
            self.plain(field, value);
        } else {
            self.plain(field, "null");
        }
    }
}

/// Appends `text` as a JSON string.
fn quote(line: &mut String, text: &str) {
    line.push('"');
    let _never_fails = Escaped(line).write_str(text);
    line.push('"');
}

/// Writes text as the inside of a JSON string (RFC 8259, section 7).
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (place, byte) in text.bytes().enumerate() {
            if !matches!(byte, b'"' | b'\\' | 0..0x20) {
                continue;
            }
            self.0.push_str(&text[plain..place]);
            plain = place + 1;
            match byte {
                b'"' => self.0.push_str("\\\""),
                b'\\' => self.0.push_str("\\\\"),
                b'\n' => self.0.push_str("\\n"),
                b'\r' => self.0.push_str("\\r"),
                b'\t' => self.0.push_str("\\t"),
                _ => write!(self.0, "\\u{byte:04x}")?,
            }
        }
        self.0.push_str(&text[plain..]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What `work` logs, line by line.
    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let out = Arc::clone(&written);
        let lines = Lines::to(move |bytes| {
            out.lock().unwrap().extend_from_slice(bytes);
            Ok(())
        });
        let layer = Bunyan::new("a \"service\"", Some(lines.clone()), None);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        lines.flush();
        let written = written.lock().unwrap();
        let text = std::str::from_utf8(&written).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn an_event_has_its_words_its_fields_and_those_of_the_spans_around_it() {
        let lines = logged(|| {
            let request = tracing::info_span!(
                "request",
                request_id = "r-1",
                user.id = tracing::field::Empty,
                n = 1
            );
            let _in_request = request.enter();
            request.record("user.id", 7);
            let _in_step = tracing::info_span!("step", n = 2).entered();
            tracing::warn!(error = %"a \"bad\"\tone\u{1}", ok = false, share = 0.5, n = 3, "it\nfailed");
        });
        let [event, step, request] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert_eq!(event["v"], 0);
        assert_eq!(event["name"], "a \"service\"");
        assert_eq!(event["level"], 40);
        assert_eq!(event["pid"], std::process::id());
        assert_eq!(event["msg"], "[STEP - EVENT] it\nfailed");
        assert_eq!(event["error"], "a \"bad\"\tone\u{1}");
        assert_eq!(event["ok"], false);
        assert_eq!(event["share"], 0.5);
        assert_eq!(event["n"], 3, "the innermost counts");
        assert_eq!(event["request_id"], "r-1");
        assert_eq!(event["user.id"], 7, "recorded before the step began");
        let time = event["time"].as_str().unwrap();
        assert!(DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
        assert_eq!(
            (&step["msg"], &step["n"]),
            (&"[STEP - END]".into(), &2.into())
        );
        assert_eq!(
            (&request["msg"], &request["n"]),
            (&"[REQUEST - END]".into(), &1.into())
        );
        assert!(request["elapsed_milliseconds"].as_f64().unwrap() >= 0.0);
    }

    #[test]
    fn no_name_stands_twice_in_a_line() {
        let lines = logged(|| {
            let span = tracing::info_span!("job", state = "new", attempt = 1);
            span.record("state", "done");
            span.record("state", "done at last");
            let _in_job = span.enter();
            tracing::info!(pid = 1, level = "mine", nan = f64::NAN, state = 1, "words");
        });
        assert_eq!(lines[0]["state"], 1);
        assert_eq!(lines[0]["pid"], std::process::id());
        assert_eq!(lines[0]["nan"], Value::Null);
        assert_eq!(lines[1]["state"], "done at last");
        assert_eq!(lines[1]["attempt"], 1);
    }

    #[test]
    fn an_event_without_words_is_called_by_its_target() {
        let lines = logged(|| tracing::info!(target: "a::place", n = 1));
        assert_eq!(lines[0]["msg"], "a::place");
    }
}
