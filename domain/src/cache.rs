//! What every cache counts. How a thing is cached lives beside the thing (`posts/cache.rs`).

use prometheus::{IntCounterVec, Opts, Registry};

/// What became of a look into a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was there.
    Hit,
    /// It had to be made.
    Miss,
    /// The cache was off or Redis was down, and the database was asked directly.
    Bypass,
}

/// `cache_requests_total{cache,result}`.
#[derive(Clone)]
pub struct CacheMetrics {
    requests: IntCounterVec,
}

impl CacheMetrics {
    /// # Errors
    /// When the registry holds the metric already.
    pub fn new(registry: &Registry) -> anyhow::Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new(
                "cache_requests_total",
                "Looks into a cache by result: hit, miss, or bypass (off, or Redis down)",
            ),
            &["cache", "result"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        Ok(Self { requests })
    }

    /// Counts one look into `cache`.
    pub fn count(&self, cache: &str, outcome: Outcome) {
        let result = match outcome {
            Outcome::Hit => "hit",
            Outcome::Miss => "miss",
            Outcome::Bypass => "bypass",
        };
        self.requests.with_label_values(&[cache, result]).inc();
    }
}
