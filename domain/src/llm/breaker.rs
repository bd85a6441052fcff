//! A circuit breaker: after a few faults in a row the language model is left alone for a while, then one caller is
//! let through to see whether it is back.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use prometheus::{IntGauge, Registry};

/// Faults in a row that open the circuit.
const THRESHOLD: u32 = 3;
/// The first rest; doubled by each failed trial.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest rest, which is also the longest that a model that is back goes unused.
const LONGEST_REST: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct State {
    faults: u32,
    /// Set while open: nobody goes through before this.
    closed_until: Option<Instant>,
    rest: Duration,
}

/// See the module. `llm_circuit_state` is 0 closed (all is well), 1 half open (one trial under way), 2 open.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    gauge: IntGauge,
}

impl Breaker {
    pub(super) fn new(registry: &Registry) -> anyhow::Result<Self> {
        let gauge = IntGauge::new(
            "llm_circuit_state",
            "Circuit breaker towards the language model: 0 closed, 1 half open, 2 open",
        )?;
        registry.register(Box::new(gauge.clone()))?;
        Ok(Self {
            state: Mutex::new(State {
                faults: 0,
                closed_until: None,
                rest: FIRST_REST,
            }),
            gauge,
        })
    }

    /// How long to stay away; `None` lets the caller through. While open, one caller per rest is the trial: it is
    /// let through and the circuit stays shut to the others for another rest, so a trial that is never reported
    /// (its task was dropped) only costs that rest.
    pub(super) fn rest(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let until = state.closed_until?;
        if now < until {
            return Some(until - now);
        }
        state.closed_until = Some(now + state.rest);
        self.gauge.set(1);
        None
    }

    /// The same without becoming the trial.
    pub(super) fn is_open(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .closed_until
            .is_some_and(|until| Instant::now() < until)
    }

    /// The model answered.
    pub(super) fn succeeded(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State {
            faults: 0,
            closed_until: None,
            rest: FIRST_REST,
        };
        self.gauge.set(0);
    }

    /// The model could not be reached.
    pub(super) fn failed(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.faults = state.faults.saturating_add(1);
        if state.faults < THRESHOLD {
            return;
        }
        if state.faults > THRESHOLD {
            state.rest = (state.rest * 2).min(LONGEST_REST);
        }
        // Callers that started before the circuit opened report late; half a rest of jitter keeps the workers of
        // a large stack from trying in step.
        let jitter = state.rest.mul_f64(rand::random_range(0.75..1.25));
        state.closed_until = Some(Instant::now() + jitter);
        self.gauge.set(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_faults_in_a_row_and_closes_with_one_success() {
        let breaker = Breaker::new(&Registry::new()).unwrap();
        for _ in 1..THRESHOLD {
            breaker.failed();
            assert_eq!(breaker.rest(), None);
        }
        breaker.succeeded();
        for _ in 0..THRESHOLD {
            assert_eq!(breaker.rest(), None);
            breaker.failed();
        }
        assert!(breaker.rest().is_some() && breaker.is_open());
        assert_eq!(breaker.gauge.get(), 2);
        breaker.succeeded();
        assert!(breaker.rest().is_none() && !breaker.is_open());
        assert_eq!(breaker.gauge.get(), 0);
    }

    #[test]
    fn when_the_rest_is_over_one_caller_tries_and_the_others_wait() {
        let breaker = Breaker::new(&Registry::new()).unwrap();
        (0..THRESHOLD).for_each(|_| breaker.failed());
        breaker.state.lock().unwrap().closed_until = Some(Instant::now());
        assert_eq!(breaker.rest(), None, "the trial");
        assert_eq!(breaker.gauge.get(), 1);
        assert!(breaker.rest().is_some(), "the others");
    }
}
