//! Times as readers like them: how long ago, or the day. `assets/app.js` says them in the same words.

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};

/// A moment.
pub struct When {
    /// For programs, in UTC.
    pub iso: String,
    /// To the minute, in UTC.
    pub exact: String,
    /// How long ago, within a week; else the day.
    pub short: String,
}

impl When {
    /// `then` as seen from `now`.
    #[must_use]
    pub fn new(then: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            iso: then.to_rfc3339_opts(SecondsFormat::Secs, true),
            exact: then.format("%-d %B %Y, %H:%M UTC").to_string(),
            short: short(then, now),
        }
    }
}

fn short(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    // Two machines' clocks may differ by a moment.
    let seconds = (now - then).num_seconds().max(0);
    match seconds {
        0..60 => "now".to_owned(),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        86_400..604_800 => format!("{} d", seconds / 86_400),
        _ if then.year() == now.year() => then.format("%-d %b").to_string(),
        _ => then.format("%-d %b %Y").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Duration, TimeZone as _};

    #[test]
    fn how_long_ago_in_the_words_of_the_script() {
        let now = Utc.with_ymd_and_hms(2026, 3, 9, 14, 30, 0).unwrap();
        for (ago, words) in [
            (Duration::seconds(-3), "now"),
            (Duration::seconds(59), "now"),
            (Duration::seconds(60), "1 min"),
            (Duration::minutes(59), "59 min"),
            (Duration::minutes(60), "1 h"),
            (Duration::hours(24), "1 d"),
            (Duration::days(6), "6 d"),
            (Duration::days(7), "2 Mar"),
            (Duration::days(70), "29 Dec 2025"),
        ] {
            assert_eq!(When::new(now - ago, now).short, words);
        }
        let when = When::new(now, now);
        assert_eq!(when.iso, "2026-03-09T14:30:00Z");
        assert_eq!(when.exact, "9 March 2026, 14:30 UTC");
    }
}
