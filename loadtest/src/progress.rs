//! What a long piece of work says meanwhile: how far it is, how fast it goes, how long it will take.

use std::time::{Duration, Instant};

/// Lines on stderr, at most one every two seconds.
pub struct Progress {
    quiet: bool,
    task: Option<Task>,
}

struct Task {
    what: String,
    began: Instant,
    /// Done before this run: it says nothing about the rate.
    before: u64,
    total: u64,
    next: Instant,
}

impl Progress {
    /// Lines unless `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { quiet, task: None }
    }

    /// One sentence.
    pub fn say(&self, what: &str) {
        if !self.quiet {
            eprintln!("loadtest: {what}");
        }
    }

    /// A task begins that goes from `before` to `total`.
    pub fn begin(&mut self, what: &str, before: i64, total: i64) {
        let now = Instant::now();
        self.task = Some(Task {
            what: what.to_owned(),
            began: now,
            before: before.max(0).unsigned_abs(),
            total: total.max(0).unsigned_abs(),
            next: now + Duration::from_secs(2),
        });
    }

    /// It is at `done`.
    pub fn at(&mut self, done: i64) {
        let quiet = self.quiet;
        let Some(task) = &mut self.task else { return };
        let (now, done) = (Instant::now(), done.max(0).unsigned_abs());
        if quiet || (now < task.next && done < task.total) {
            return;
        }
        task.next = now + Duration::from_secs(2);
        eprintln!(
            "loadtest: {}",
            line(&task.what, task.before, done, task.total, now - task.began)
        );
    }
}

fn line(what: &str, before: u64, done: u64, total: u64, passed: Duration) -> String {
    let made = done.saturating_sub(before);
    let rate = made as f64 / passed.as_secs_f64().max(0.001);
    let left = total.saturating_sub(done);
    let mut text = format!("{what}: {done} of {total}, {rate:.0}/s");
    if left > 0 && rate > 0.0 {
        text += &format!(
            ", {} left",
            span(Duration::from_secs_f64(left as f64 / rate))
        );
    }
    text
}

/// How far a measurement is whose parts take a time that is known beforehand.
pub struct Clock {
    began: Instant,
    total: Duration,
    done: Duration,
}

impl Clock {
    /// One for so much.
    #[must_use]
    pub fn new(total: Duration) -> Self {
        Self {
            began: Instant::now(),
            total,
            done: Duration::ZERO,
        }
    }

    /// Says what comes now, and how long everything still takes.
    pub fn says(&self, what: &str) {
        let left = self.total.saturating_sub(self.done);
        // Everything takes a little longer than planned, in proportion.
        let pace = if self.done.is_zero() {
            1.0
        } else {
            self.began.elapsed().as_secs_f64() / self.done.as_secs_f64()
        };
        eprintln!(
            "loadtest: {what} ({} left)",
            span(left.mul_f64(pace.clamp(0.5, 3.0)))
        );
    }

    /// A part is done that was to take so long.
    pub fn done(&mut self, part: Duration) {
        self.done += part;
    }
}

/// A length of time as people say it: "8 s", "3 min 20 s", "1 h 5 min".
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_this_run() {
        let text = line("posts", 1_000, 3_000, 7_000, Duration::from_secs(2));
        assert_eq!(text, "posts: 3000 of 7000, 1000/s, 4 s left");
        let text = line("posts", 0, 7_000, 7_000, Duration::from_secs(1));
        assert_eq!(text, "posts: 7000 of 7000, 7000/s");
    }

    #[test]
    fn times_read_like_times() {
        let spans = [8, 200, 3_900].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["8 s", "3 min 20 s", "1 h 5 min"]);
    }
}
