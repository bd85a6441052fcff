//! The only place that asks what time it is (clippy bans `Utc::now` elsewhere), so that tests can set it.

use chrono::{DateTime, Utc};

/// Where the time comes from.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still, for tests.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The time now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now(),
            Self::Fixed(time) => time,
        }
    }
}
