//! Saying once that something has failed and once that it works again, however often it is tried in between.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use domain::Error;

/// What is known of one thing that may fail for a while.
#[derive(Debug)]
pub struct Outage {
    what: &'static str,
    since: Mutex<Option<Instant>>,
}

impl Outage {
    /// All is well with `what`, a noun for the log.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            since: Mutex::new(None),
        }
    }

    /// It failed.
    pub fn failed(&self, error: &dyn Display) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.is_none() {
            *since = Some(Instant::now());
            tracing::warn!(what = self.what, %error, "failed; trying again until it works");
        }
    }

    /// It worked.
    pub fn passed(&self) {
        let since = self
            .since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(since) = since {
            let seconds = since.elapsed().as_secs();
            tracing::info!(what = self.what, outage.seconds = seconds, "works again");
        }
    }
}

/// The result of something that needs PostgreSQL; its failure is said once, as that of `database` or of `outage`. That
/// Redis is down, `domain::redis` says.
pub fn note<T>(database: &Outage, outage: &Outage, result: domain::Result<T>) -> Option<T> {
    match result {
        Ok(value) => {
            database.passed();
            outage.passed();
            Some(value)
        }
        Err(Error::Unavailable { what: "Redis", .. }) => None,
        Err(error @ Error::Unavailable { .. }) => {
            database.failed(&error);
            None
        }
        Err(error) => {
            outage.failed(&error);
            None
        }
    }
}
