//! The bounded queue between the handlers and the model. It decides who is let in, who comes next and who is no
//! longer waited for; what is done with the work is the runner's.
//!
//! There are two lanes. Texts to judge come from workers, which come again when they are refused. Posts to write
//! come from people who look at a spinner, so they go first; their lane is short, and the runner takes at most one
//! of them between two texts, so that neither lane starves the other.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use crate::{
    analyze::Verdict,
    generate::{Wish, Written},
    metrics::Metrics,
};

/// How many posts to write may wait. Each takes a second or two, and a person waits for it.
const WRITINGS: usize = 8;

/// How long the work itself may take once begun, before its caller is told to come again. 32 long texts on a slow
/// machine stay below; only a stuck engine reaches it.
const WORK_LIMIT: Duration = Duration::from_secs(120);

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no model yet.
    #[error("the model is being loaded")]
    Loading,
    /// The queue has no room for it.
    #[error("the queue is full")]
    Full,
    /// It waited longer than allowed.
    #[error("it waited too long for its turn")]
    Waited,
    /// The service is about to end.
    #[error("the service is stopping")]
    Stopping,
    /// The model wrote nothing that could be shown.
    #[error("the model wrote nothing usable")]
    NothingUsable,
    /// The model failed.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
}

/// Something asked of the model, and where its answer goes.
#[derive(Debug)]
pub struct Job<Q, A> {
    /// What is asked.
    pub ask: Q,
    begun: Option<oneshot::Sender<()>>,
    answer: oneshot::Sender<Result<A, Failure>>,
}

/// Texts to judge.
pub type Analysis = Job<Vec<String>, Vec<Verdict>>;
/// A post to write.
pub type Writing = Job<Wish, Written>;

/// What comes next.
#[derive(Debug)]
pub enum Work {
    /// Texts to judge.
    Analysis(Analysis),
    /// A post to write.
    Writing(Writing),
}

/// The caller's side of a [`Job`]. Dropping it withdraws the job.
#[derive(Debug)]
pub struct Ticket<A> {
    begun: oneshot::Receiver<()>,
    answer: oneshot::Receiver<Result<A, Failure>>,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    texts: usize,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Waiting {
    analyses: VecDeque<Analysis>,
    writings: VecDeque<Writing>,
    /// The last work given out was a writing.
    wrote: bool,
    closed: bool,
}

impl Waiting {
    fn texts(&self) -> usize {
        self.analyses.iter().map(|job| job.ask.len()).sum()
    }

    /// Forgets the jobs whose callers have gone.
    fn tidy(&mut self) {
        self.analyses.retain(Job::is_wanted);
        self.writings.retain(Job::is_wanted);
    }
}

impl Queue {
    /// An empty queue with room for `texts` texts.
    #[must_use]
    pub fn new(texts: usize, metrics: Metrics) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            texts,
            metrics,
        }
    }

    /// Lets texts in.
    ///
    /// # Errors
    /// [`Failure::Full`] or [`Failure::Stopping`], at once.
    pub fn analyze(&self, texts: Vec<String>) -> Result<Ticket<Vec<Verdict>>, Failure> {
        self.admit(|waiting, room| {
            if waiting.texts() + texts.len() > room {
                return Err(Failure::Full);
            }
            let (job, ticket) = Job::new(texts);
            waiting.analyses.push_back(job);
            Ok(ticket)
        })
    }

    /// Lets a wish in.
    ///
    /// # Errors
    /// [`Failure::Full`] or [`Failure::Stopping`], at once.
    pub fn write(&self, wish: Wish) -> Result<Ticket<Written>, Failure> {
        self.admit(|waiting, _| {
            if waiting.writings.len() >= WRITINGS {
                return Err(Failure::Full);
            }
            let (job, ticket) = Job::new(wish);
            waiting.writings.push_back(job);
            Ok(ticket)
        })
    }

    fn admit<T>(
        &self,
        enter: impl FnOnce(&mut Waiting, usize) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Failure::Stopping);
        }
        waiting.tidy();
        let entered = enter(&mut waiting, self.texts);
        self.show(&waiting);
        drop(waiting);
        self.arrived.notify_one();
        entered
    }

    /// The next work, as soon as there is some; `None` when the queue is closed.
    pub async fn next(&self) -> Option<Work> {
        loop {
            {
                let mut waiting = self.lock();
                waiting.tidy();
                // In turns, when both wait: a crowd that has posts written must not keep those that are
                // written from being judged.
                let turn = waiting
                    .wrote
                    .then(|| waiting.analyses.pop_front())
                    .flatten();
                let next = match turn {
                    Some(job) => Some(Work::Analysis(job)),
                    None => match waiting.writings.pop_front() {
                        Some(job) => Some(Work::Writing(job)),
                        None => waiting.analyses.pop_front().map(Work::Analysis),
                    },
                };
                waiting.wrote = matches!(next, Some(Work::Writing(_)));
                self.show(&waiting);
                if next.is_some() || waiting.closed {
                    return next;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// The next post to write, if one waits now: what the runner asks between two texts.
    pub fn next_writing(&self) -> Option<Writing> {
        let mut waiting = self.lock();
        waiting.tidy();
        let next = waiting.writings.pop_front();
        self.show(&waiting);
        next
    }

    /// Lets nobody in any more and sends all who wait away.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        for job in waiting.analyses.drain(..) {
            job.finish(Err(Failure::Stopping));
        }
        for job in waiting.writings.drain(..) {
            job.finish(Err(Failure::Stopping));
        }
        self.show(&waiting);
        drop(waiting);
        self.arrived.notify_one();
    }

    fn show(&self, waiting: &Waiting) {
        let depth = waiting.texts() + waiting.writings.len();
        self.metrics
            .queue_depth
            .set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    /// Nothing panics while it holds the lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, A> Job<Q, A> {
    fn new(ask: Q) -> (Self, Ticket<A>) {
        let (begun, begun_receiver) = oneshot::channel();
        let (answer, answer_receiver) = oneshot::channel();
        let job = Self {
            ask,
            begun: Some(begun),
            answer,
        };
        let ticket = Ticket {
            begun: begun_receiver,
            answer: answer_receiver,
        };
        (job, ticket)
    }

    /// Whether its caller still waits.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    /// Tells the caller that its turn has come.
    pub fn begin(&mut self) {
        if let Some(begun) = self.begun.take() {
            // A caller that has gone meanwhile is noticed by `is_wanted`.
            let _ = begun.send(());
        }
    }

    /// Answers the caller, if it still waits.
    pub fn finish(self, answer: Result<A, Failure>) {
        let _ = self.answer.send(answer);
    }
}

impl<A> Ticket<A> {
    /// Waits for the answer: at most `queue_limit` for the turn to come, and a bounded time for the work.
    ///
    /// # Errors
    /// [`Failure::Waited`] when the time is over, and whatever the runner answered.
    pub async fn answer(self, queue_limit: Duration) -> Result<A, Failure> {
        // An error here means that the job was answered without being begun; the answer says why.
        if timeout(queue_limit, self.begun).await.is_err() {
            return Err(Failure::Waited);
        }
        match timeout(WORK_LIMIT, self.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::Stopping),
            Err(_) => Err(Failure::Waited),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(texts: usize) -> Queue {
        Queue::new(texts, Metrics::new(&prometheus::Registry::new()).unwrap())
    }

    fn texts(count: usize) -> Vec<String> {
        vec!["hello".to_owned(); count]
    }

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn it_holds_so_many_texts_and_refuses_the_next_at_once() {
        let queue = queue(4);
        let _first = queue.analyze(texts(3)).unwrap();
        assert!(matches!(queue.analyze(texts(2)), Err(Failure::Full)));
        let _second = queue.analyze(texts(1)).unwrap();
        assert_eq!(queue.metrics.queue_depth.get(), 4);
    }

    #[tokio::test]
    async fn a_caller_that_has_gone_makes_room_and_is_not_worked_for() {
        let queue = queue(4);
        drop(queue.analyze(texts(4)).unwrap());
        let _stays = queue.analyze(texts(2)).unwrap();
        let Some(Work::Analysis(job)) = queue.next().await else {
            panic!("texts were waiting");
        };
        assert_eq!(job.ask.len(), 2);
        assert_eq!(queue.metrics.queue_depth.get(), 0);
    }

    #[tokio::test]
    async fn a_post_to_write_goes_first_and_its_lane_is_short() {
        let queue = queue(4);
        let _texts = queue.analyze(texts(4)).unwrap();
        let wish = || Wish {
            topic: None,
            max_characters: 140,
        };
        let _posts: Vec<_> = (0..WRITINGS)
            .map(|_| queue.write(wish()).unwrap())
            .collect();
        assert!(matches!(queue.write(wish()), Err(Failure::Full)));
        assert!(matches!(queue.next().await, Some(Work::Writing(_))));
        // But the next turn is the texts', however many more wait to be written.
        assert!(matches!(queue.next().await, Some(Work::Analysis(_))));
        assert!(matches!(queue.next().await, Some(Work::Writing(_))));
        assert!(matches!(queue.next().await, Some(Work::Writing(_))));
    }

    #[tokio::test]
    async fn waiting_ends_when_the_turn_does_not_come() {
        let queue = queue(4);
        let ticket = queue.analyze(texts(1)).unwrap();
        assert!(matches!(ticket.answer(SHORT).await, Err(Failure::Waited)));
    }

    #[tokio::test]
    async fn begun_work_may_take_longer_than_the_wait() {
        let queue = queue(4);
        let ticket = queue.analyze(texts(1)).unwrap();
        let Some(Work::Analysis(mut job)) = queue.next().await else {
            panic!("a text was waiting");
        };
        job.begin();
        let worker = tokio::spawn(async move {
            tokio::time::sleep(20 * SHORT).await;
            job.finish(Ok(Vec::new()));
        });
        assert!(ticket.answer(SHORT).await.unwrap().is_empty());
        worker.await.unwrap();
    }

    #[tokio::test]
    async fn closing_sends_those_who_wait_away_and_lets_nobody_in() {
        let queue = queue(4);
        let ticket = queue.analyze(texts(1)).unwrap();
        queue.close();
        assert!(matches!(ticket.answer(LONG).await, Err(Failure::Stopping)));
        assert!(matches!(queue.analyze(texts(1)), Err(Failure::Stopping)));
        assert!(queue.next().await.is_none());
    }
}
