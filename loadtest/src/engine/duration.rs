//! Durations as people write them: `500ms`, `10s`, `2m`, `1h30m`.

use std::time::Duration;

use anyhow::{Result, bail};

/// Reads a duration: numbers with the units `ms`, `s`, `m` or `h`, one after the other.
///
/// # Errors
/// When it is something else; the sentence says what to write.
pub fn parse(text: &str) -> Result<Duration> {
    let refused = || {
        anyhow::anyhow!(
            "`{text}` is not a duration: write a number with its unit, such as 500ms, 10s, 2m or 1h30m"
        )
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(refused());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| refused())?;
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        seconds += number
            * match unit {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(refused()),
            };
        rest = after;
    }
    if seconds > 30.0 * 86_400.0 {
        bail!("`{text}` is more than 30 days, longer than anything this harness runs");
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Writes a duration in the form that [`parse`] reads, to the millisecond.
#[must_use]
pub fn format(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [
        (millis / 3_600_000, "h"),
        (millis / 60_000 % 60, "m"),
        (millis / 1000 % 60, "s"),
        (millis % 1000, "ms"),
    ];
    let text: String = units
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_unit_it_is_refused_with_an_example() {
        for wrong in ["", "10", "s", "10 parsecs", "1..5s", "-1s", "10s20"] {
            let said = parse(wrong).unwrap_err().to_string();
            assert!(said.contains("1h30m"), "{wrong}: {said}");
        }
        assert!(parse("10000h").unwrap_err().to_string().contains("30 days"));
    }

    #[test]
    fn units_add_up() {
        assert_eq!(parse("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(parse("0s").unwrap(), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0_u64..2_592_000_000) {
            let duration = Duration::from_millis(millis);
            let read = parse(&format(duration)).unwrap();
            prop_assert!(read.abs_diff(duration) < Duration::from_micros(1));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _either = parse(&text);
        }
    }
}
