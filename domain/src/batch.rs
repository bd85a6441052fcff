//! Calls that share a round trip: whoever comes while one is under way waits for the next, which asks for all of
//! them at once.
//!
//! Nobody waits for company. The first call goes at once and alone; only what has gathered by the time it returns goes
//! together, so batches grow with the load and there is no interval to choose. What a caller is told was asked for
//! after the call began, never before, so sharing weakens no promise: a reader that starts after a write was answered
//! sees that write.
//!
//! A flight that waited in vain for a database that is away tells whoever waits for the next one too: one after the
//! other they would wait twice as long to hear the same.
//!
//! In a trace, everybody's wait is a span of their own, and the flight is part of the wait of one of them: the first whose
//! trace is kept. The others are linked to it.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use tokio::{sync::oneshot, time::Instant};
use tracing::{Instrument as _, Span, field::Empty};

use crate::{Error, Result};

type Flight<V> = Pin<Box<dyn Future<Output = Vec<V>> + Send>>;
/// What everybody who waits is told when a flight was answered with this; `None` if it concerns the flight alone.
type Outage<V> = Box<dyn Fn(&V) -> Option<V> + Send + Sync>;
type Fly<K, V> = Box<dyn Fn(Vec<K>) -> Flight<V> + Send + Sync>;

/// From here on a flight that failed has waited for somebody who does not answer. Connections that PostgreSQL's restart
/// broke fail at once, and the next flight may already have another.
const IN_VAIN: Duration = Duration::from_secs(1);

/// A kind of call that is shared. Belongs to one thread of a server (see [`crate::Ctx::for_thread`]): a flight runs on
/// the runtime of the caller that found none under way.
pub(crate) struct Batch<K, V> {
    shared: Arc<Shared<K, V>>,
}

struct Shared<K, V> {
    name: &'static str,
    fly: Fly<K, V>,
    most: usize,
    outage: Outage<V>,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    waiting: VecDeque<Waiting<K, V>>,
    flying: bool,
}

struct Waiting<K, V> {
    key: K,
    answer: oneshot::Sender<V>,
    /// The wait, if anybody watches it; otherwise the caller's own span.
    span: Span,
    watched: bool,
}

impl<K: Send + 'static, V: Send + 'static> Batch<K, V> {
    /// `fly` answers at most `most` keys at once, each in its place. `name` is what traces call it, `outage` what is told to
    /// those whose turn has not come when a flight has waited in vain ([`outage`], [`no_outage`]).
    pub(crate) fn new<F>(
        name: &'static str,
        most: usize,
        outage: impl Fn(&V) -> Option<V> + Send + Sync + 'static,
        fly: impl Fn(Vec<K>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Vec<V>> + Send + 'static,
    {
        Self {
            shared: Arc::new(Shared {
                name,
                fly: Box::new(move |keys| Box::pin(fly(keys))),
                most,
                outage: Box::new(outage),
                state: Mutex::new(State {
                    waiting: VecDeque::new(),
                    flying: false,
                }),
            }),
        }
    }

    /// The answer for `key`, asked for after now. The flight goes on when its callers stop waiting.
    ///
    /// # Errors
    /// [`Error::Internal`] when the flight panicked or answered too few.
    pub(crate) async fn call(&self, key: K) -> Result<V> {
        let (answer, answered) = oneshot::channel();
        let name = self.shared.name;
        let wait = tracing::debug_span!("shared", otel.name = name, callers = Empty);
        let watched = !wait.is_disabled();
        let waiting = Waiting {
            key,
            answer,
            span: if watched {
                wait.clone()
            } else {
                Span::current()
            },
            watched,
        };
        let first = {
            let mut state = self.shared.state();
            state.waiting.push_back(waiting);
            !std::mem::replace(&mut state.flying, true)
        };
        if first {
            let run = Run {
                shared: Arc::clone(&self.shared),
                landed: false,
            };
            tokio::spawn(run.fly());
        }
        answered
            .instrument(wait)
            .await
            .map_err(|_| Error::internal("a shared call was not answered"))
    }
}

/// What each caller is told of one statement for all of them: their own part of what it found, or that it failed.
pub(crate) fn answers<K, F, V>(
    keys: &[K],
    found: Result<F>,
    part: impl Fn(&F, &K) -> V,
) -> Vec<Result<V>> {
    let answer = |key| match &found {
        Ok(found) => Ok(part(found, key)),
        Err(error) => Err(error.shared()),
    };
    keys.iter().map(answer).collect()
}

/// Everybody is concerned when PostgreSQL could not be asked and no connection to it is left. A full pool or a deadlock
/// concerns the flight alone: the next one may have better luck.
pub(crate) fn outage<T>(db: &PgPool) -> impl Fn(&Result<T>) -> Option<Result<T>> + use<T> {
    let db = db.clone();
    move |answer| match answer {
        Err(error @ Error::Unavailable { .. }) if db.size() == 0 => Some(Err(error.shared())),
        _ => None,
    }
}

/// For calls that never wait long for somebody who is away.
pub(crate) fn no_outage<V>(_: &V) -> Option<V> {
    None
}

impl<K, V> Shared<K, V> {
    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs flights until nobody waits. Dropped on the way, by a panic or the end of its runtime, it tells everybody who
/// waits and leaves the next caller to start anew.
struct Run<K, V> {
    shared: Arc<Shared<K, V>>,
    landed: bool,
}

impl<K, V> Run<K, V> {
    async fn fly(mut self) {
        loop {
            // Whoever's request has reached this machine already is let in first. It costs the first caller nothing but
            // a look at the sockets, and makes batches of what would be a flight each.
            tokio::task::yield_now().await;
            let Some(batch) = self.next() else { return };
            let span = leader(&batch);
            let (keys, callers): (Vec<K>, Vec<_>) =
                batch.into_iter().map(|one| (one.key, one.answer)).unzip();
            let began = Instant::now();
            let answers = (self.shared.fly)(keys).instrument(span).await;
            if began.elapsed() >= IN_VAIN
                && let Some(last) = answers.last()
            {
                self.tell_outage(last);
            }
            for (caller, answer) in callers.into_iter().zip(answers) {
                // Whoever asked may have hung up.
                let _gone = caller.send(answer);
            }
        }
    }

    /// Tells those who wait what a flight was told, if that holds for them too.
    fn tell_outage(&self, answer: &V) {
        while let Some(told) = (self.shared.outage)(answer) {
            let Some(caller) = self.shared.state().waiting.pop_front() else {
                return;
            };
            let _gone = caller.answer.send(told);
        }
    }

    fn next(&mut self) -> Option<Vec<Waiting<K, V>>> {
        let mut state = self.shared.state();
        let size = state.waiting.len().min(self.shared.most);
        if size == 0 {
            state.flying = false;
            self.landed = true;
            return None;
        }
        Some(state.waiting.drain(..size).collect())
    }
}

/// The span that a flight is part of; the others' are linked to it.
fn leader<K, V>(batch: &[Waiting<K, V>]) -> Span {
    let mut watched = batch.iter().filter(|one| one.watched);
    let Some(leader) = watched.next() else {
        // For what may be logged on the way.
        return batch
            .first()
            .map_or_else(Span::none, |one| one.span.clone());
    };
    let callers = i64::try_from(batch.len()).unwrap_or(i64::MAX);
    leader.span.record("callers", callers);
    for follower in watched {
        follower.span.record("callers", callers);
        follower.span.follows_from(&leader.span);
    }
    leader.span.clone()
}

impl<K, V> Drop for Run<K, V> {
    fn drop(&mut self) {
        if !self.landed {
            let mut state = self.shared.state();
            state.waiting.clear();
            state.flying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    type Held = (Arc<Batch<u32, u32>>, Arc<Semaphore>, Arc<Mutex<Vec<usize>>>);

    /// A batch whose flights wait to be let go, and the sizes of those that have begun.
    fn held(most: usize) -> Held {
        let (gate, sizes) = (
            Arc::new(Semaphore::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (opened, noted) = (Arc::clone(&gate), Arc::clone(&sizes));
        let batch = Batch::new("held", most, no_outage, move |keys: Vec<u32>| {
            noted.lock().unwrap().push(keys.len());
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire().await.unwrap().forget();
                keys.into_iter().map(|key| key * 10).collect()
            }
        });
        (Arc::new(batch), gate, sizes)
    }

    fn call(batch: &Arc<Batch<u32, u32>>, key: u32) -> tokio::task::JoinHandle<Result<u32>> {
        let batch = Arc::clone(batch);
        tokio::spawn(async move { batch.call(key).await })
    }

    #[tokio::test]
    async fn whoever_comes_during_a_flight_shares_the_next_and_gets_their_own_answer() {
        let (batch, gate, sizes) = held(100);
        let first = call(&batch, 1);
        while sizes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (2..=8).map(|key| call(&batch, key)).collect();
        while batch.shared.state().waiting.len() < 7 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
        assert_eq!(first.await.unwrap().unwrap(), 10);
        for (key, other) in (2..).zip(others) {
            assert_eq!(other.await.unwrap().unwrap(), key * 10);
        }
        assert_eq!(
            *sizes.lock().unwrap(),
            [1, 7],
            "two flights, none for a caller who came late"
        );
    }

    #[tokio::test]
    async fn no_flight_is_larger_than_allowed() {
        let (batch, gate, sizes) = held(3);
        gate.add_permits(100);
        let callers: Vec<_> = (0..10).map(|key| call(&batch, key)).collect();
        for (key, caller) in (0..).zip(callers) {
            assert_eq!(caller.await.unwrap().unwrap(), key * 10);
        }
        assert!(sizes.lock().unwrap().iter().all(|size| *size <= 3));
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_stops_nobody() {
        let (batch, gate, sizes) = held(100);
        let (gone, stays) = (call(&batch, 1), call(&batch, 2));
        while sizes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        gone.abort();
        gate.add_permits(2);
        assert_eq!(stays.await.unwrap().unwrap(), 20);
    }

    /// The answers to two calls, of which the second comes `flight` after the first and before it fails: how many flights
    /// there were.
    async fn flights_until_both_failed(flight: Duration) -> u32 {
        let flights = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&flights);
        let nobody = sqlx::postgres::PgPoolOptions::new()
            .connect_lazy("postgres://nobody@127.0.0.1:1/none")
            .unwrap();
        let batch = Arc::new(Batch::new(
            "away",
            100,
            outage(&nobody),
            move |keys: Vec<u32>| {
                count.fetch_add(1, Ordering::Relaxed);
                async move {
                    tokio::time::sleep(flight).await;
                    let away = || Error::Unavailable {
                        what: "the database",
                        why: "nobody answers".into(),
                        retry_after: Duration::from_secs(1),
                    };
                    keys.iter().map(|_| Err::<u32, _>(away())).collect()
                }
            },
        ));
        let asked = |key| {
            let batch = Arc::clone(&batch);
            async move { batch.call(key).await.unwrap() }
        };
        let late = async {
            tokio::time::sleep(flight / 2).await;
            asked(2).await
        };
        let (first, second) = tokio::join!(asked(1), late);
        for answer in [first, second] {
            assert!(matches!(answer, Err(Error::Unavailable { .. })));
        }
        flights.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn who_waits_behind_a_flight_that_waited_in_vain_waits_no_second_time() {
        assert_eq!(flights_until_both_failed(IN_VAIN).await, 1);
        let blink = Duration::from_millis(10);
        assert_eq!(
            flights_until_both_failed(blink).await,
            2,
            "one broken connection concerns its own flight"
        );
    }

    #[tokio::test]
    async fn a_flight_that_panics_fails_its_callers_and_not_those_after() {
        let flights = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&flights);
        let batch = Batch::new("lost", 100, no_outage, move |keys: Vec<u32>| {
            let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                assert!(!is_first, "the first flight is lost");
                keys
            }
        });
        assert!(batch.call(1).await.is_err());
        assert_eq!(batch.call(2).await.unwrap(), 2);
    }
}
