//! Whether a program has what it needs, for the probes of the API and of the workers alike. How the answer is worded in
//! HTTP is theirs.

use std::time::Duration;

use crate::{
    Ctx,
    schema::{self, Fit},
};

/// How long PostgreSQL may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which parts answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Nothing works without it.
    pub postgresql: bool,
    /// Whether what PostgreSQL holds is what the program was made for; `None` when it does not answer.
    pub schema: Option<Fit>,
    /// Much is slower without it, and nothing is lost.
    pub redis: bool,
}

impl Readiness {
    /// Asks both at once; takes at most about two seconds.
    pub async fn of(ctx: &Ctx) -> Self {
        let (fit, redis) = tokio::join!(
            tokio::time::timeout(PATIENCE, schema::fit(&ctx.db)),
            ctx.redis.ping()
        );
        let fit = fit.ok().and_then(Result::ok);
        Self {
            postgresql: fit.is_some(),
            schema: fit,
            redis: redis.is_ok(),
        }
    }

    /// Whether the program can do its work, if slowly.
    #[must_use]
    pub fn works(self) -> bool {
        self.schema.is_some_and(Fit::works)
    }

    /// `ready`, `degraded` when Redis is away, `unavailable` when PostgreSQL is or holds a schema that the program cannot
    /// live with.
    #[must_use]
    pub fn status(self) -> &'static str {
        match (self.works(), self.redis) {
            (true, true) => "ready",
            (true, false) => "degraded",
            (false, _) => "unavailable",
        }
    }

    /// The word for the schema: `ok`, `newer`, `older`, `too new` or `unknown`.
    #[must_use]
    pub fn schema_word(self) -> &'static str {
        self.schema.map_or("unknown", Fit::word)
    }

    /// The word for one part: `ok` or `down`.
    #[must_use]
    pub fn word(answers: bool) -> &'static str {
        if answers { "ok" } else { "down" }
    }
}
