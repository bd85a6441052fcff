//! What is stored of a log record, and what is asked of those that are.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

/// What is read of a bunyan line for the columns.
#[derive(Deserialize)]
struct Head {
    time: DateTime<Utc>,
    level: i16,
    name: String,
    request_id: Option<Value>,
    #[serde(rename = "http.route")]
    route: Option<Value>,
    #[serde(rename = "http.status")]
    status: Option<Value>,
}

/// A record on its way into the database.
pub(super) struct Row<'a> {
    pub time: DateTime<Utc>,
    head: Head,
    line: &'a str,
}

impl<'a> Row<'a> {
    /// Takes a bunyan line apart; `None` when it is none.
    pub fn read(line: &'a str) -> Option<Self> {
        let line = line.trim_end();
        let head: Head = serde_json::from_str(line).ok()?;
        Some(Self {
            time: head.time,
            head,
            line,
        })
    }

    /// Appends the row in the text format of COPY
    /// (<https://www.postgresql.org/docs/15/sql-copy.html#id-1.9.3.55.9.2>): time, level, service, request id, route,
    /// status, line.
    pub fn write(&self, rows: &mut String) {
        let head = &self.head;
        let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map(String::from);
        let status = head.status.as_ref().and_then(Value::as_i64);
        let status = status.and_then(|status| i16::try_from(status).ok());
        rows.push_str(&self.time.to_rfc3339_opts(SecondsFormat::Micros, true));
        rows.push('\t');
        rows.push_str(&head.level.to_string());
        rows.push('\t');
        escape(rows, &head.name);
        for value in [
            text(&head.request_id),
            text(&head.route),
            status.map(|status| status.to_string()),
        ] {
            rows.push('\t');
            match value {
                Some(value) => escape(rows, &value),
                None => rows.push_str("\\N"),
            }
        }
        rows.push('\t');
        escape(rows, self.line);
        rows.push('\n');
    }
}

fn escape(rows: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => rows.push_str("\\\\"),
            '\n' => rows.push_str("\\n"),
            '\r' => rows.push_str("\\r"),
            '\t' => rows.push_str("\\t"),
            // PostgreSQL has no such character.
            '\0' => {}
            other => rows.push(other),
        }
    }
}

/// A record as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number, in the order of arrival.
    pub id: i64,
    /// When it was made.
    pub time: DateTime<Utc>,
    /// The bunyan line, without a line break.
    pub record: String,
}

/// The levels of records, as bunyan numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
#[repr(i16)]
pub enum Level {
    Trace = 10,
    Debug = 20,
    Info = 30,
    Warn = 40,
    Error = 50,
}

/// A time as people give it: `90s`, `15m`, `1h`, `2d` ago; `2026-01-31`, its first moment in UTC; `2026-01-31T12:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long before now.
    Ago(TimeDelta),
    /// This very time.
    At(DateTime<Utc>),
}

impl Moment {
    /// The time that it is, from 1970 on: there are no older records, and PostgreSQL's calendar begins later than ours.
    #[must_use]
    pub fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Ago(time) => now.checked_sub_signed(time),
            Self::At(time) => Some(time),
        }
        .map_or(DateTime::UNIX_EPOCH, |time| time.max(DateTime::UNIX_EPOCH))
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "s" => Some(TimeDelta::seconds as fn(i64) -> TimeDelta),
            "m" => Some(TimeDelta::minutes as _),
            "h" => Some(TimeDelta::hours as _),
            "d" => Some(TimeDelta::days as _),
            _ => None,
        };
        if let (Ok(number), Some(unit)) = (number.parse::<u32>(), unit) {
            return Ok(Self::Ago(unit(number.into())));
        }
        if let Ok(day) = text.parse::<NaiveDate>() {
            return Ok(Self::At(day.and_time(NaiveTime::MIN).and_utc()));
        }
        DateTime::parse_from_rfc3339(text)
            .map(|time| Self::At(time.to_utc()))
            .map_err(|_| {
                "a time is like 90s, 15m, 1h or 2d (ago), 2026-01-31 or 2026-01-31T12:00:00Z".into()
            })
    }
}

/// HTTP statuses: one (`404`) or a hundred (`5xx`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    lowest: i16,
    highest: i16,
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a status is like 404 or 5xx".to_owned();
        if let Some(hundred) = text.strip_suffix("xx") {
            let hundred: i16 = hundred.parse().map_err(|_| wrong())?;
            return (1..=5)
                .contains(&hundred)
                .then(|| Self {
                    lowest: hundred * 100,
                    highest: hundred * 100 + 99,
                })
                .ok_or_else(wrong);
        }
        let status = text.parse().map_err(|_| wrong())?;
        (100..=599)
            .contains(&status)
            .then_some(Self {
                lowest: status,
                highest: status,
            })
            .ok_or_else(wrong)
    }
}

/// Which records; each condition that is given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Not older than this.
    pub since: DateTime<Utc>,
    /// Older than this.
    pub until: Option<DateTime<Utc>>,
    /// Of this level or a higher one.
    pub level: Level,
    /// Of this request, wherever it left records.
    pub request_id: Option<String>,
    /// Of this program.
    pub service: Option<String>,
    /// About a request of this route, by its template.
    pub route: Option<String>,
    /// About an answer of these statuses.
    pub status: Option<Statuses>,
}

impl Conditions {
    /// The lowest and the highest status.
    pub(super) fn statuses(&self) -> (Option<i16>, Option<i16>) {
        let status = self.status;
        (
            status.map(|status| status.lowest),
            status.map(|status| status.highest),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: &str) -> Option<String> {
        let mut rows = String::new();
        Row::read(line)?.write(&mut rows);
        Some(rows)
    }

    #[test]
    fn a_line_is_taken_apart_and_kept_whole() {
        let line = concat!(
            r#"{"v":0,"name":"api","level":30,"time":"2026-01-31T23:59:59.999999Z","msg":"a\\b\u0000\tc","#,
            r#""request_id":"r-1","http.route":"/api/posts/{id}","http.status":503}"#
        );
        assert_eq!(
            row(&format!("{line}\n")).unwrap(),
            format!(
                "2026-01-31T23:59:59.999999Z\t30\tapi\tr-1\t/api/posts/{{id}}\t503\t{}\n",
                line.replace('\\', r"\\")
            )
        );
    }

    #[test]
    fn what_is_missing_is_null_and_what_cannot_be_stored_is_left_out_of_the_columns() {
        let line = r#"{"name":"a\tb\u0000c\\","level":40,"time":"2026-01-31T00:00:00Z","request_id":7,"http.status":"odd"}"#;
        let stored = row(line).unwrap();
        let columns: Vec<_> = stored.split('\t').collect();
        assert_eq!(
            columns[..6],
            [
                "2026-01-31T00:00:00.000000Z",
                "40",
                r"a\tbc\\",
                r"\N",
                r"\N",
                r"\N"
            ]
        );
        for wrong in ["", "words", "{}", r#"{"name":"a","level":30,"time":"now"}"#] {
            assert_eq!(row(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_given_as_people_do() {
        let now: DateTime<Utc> = "2026-01-31T12:00:00Z".parse().unwrap();
        for (text, time) in [
            ("90s", "2026-01-31T11:58:30Z"),
            ("15m", "2026-01-31T11:45:00Z"),
            ("1h", "2026-01-31T11:00:00Z"),
            ("2d", "2026-01-29T12:00:00Z"),
            ("4294967295d", "1970-01-01T00:00:00Z"),
            ("2026-01-30", "2026-01-30T00:00:00Z"),
            ("2026-01-30T01:00:00+01:00", "2026-01-30T00:00:00Z"),
            ("0001-01-01", "1970-01-01T00:00:00Z"),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(
                moment.before(now),
                time.parse::<DateTime<Utc>>().unwrap(),
                "{text}"
            );
        }
        for wrong in [
            "",
            "1",
            "h",
            "-1h",
            "1.5h",
            "1h30m",
            "4294967296s",
            "soon",
            "2026-02-30",
            "1é",
        ] {
            let refusal = wrong.parse::<Moment>().unwrap_err();
            assert!(refusal.contains("15m"), "{wrong}: {refusal}");
        }
    }

    #[test]
    fn a_status_is_one_or_a_hundred() {
        let statuses = |text: &str| {
            text.parse()
                .map(|Statuses { lowest, highest }| (lowest, highest))
        };
        assert_eq!(statuses("404"), Ok((404, 404)));
        assert_eq!(statuses("5xx"), Ok((500, 599)));
        for wrong in ["", "xx", "0xx", "6xx", "-1xx", "99", "600", "5x", "error"] {
            assert!(statuses(wrong).is_err(), "{wrong}");
        }
    }
}
