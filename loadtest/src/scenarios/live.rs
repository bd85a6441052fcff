//! Live streams: many listen, one writes, and it is measured when each listener hears of it.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use hyper::{Method, StatusCode, header::HeaderValue};
use serde::Deserialize;
use tokio::time::sleep_until;

use super::{content, id_of};
use crate::{
    accounts::Account,
    engine::{Call, Connection, Keep, Measured, Options, Target, User},
};

/// How many streams one account may have on a replica (`API_LIVE_STREAMS_PER_CALLER`).
pub const STREAMS_EACH: usize = 20;
/// Between two posts.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long before the end the last post is written, so that it can arrive.
const QUIET_END: Duration = Duration::from_secs(3);

/// What is known of a post.
enum Told {
    /// It was sent then.
    Sent(Instant),
    /// Its answer is not there yet, and these have heard of it already. Or it is somebody else's.
    Early(Vec<Instant>),
}

/// What writer and listeners share.
#[derive(Default)]
pub(super) struct Live {
    posts: Mutex<HashMap<i64, Told>>,
    listening: AtomicU64,
    expected: AtomicU64,
    heard: AtomicU64,
}

/// Counts a stream while it is open.
struct Listening<'a>(&'a AtomicU64);

impl<'a> Listening<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    /// Whose stream listener `number` opens: account 0 writes, and the others have [`STREAMS_EACH`] each.
    pub(super) fn account_of(number: usize) -> usize {
        if number == 0 {
            0
        } else {
            1 + (number - 1) / STREAMS_EACH
        }
    }

    /// How many accounts `listeners` listeners and the writer need.
    pub(super) fn accounts_for(listeners: usize) -> usize {
        1 + listeners.div_ceil(STREAMS_EACH)
    }

    /// Writes a post now and then.
    pub(super) async fn write(
        &self,
        user: &mut User,
        cookie: Option<&HeaderValue>,
        until: Option<Instant>,
    ) {
        let next = Instant::now() + INTERVAL;
        if let Some(until) = until
            && next + QUIET_END > until
        {
            return sleep_until(until.into()).await;
        }
        let listeners = self.listening.load(Ordering::Relaxed);
        let body = content(user);
        let call = Call::with(Method::POST, user.paths.posts.clone(), body).by(cookie);
        let sent = Instant::now();
        let answer = user.call("post", call, StatusCode::CREATED, true).await;
        if let Some(id) = answer.and_then(|answer| id_of(&answer.body)) {
            let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
            let before = posts.insert(id, Told::Sent(sent));
            drop(posts);
            if sent >= user.counted_from {
                self.expected.fetch_add(listeners, Ordering::Relaxed);
            }
            if let Some(Told::Early(moments)) = before {
                for heard in moments {
                    self.hear(user, sent, heard);
                }
            }
        }
        sleep_until(next.into()).await;
    }

    fn hear(&self, user: &User, sent: Instant, heard: Instant) {
        if sent >= user.counted_from {
            self.heard.fetch_add(1, Ordering::Relaxed);
            user.tally
                .borrow_mut()
                .event("event", heard.saturating_duration_since(sent));
        }
    }

    /// Opens a stream and listens until it ends, or until then.
    pub(super) async fn listen(
        &self,
        user: &mut User,
        cookie: Option<&HeaderValue>,
        until: Option<Instant>,
    ) {
        let Ok(uri) = user.paths.target.uri("/api/stream?feed=home") else {
            return;
        };
        let start = Instant::now();
        let opened =
            Connection::stream(&user.paths.target, Call::get(uri).by(cookie), user.limit).await;
        let failure = match &opened {
            Ok(stream) if stream.status == StatusCode::OK => None,
            Ok(stream) => Some(format!(
                "stream: status {} instead of 200",
                stream.status.as_u16()
            )),
            Err(fault) => Some(format!("stream: {fault}")),
        };
        user.tally
            .borrow_mut()
            .request("stream", start.elapsed(), 0, failure.is_some());
        let mut stream = match (opened, failure) {
            (Ok(stream), None) => stream,
            (_, failure) => {
                let reason = failure.unwrap_or_default();
                user.tally
                    .borrow_mut()
                    .fault(reason.clone(), || format!("GET /api/stream: {reason}"));
                return tokio::time::sleep(INTERVAL).await;
            }
        };
        let mut text = Vec::new();
        let mut listening = None;
        let end = async {
            match until {
                Some(until) => sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        let mut end = std::pin::pin!(end);
        loop {
            let bytes = tokio::select! {
                bytes = stream.next() => bytes,
                () = &mut end => return,
            };
            let Some(Ok(bytes)) = bytes else { break };
            let now = Instant::now();
            text.extend_from_slice(&bytes);
            while let Some(length) = text.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = text.drain(..length + 2).collect();
                match parse(&event) {
                    Event::Ready => listening = Some(Listening::begin(&self.listening)),
                    Event::Posts(posts) => {
                        posts.iter().for_each(|id| self.heard_of(user, *id, now))
                    }
                    Event::Other => {}
                }
            }
        }
        drop(listening);
        let mut tally = user.tally.borrow_mut();
        tally.request("stream", start.elapsed(), 0, true);
        tally.fault("stream: ended by the server".into(), || {
            "GET /api/stream: ended by the server".into()
        });
    }

    fn heard_of(&self, user: &User, id: i64, now: Instant) {
        let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        match posts.entry(id).or_insert_with(|| Told::Early(Vec::new())) {
            Told::Early(moments) => moments.push(now),
            Told::Sent(sent) => {
                let sent = *sent;
                drop(posts);
                self.hear(user, sent, now);
            }
        }
    }

    /// Counts what nobody heard as failed.
    pub(super) fn conclude(&self, measured: &mut Measured) {
        // Who stops in the middle has not waited for the last events.
        if measured.stopped {
            return;
        }
        let expected = self.expected.load(Ordering::Relaxed);
        let missing = expected.saturating_sub(self.heard.load(Ordering::Relaxed));
        if missing > 0 {
            measured.requests += missing;
            measured.failures += missing;
            let step = measured.by_step.entry("event").or_default();
            step.requests += missing;
            step.failures += missing;
            measured
                .reasons
                .insert("event: never arrived".into(), missing);
            measured.first_failures.push(format!(
                "{missing} of {expected} events never arrived at a listener"
            ));
        }
    }
}

/// What a stream says.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Ready,
    Posts(Vec<i64>),
    Other,
}

#[derive(Deserialize)]
struct Posts {
    posts: Vec<super::Numbered>,
}

fn parse(event: &[u8]) -> Event {
    let Ok(text) = std::str::from_utf8(event) else {
        return Event::Other;
    };
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    match field("event") {
        // The first thing a stream says has no name: when to come back if it breaks.
        None if field("retry").is_some() => Event::Ready,
        Some("post") => {
            let posts = field("data").and_then(|data| serde_json::from_str::<Posts>(data).ok());
            posts.map_or(Event::Other, |data| {
                Event::Posts(data.posts.iter().map(|post| post.id).collect())
            })
        }
        _ => Event::Other,
    }
}

/// Has everybody follow the first of `accounts`, whose posts they are then told of.
///
/// # Errors
/// When the server refuses.
pub async fn follow_first(target: &Target, accounts: &[Account]) -> Result<()> {
    let Some((first, others)) = accounts.split_first() else {
        return Ok(());
    };
    let mut connection = Connection::new(target.clone(), Options::default().timeout);
    let uri = target.uri(&format!("/api/user/{}/follow", first.id))?;
    for account in others {
        let cookie = HeaderValue::try_from(format!("jwt={}", account.token))?;
        let call = Call::with(Method::POST, uri.clone(), String::new()).by(Some(&cookie));
        let answer = connection
            .call(call, Keep::All)
            .await
            .context("following was not answered")?;
        if answer.status != StatusCode::OK {
            let words = String::from_utf8_lossy(&answer.body).into_owned();
            bail!(
                "following was answered with status {}: {words}",
                answer.status.as_u16()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart() {
        let posts = b"event: post\nid: 7.1\ndata: {\"posts\":[{\"id\":9,\"userId\":1},{\"id\":10,\"userId\":1}]}\n\n";
        assert_eq!(parse(posts), Event::Posts(vec![9, 10]));
        assert_eq!(parse(b"retry: 2000\nid: 7.1\n\n"), Event::Ready);
        assert_eq!(parse(b"event: heartbeat\ndata: {}\n\n"), Event::Other);
        assert_eq!(parse(b": comment\n\n"), Event::Other);
    }

    #[test]
    fn an_account_has_no_more_streams_than_it_may() {
        assert_eq!(Live::account_of(0), 0);
        assert_eq!(Live::account_of(1), 1);
        assert_eq!(Live::account_of(20), 1);
        assert_eq!(Live::account_of(21), 2);
        for listeners in [1, 20, 21, 5000] {
            assert_eq!(
                Live::account_of(listeners),
                Live::accounts_for(listeners) - 1,
                "{listeners}"
            );
        }
    }
}
