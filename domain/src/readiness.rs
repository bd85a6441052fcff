//! Whether a program has what it needs, for the probes of the API and of the workers alike. How the answer is worded in
//! HTTP is theirs.

use std::time::Duration;

use crate::{Ctx, db};

/// How long PostgreSQL may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which parts answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Nothing works without it.
    pub postgresql: bool,
    /// Much is slower without it, and nothing is lost.
    pub redis: bool,
}

impl Readiness {
    /// Asks both at once; takes at most about two seconds.
    pub async fn of(ctx: &Ctx) -> Self {
        let (postgresql, redis) = tokio::join!(
            tokio::time::timeout(PATIENCE, db::ping(&ctx.db)),
            ctx.redis.ping()
        );
        Self {
            postgresql: matches!(postgresql, Ok(Ok(()))),
            redis: redis.is_ok(),
        }
    }

    /// `ready`, `degraded` when Redis is away, `unavailable` when PostgreSQL is.
    #[must_use]
    pub fn status(self) -> &'static str {
        match (self.postgresql, self.redis) {
            (true, true) => "ready",
            (true, false) => "degraded",
            (false, _) => "unavailable",
        }
    }

    /// The word for one part: `ok` or `down`.
    #[must_use]
    pub fn word(answers: bool) -> &'static str {
        if answers { "ok" } else { "down" }
    }
}
