//! The bounded queue between the handlers and the model. It decides who is let in, who comes next and who is no
//! longer waited for; what is done with the work is the runner's.
//!
//! Texts to judge come from workers, which come again when they are refused; as many as wait are read together.
//! Whatever the model has to write, word by word, waits elsewhere: posts and answers for people who look at a
//! spinner, and the reasons of verdicts. Those two take turns, so that neither keeps the other waiting for ever.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::timeout,
};
use tracing::Span;

use crate::{
    analyze::{Draft, Verdict},
    generate::{Wish, Written},
    metrics::Metrics,
    model::{Chat, Piece},
};

/// How many people may wait for something to be written. Each takes a second or two.
const WRITINGS: usize = 8;

/// How many verdicts may wait for their reason before the next texts have to wait for them.
const REASONS: usize = 8;

/// How many of those reasons may be of harmless texts, that somebody wished for: fewer, so that wishes alone never
/// keep the others' texts waiting.
const WISHED_REASONS: usize = 4;

/// How long the work itself may take once begun, before its caller is told to come again. A long chat on a slow
/// machine reaches it, and a stuck engine.
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
    /// The request that asks it and its wait here, within a trace.
    request: Span,
    wait: Span,
    begun: Option<oneshot::Sender<()>>,
    answer: oneshot::Sender<Result<A, Failure>>,
}

/// A text to judge.
#[derive(Clone, Debug)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Whether a reason is wanted even when it is harmless.
    pub explain: bool,
}

/// A conversation and where the pieces of its answer go.
#[derive(Debug)]
pub struct Conversation {
    /// What was said so far.
    pub chat: Chat,
    /// Where the answer goes.
    pub pieces: mpsc::Sender<Piece>,
}

/// A text to judge.
pub type Analysis = Job<Text, Verdict>;
/// A verdict that lacks its reason.
pub type Reason = Job<(Text, Draft), Verdict>;

/// Something to write for a person.
#[derive(Debug)]
pub enum Writing {
    /// A post.
    Post(Job<Wish, Written>),
    /// The next words of a conversation.
    Chat(Job<Conversation, ()>),
}

impl Writing {
    fn is_wanted(&self) -> bool {
        match self {
            Self::Post(job) => job.is_wanted(),
            Self::Chat(job) => job.is_wanted(),
        }
    }

    fn refuse(self) {
        match self {
            Self::Post(job) => job.finish(Err(Failure::Stopping)),
            Self::Chat(job) => job.finish(Err(Failure::Stopping)),
        }
    }
}

/// What is to be written next.
#[derive(Debug)]
pub enum ToWrite {
    /// For a verdict.
    Reason(Reason),
    /// For a person.
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
    to_read: Notify,
    to_write: Notify,
    room: usize,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Waiting {
    texts: VecDeque<Analysis>,
    reasons: VecDeque<Reason>,
    writings: VecDeque<Writing>,
    /// What was given out last to be written was for a person.
    wrote: bool,
    closed: bool,
}

impl Waiting {
    /// Forgets the jobs whose callers have gone.
    fn tidy(&mut self) {
        self.texts.retain(Job::is_wanted);
        self.reasons.retain(Job::is_wanted);
        self.writings.retain(Writing::is_wanted);
    }

    /// Reasons that somebody wished for, written or to be.
    fn wished(&self) -> usize {
        let read = self.reasons.iter().map(|job| &job.ask.0);
        let texts = self.texts.iter().map(|job| &job.ask).chain(read);
        texts.filter(|text| text.explain).count()
    }

    fn next_to_write(&mut self) -> Option<ToWrite> {
        let turn = self.wrote.then(|| self.reasons.pop_front()).flatten();
        let next = match turn {
            Some(reason) => Some(ToWrite::Reason(reason)),
            None => match self.writings.pop_front() {
                Some(writing) => Some(ToWrite::Writing(writing)),
                None => self.reasons.pop_front().map(ToWrite::Reason),
            },
        };
        self.wrote = matches!(next, Some(ToWrite::Writing(_)));
        next
    }
}

impl Queue {
    /// An empty queue with room for `room` texts.
    #[must_use]
    pub fn new(room: usize, metrics: Metrics) -> Self {
        Self {
            waiting: Mutex::default(),
            to_read: Notify::new(),
            to_write: Notify::new(),
            room,
            metrics,
        }
    }

    /// Lets texts in, all or none. A ticket for each.
    ///
    /// # Errors
    /// [`Failure::Full`] or [`Failure::Stopping`], at once.
    pub fn analyze(&self, texts: Vec<Text>) -> Result<Vec<Ticket<Verdict>>, Failure> {
        let tickets = self.admit(|waiting| {
            let places = waiting.texts.len() + waiting.reasons.len() + texts.len();
            let wished = waiting.wished() + texts.iter().filter(|text| text.explain).count();
            let wishes = texts.iter().any(|text| text.explain);
            if places > self.room || (wishes && wished > WISHED_REASONS) {
                return Err(Failure::Full);
            }
            let tickets = texts.into_iter().map(|text| {
                let (job, ticket) = Job::new(text);
                waiting.texts.push_back(job);
                ticket
            });
            Ok(tickets.collect())
        });
        self.to_read.notify_one();
        tickets
    }

    /// Lets a wish in.
    ///
    /// # Errors
    /// [`Failure::Full`] or [`Failure::Stopping`], at once.
    pub fn write(&self, wish: Wish) -> Result<Ticket<Written>, Failure> {
        let (job, ticket) = Job::new(wish);
        self.admit_writing(Writing::Post(job)).map(|()| ticket)
    }

    /// Lets a conversation in.
    ///
    /// # Errors
    /// [`Failure::Full`] or [`Failure::Stopping`], at once.
    pub fn chat(&self, conversation: Conversation) -> Result<Ticket<()>, Failure> {
        let (job, ticket) = Job::new(conversation);
        self.admit_writing(Writing::Chat(job)).map(|()| ticket)
    }

    fn admit_writing(&self, writing: Writing) -> Result<(), Failure> {
        self.admit(|waiting| {
            if waiting.writings.len() >= WRITINGS {
                return Err(Failure::Full);
            }
            waiting.writings.push_back(writing);
            Ok(())
        })?;
        self.to_write.notify_one();
        Ok(())
    }

    fn admit<T>(
        &self,
        enter: impl FnOnce(&mut Waiting) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Failure::Stopping);
        }
        waiting.tidy();
        let entered = enter(&mut waiting);
        self.show(&waiting);
        entered
    }

    /// Gives a verdict back to have its reason written. When the queue is closed its caller is sent away.
    pub fn explain(&self, reason: Reason) {
        let mut waiting = self.lock();
        if waiting.closed {
            reason.finish(Err(Failure::Stopping));
            return;
        }
        waiting.reasons.push_back(reason);
        self.show(&waiting);
        drop(waiting);
        self.to_write.notify_one();
    }

    /// The next texts, at most `most`, as soon as there is one; `None` when the queue is closed.
    pub async fn next_texts(&self, most: usize) -> Option<Vec<Analysis>> {
        loop {
            {
                let mut waiting = self.lock();
                waiting.tidy();
                let count = match waiting.reasons.len() {
                    0..REASONS => most.min(waiting.texts.len()),
                    _ => 0,
                };
                let next: Vec<_> = waiting.texts.drain(..count).collect();
                self.show(&waiting);
                if !next.is_empty() {
                    return Some(next);
                }
                if waiting.closed {
                    return None;
                }
            }
            self.to_read.notified().await;
        }
    }

    /// What is to be written next, as soon as there is something; `None` when the queue is closed.
    pub async fn next_to_write(&self) -> Option<ToWrite> {
        loop {
            {
                let mut waiting = self.lock();
                waiting.tidy();
                let next = waiting.next_to_write();
                self.show(&waiting);
                // Texts may have waited for the reasons to become fewer, written or withdrawn.
                self.to_read.notify_one();
                if next.is_some() {
                    return next;
                }
                if waiting.closed {
                    return None;
                }
            }
            self.to_write.notified().await;
        }
    }

    /// Lets nobody in any more and sends all who wait away.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        for job in waiting.texts.drain(..) {
            job.finish(Err(Failure::Stopping));
        }
        for job in waiting.reasons.drain(..) {
            job.finish(Err(Failure::Stopping));
        }
        waiting.writings.drain(..).for_each(Writing::refuse);
        self.show(&waiting);
        drop(waiting);
        self.to_read.notify_one();
        self.to_write.notify_one();
    }

    fn show(&self, waiting: &Waiting) {
        let depth = waiting.texts.len() + waiting.reasons.len() + waiting.writings.len();
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        self.metrics.queue_depth.set(depth);
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
        let wait = tracing::debug_span!("llm.queue");
        // A span ends with the last who holds it: without a trace nobody but the request does.
        let request = if wait.is_disabled() {
            Span::none()
        } else {
            Span::current()
        };
        let job = Self {
            ask,
            request,
            wait,
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

    /// Comes back when the caller has gone.
    pub async fn abandoned(&mut self) {
        self.answer.closed().await;
    }

    /// Tells the caller that its turn has come.
    pub fn begin(&mut self) {
        self.wait = Span::none();
        if let Some(begun) = self.begun.take() {
            // A caller that has gone meanwhile is noticed by `is_wanted`.
            let _ = begun.send(());
        }
    }

    /// What `make` makes as part of the request that asks; for the work, which is not done where it was asked for.
    #[must_use]
    pub fn span(&self, make: impl FnOnce() -> Span) -> Span {
        self.request.in_scope(make)
    }

    /// Answers the caller, if it still waits.
    pub fn finish(self, answer: Result<A, Failure>) {
        let _ = self.answer.send(answer);
    }

    /// The same job with something else asked.
    pub fn with<R>(self, change: impl FnOnce(Q) -> R) -> Job<R, A> {
        Job {
            ask: change(self.ask),
            request: self.request,
            wait: self.wait,
            begun: self.begun,
            answer: self.answer,
        }
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

    fn queue(room: usize) -> Queue {
        Queue::new(room, Metrics::new(&prometheus::Registry::new()).unwrap())
    }

    fn texts(count: usize) -> Vec<Text> {
        let text = Text {
            text: "hello".to_owned(),
            explain: false,
        };
        vec![text; count]
    }

    fn wish() -> Wish {
        Wish {
            topic: None,
            max_characters: 140,
        }
    }

    /// Gives as many verdicts back to be explained as there are texts.
    async fn to_be_explained(queue: &Queue, count: usize) {
        for job in queue.next_texts(count).await.unwrap() {
            queue.explain(job.with(|text| (text, Draft::harmless())));
        }
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
    async fn what_waits_is_read_together_up_to_a_bound() {
        let queue = queue(8);
        let _tickets = [
            queue.analyze(texts(3)).unwrap(),
            queue.analyze(texts(2)).unwrap(),
        ];
        assert_eq!(queue.next_texts(4).await.unwrap().len(), 4);
        assert_eq!(queue.next_texts(4).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_caller_that_has_gone_makes_room_and_is_not_worked_for() {
        let queue = queue(4);
        drop(queue.analyze(texts(4)).unwrap());
        let _stays = queue.analyze(texts(2)).unwrap();
        assert_eq!(queue.next_texts(8).await.unwrap().len(), 2);
        assert_eq!(queue.metrics.queue_depth.get(), 0);
    }

    #[tokio::test]
    async fn people_go_first_but_take_turns_with_reasons() {
        let queue = queue(4);
        let _texts = queue.analyze(texts(4)).unwrap();
        to_be_explained(&queue, 4).await;
        let _posts: Vec<_> = (0..WRITINGS)
            .map(|_| queue.write(wish()).unwrap())
            .collect();
        assert!(matches!(queue.write(wish()), Err(Failure::Full)));
        for _ in 0..2 {
            let next = queue.next_to_write().await.unwrap();
            assert!(matches!(next, ToWrite::Writing(_)));
            let next = queue.next_to_write().await.unwrap();
            assert!(matches!(next, ToWrite::Reason(_)));
        }
    }

    #[tokio::test]
    async fn texts_wait_while_too_many_reasons_do() {
        let queue = queue(2 * REASONS);
        let _tickets = queue.analyze(texts(REASONS + 1)).unwrap();
        to_be_explained(&queue, REASONS).await;
        let mut next = Box::pin(queue.next_texts(4));
        assert!(timeout(SHORT, &mut next).await.is_err());
        queue.next_to_write().await.unwrap();
        assert_eq!(next.await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn wishes_for_reasons_leave_room_for_the_others() {
        let queue = queue(2 * REASONS);
        let wish = |count| {
            texts(count).into_iter().map(|text| Text {
                explain: true,
                ..text
            })
        };
        let _first = queue.analyze(wish(WISHED_REASONS).collect()).unwrap();
        to_be_explained(&queue, 1).await;
        let refused = queue.analyze(wish(1).collect());
        assert!(matches!(refused, Err(Failure::Full)));
        let _others = queue.analyze(texts(REASONS)).unwrap();
    }

    #[tokio::test]
    async fn texts_go_on_when_reasons_are_withdrawn() {
        let queue = std::sync::Arc::new(queue(2 * REASONS));
        let mut tickets = queue.analyze(texts(REASONS + 1)).unwrap();
        let _stays = tickets.pop();
        to_be_explained(&queue, REASONS).await;
        let reader = tokio::spawn({
            let queue = std::sync::Arc::clone(&queue);
            async move { queue.next_texts(4).await.map(|texts| texts.len()) }
        });
        tokio::task::yield_now().await;
        drop(tickets);
        assert!(timeout(SHORT, queue.next_to_write()).await.is_err());
        assert_eq!(timeout(LONG, reader).await.unwrap().unwrap(), Some(1));
    }

    #[tokio::test]
    async fn waiting_ends_when_the_turn_does_not_come() {
        let queue = queue(4);
        let ticket = queue.analyze(texts(1)).unwrap().remove(0);
        assert!(matches!(ticket.answer(SHORT).await, Err(Failure::Waited)));
    }

    #[tokio::test]
    async fn begun_work_may_take_longer_than_the_wait() {
        let queue = queue(4);
        let ticket = queue.write(wish()).unwrap();
        let Some(ToWrite::Writing(Writing::Post(mut job))) = queue.next_to_write().await else {
            panic!("a wish was waiting");
        };
        job.begin();
        let worker = tokio::spawn(async move {
            tokio::time::sleep(20 * SHORT).await;
            job.finish(Err(Failure::NothingUsable));
        });
        let answer = ticket.answer(SHORT).await;
        assert!(matches!(answer, Err(Failure::NothingUsable)));
        worker.await.unwrap();
    }

    #[tokio::test]
    async fn a_writer_hears_that_its_caller_has_gone() {
        let queue = queue(4);
        let ticket = queue.write(wish()).unwrap();
        let Some(ToWrite::Writing(Writing::Post(mut job))) = queue.next_to_write().await else {
            panic!("a wish was waiting");
        };
        assert!(timeout(SHORT, job.abandoned()).await.is_err());
        drop(ticket);
        timeout(LONG, job.abandoned()).await.unwrap();
    }

    #[tokio::test]
    async fn closing_sends_those_who_wait_away_and_lets_nobody_in() {
        let queue = queue(4);
        let mut tickets = queue.analyze(texts(2)).unwrap();
        to_be_explained(&queue, 1).await;
        queue.close();
        for ticket in tickets.drain(..) {
            assert!(matches!(ticket.answer(LONG).await, Err(Failure::Stopping)));
        }
        assert!(matches!(queue.analyze(texts(1)), Err(Failure::Stopping)));
        assert!(queue.next_texts(1).await.is_none());
        assert!(queue.next_to_write().await.is_none());
    }
}
