//! A share of all requests, as an option.

/// Reads a number from 0 to 1.
///
/// # Errors
/// A sentence for whoever wrote the option.
pub(crate) fn parse(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "a share is a number from 0 to 1, such as 0.01".into())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_share_is_between_nothing_and_everything() {
        for (text, value) in [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("1e-3", 0.001)] {
            assert_eq!(parse(text), Ok(value));
        }
        for wrong in ["", "-0.1", "1.1", "10%", "NaN", "inf"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
