//! Naming the jobs that took long, in the log.

use std::time::Duration;

/// From how long on a job is named.
#[derive(Clone, Copy, Debug)]
pub struct SlowJobs(Duration);

impl SlowJobs {
    /// From so many milliseconds on; 0: never.
    #[must_use]
    pub fn new(milliseconds: u64) -> Self {
        Self(match milliseconds {
            0 => Duration::MAX,
            milliseconds => Duration::from_millis(milliseconds),
        })
    }

    /// Names the job if it was slow. Where it is one post's, the span that this is called in says whose; bringing posts to
    /// home timelines and computing trends are nobody's alone.
    pub fn note(self, job: &'static str, took: Duration) {
        if took >= self.0 {
            let milliseconds = took.as_secs_f64() * 1e3;
            tracing::warn!(job, job.milliseconds = milliseconds, "slow job");
        }
    }
}
