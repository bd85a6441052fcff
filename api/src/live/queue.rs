//! What waits to be written to one stream. Bounded: whoever does not keep up is dropped, and comes back with the id of
//! the last event to be told what they missed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::message::Message;

/// How many messages may wait. Each is a pointer to what all streams share, so this bounds the time that a reader may
/// lag more than it bounds memory; a burst of verdicts on a hundred watched posts must fit.
pub(super) const BOUND: usize = 256;

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its reader does not keep up.
    Slow,
    /// The replica stops.
    Stopping,
    /// The login by which it was opened has ended.
    LoggedOut,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits to be written.
    Waits,
    /// There was no room, and the stream has ended for that.
    Full,
    /// The stream had ended before.
    Ended,
}

#[derive(Default)]
pub(super) struct Queue(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Arc<Message>>,
    reader: Option<Waker>,
    end: Option<End>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, message: &Arc<Message>) -> Pushed {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return Pushed::Ended;
        }
        if inner.waiting.len() >= BOUND {
            drop(inner);
            self.end(End::Slow);
            return Pushed::Full;
        }
        inner.waiting.push_back(Arc::clone(message));
        if let Some(reader) = inner.reader.take() {
            reader.wake();
        }
        Pushed::Waits
    }

    /// Ends the stream. A slow reader gets nothing more; for another one what waits is still written.
    pub(super) fn end(&self, end: End) {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return;
        }
        inner.end = Some(end);
        if end == End::Slow {
            inner.waiting = VecDeque::new();
        }
        if let Some(reader) = inner.reader.take() {
            reader.wake();
        }
    }

    /// Everything that waits, at least one message, or why there will be no more.
    pub(super) fn poll_next(
        &self,
        context: &Context<'_>,
    ) -> Poll<Result<VecDeque<Arc<Message>>, End>> {
        let mut inner = self.lock();
        if !inner.waiting.is_empty() {
            // Taken with its buffer: a quiet stream holds no memory for messages.
            return Poll::Ready(Ok(std::mem::take(&mut inner.waiting)));
        }
        if let Some(end) = inner.end {
            return Poll::Ready(Err(end));
        }
        inner.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits until the stream has ended, for a writer that is stuck.
    pub(super) fn poll_end(&self, context: &Context<'_>) -> Poll<End> {
        let mut inner = self.lock();
        if let Some(end) = inner.end {
            return Poll::Ready(end);
        }
        inner.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ids::PostId, live::Mark};

    fn message() -> Arc<Message> {
        Arc::new(Message::heartbeat(Mark {
            post: PostId(1),
            millis: 2,
        }))
    }

    fn next(queue: &Queue) -> Poll<Result<usize, End>> {
        let context = Context::from_waker(Waker::noop());
        queue.poll_next(&context).map_ok(|messages| messages.len())
    }

    #[test]
    fn who_does_not_keep_up_is_told_of_the_end_and_nothing_else() {
        let queue = Queue::default();
        for _ in 0..BOUND {
            assert_eq!(queue.push(&message()), Pushed::Waits);
        }
        assert_eq!(queue.push(&message()), Pushed::Full);
        assert_eq!(queue.push(&message()), Pushed::Ended, "counted once");
        assert_eq!(next(&queue), Poll::Ready(Err(End::Slow)));
    }

    #[test]
    fn at_a_stop_what_waits_is_written_first() {
        let queue = Queue::default();
        assert_eq!(next(&queue), Poll::Pending);
        queue.push(&message());
        queue.end(End::Stopping);
        assert_eq!(queue.push(&message()), Pushed::Ended);
        assert_eq!(next(&queue), Poll::Ready(Ok(1)));
        assert_eq!(next(&queue), Poll::Ready(Err(End::Stopping)));
    }
}
