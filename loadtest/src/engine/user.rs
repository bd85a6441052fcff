//! One simulated user: a connection, a memory, and what is noted of each request.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use hyper::{StatusCode, Uri};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::{
    connection::{Answer, Call, Connection, Keep},
    tally::Tally,
    target::Target,
};

/// How long a user waits after a connection was refused. Without it a dead server costs the generator all its time.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Addresses that are asked often, made once per thread.
pub(crate) struct Paths {
    pub(crate) target: Target,
    pub(crate) posts: Uri,
    pub(crate) home: Uri,
    pub(crate) sign_up: Uri,
    pub(crate) login: Uri,
}

impl Paths {
    pub(crate) fn new(target: &Target) -> anyhow::Result<Self> {
        Ok(Self {
            target: target.clone(),
            posts: target.uri("/api/posts")?,
            home: target.uri("/api/home")?,
            sign_up: target.uri("/api/user/signup")?,
            login: target.uri("/api/auth/login")?,
        })
    }
}

/// One simulated user.
pub(crate) struct User {
    /// From 0, unique in the run.
    pub(crate) number: usize,
    pub(crate) paths: Rc<Paths>,
    pub(crate) random: SmallRng,
    /// A post of theirs, to change it.
    pub(crate) own: Option<i64>,
    pub(crate) tally: Rc<RefCell<Tally>>,
    /// What ends before this is warm-up and not counted.
    pub(crate) counted_from: Instant,
    /// When the next request was due, in the open model.
    pub(crate) due: Option<Instant>,
    /// How long an answer may take.
    pub(crate) limit: Duration,
    connection: Connection,
}

impl User {
    pub(crate) fn new(
        number: usize,
        paths: &Rc<Paths>,
        limit: Duration,
        tally: &Rc<RefCell<Tally>>,
        counted_from: Instant,
    ) -> Self {
        Self {
            number,
            paths: Rc::clone(paths),
            random: SmallRng::seed_from_u64(number as u64),
            own: None,
            tally: Rc::clone(tally),
            counted_from,
            due: None,
            limit,
            connection: Connection::new(paths.target.clone(), limit),
        }
    }

    /// Hangs up.
    pub(crate) fn leave(&mut self) {
        self.connection.close();
    }

    /// Asks, notes what came of it, and gives the answer if its status is `expected`. The body is only there with
    /// `Keep::All`.
    pub(crate) async fn call(
        &mut self,
        step: &'static str,
        call: Call,
        expected: StatusCode,
        keep_body: bool,
    ) -> Option<Answer> {
        // In the open model the first request of an arrival counts from when it was due, however late it was sent.
        let due = self.due.take();
        let start = due.unwrap_or_else(Instant::now);
        let keep = if keep_body {
            Keep::All
        } else {
            Keep::Unless(expected)
        };
        let asked = (call.method.clone(), call.uri.clone());
        let result = self.connection.call(call, keep).await;
        let end = Instant::now();
        let counted = end >= self.counted_from;
        let latency = end - start;
        let (failure, refused) = match result {
            Ok(answer) if answer.status == expected => {
                if counted {
                    self.tally
                        .borrow_mut()
                        .request(step, latency, answer.length, false);
                }
                return Some(answer);
            }
            Ok(answer) => {
                let words = String::from_utf8_lossy(&answer.body);
                let words: String = words.chars().take(300).collect();
                let status = answer.status.as_u16();
                (
                    (
                        format!("{step}: status {status} instead of {}", expected.as_u16()),
                        words,
                    ),
                    false,
                )
            }
            Err(fault) => (
                (format!("{step}: {fault}"), String::new()),
                fault.is_connect(),
            ),
        };
        if counted {
            let mut tally = self.tally.borrow_mut();
            tally.request(step, latency, 0, true);
            let (reason, words) = failure;
            let story = || {
                let (method, uri) = &asked;
                let story = format!(
                    "{method} {uri}: {}",
                    reason
                        .split_once(": ")
                        .map_or(reason.as_str(), |(_, why)| why)
                );
                if words.is_empty() {
                    story
                } else {
                    format!("{story}: {words}")
                }
            };
            let story = story();
            tally.fault(reason, || story);
        }
        if refused && due.is_none() {
            tokio::time::sleep(AFTER_REFUSAL).await;
        }
        None
    }

    /// A pause around `think`: half of it to one and a half, so that users do not march in step.
    pub(crate) async fn think(&mut self, think: Duration) {
        if !think.is_zero() {
            tokio::time::sleep(think.mul_f64(self.random.random_range(0.5..1.5))).await;
        }
    }
}
