//! Who listens to what: the open streams of this replica, and the indexes that lead from an event to them. How they are
//! told is in `telling.rs`.

mod telling;

pub(super) use telling::Tally;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use domain::{
    ids::{PostId, UserId},
    live::{Audience, Feed, Viewer},
};

use super::queue::{End, Queue};

/// One open stream.
pub(super) struct Stream {
    /// Counted from the replica's start; also says when the stream's heartbeat is due.
    pub(super) number: u64,
    pub(super) viewer: Option<Viewer>,
    pub(super) feed: Feed,
    pub(super) queue: Queue,
}

impl Stream {
    fn user(&self) -> Option<UserId> {
        self.viewer.map(|viewer| viewer.user)
    }
}

/// Why a stream is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The replica has all the streams it may have.
    Full,
    /// The caller has.
    Caller,
    /// The replica stops.
    Stopping,
}

struct Entry {
    stream: Arc<Stream>,
    watched: Box<[PostId]>,
    caller: Box<str>,
}

/// Somebody who is logged in and has streams here.
struct Person {
    streams: Vec<Arc<Stream>>,
    /// Changes whenever what is known of them has become old, so that what was read before is not taken for new.
    version: u64,
    known: bool,
    follows: Box<[UserId]>,
    muted: Box<[UserId]>,
    blocked: Box<[UserId]>,
}

impl Person {
    fn hides(&self, author: UserId) -> bool {
        self.muted.contains(&author) || self.blocked.contains(&author)
    }
}

struct Watch {
    author: UserId,
    streams: Vec<Arc<Stream>>,
}

#[derive(Default)]
pub(super) struct Registry {
    entries: HashMap<u64, Entry>,
    people: HashMap<UserId, Person>,
    /// From an author to those whose home timelines the author's posts reach.
    readers: HashMap<UserId, Vec<UserId>>,
    watches: HashMap<PostId, Watch>,
    callers: HashMap<Box<str>, usize>,
    /// The last number given to a stream or a version.
    last: u64,
    stopping: bool,
}

impl Registry {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Lets a stream in. It hears nothing of its feed before its viewer's audience is known.
    pub(super) fn admit(
        &mut self,
        viewer: Option<Viewer>,
        feed: Feed,
        caller: &str,
        (most, most_per_caller): (usize, usize),
    ) -> Result<Arc<Stream>, Refusal> {
        if self.stopping {
            return Err(Refusal::Stopping);
        }
        if self.entries.len() >= most {
            return Err(Refusal::Full);
        }
        if self.callers.get(caller).copied().unwrap_or(0) >= most_per_caller {
            return Err(Refusal::Caller);
        }
        let caller: Box<str> = caller.into();
        *self.callers.entry(caller.clone()).or_default() += 1;
        let stream = Arc::new(Stream {
            number: self.number(),
            viewer,
            feed,
            queue: Queue::default(),
        });
        let entry = Entry {
            stream: Arc::clone(&stream),
            watched: Box::default(),
            caller,
        };
        self.entries.insert(stream.number, entry);
        if let Some(user) = stream.user() {
            let version = self.number();
            let person = self.people.entry(user).or_insert_with(|| Person {
                streams: Vec::new(),
                version,
                known: false,
                follows: Box::default(),
                muted: Box::default(),
                blocked: Box::default(),
            });
            person.streams.push(Arc::clone(&stream));
        }
        Ok(stream)
    }

    /// Forgets a stream that has gone.
    pub(super) fn remove(&mut self, stream: &Stream) {
        self.unwatch(stream.number);
        let Some(entry) = self.entries.remove(&stream.number) else {
            return;
        };
        if let Some(count) = self.callers.get_mut(&entry.caller) {
            *count -= 1;
            if *count == 0 {
                self.callers.remove(&entry.caller);
            }
        }
        let Some(user) = stream.user() else {
            return;
        };
        if let Some(person) = self.people.get_mut(&user) {
            person.streams.retain(|one| one.number != stream.number);
            if person.streams.is_empty() {
                self.unfollow(user);
                self.people.remove(&user);
            }
        }
    }

    /// Takes somebody out of the index of readers.
    fn unfollow(&mut self, user: UserId) {
        let Some(person) = self.people.get_mut(&user) else {
            return;
        };
        for author in std::mem::take(&mut person.follows) {
            if let Some(readers) = self.readers.get_mut(&author) {
                if let Some(at) = readers.iter().position(|reader| *reader == user) {
                    readers.swap_remove(at);
                }
                if readers.is_empty() {
                    self.readers.remove(&author);
                }
            }
        }
    }

    fn unwatch(&mut self, number: u64) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        for post in std::mem::take(&mut entry.watched) {
            if let Some(watch) = self.watches.get_mut(&post) {
                if let Some(at) = watch.streams.iter().position(|one| one.number == number) {
                    watch.streams.swap_remove(at);
                }
                if watch.streams.is_empty() {
                    self.watches.remove(&post);
                }
            }
        }
    }

    /// Replaces the posts that a stream watches, each with its author.
    pub(super) fn watch(&mut self, stream: &Arc<Stream>, posts: HashMap<PostId, UserId>) {
        self.unwatch(stream.number);
        let person = stream.user().and_then(|user| self.people.get(&user));
        let is_blocked =
            |author: &UserId| person.is_some_and(|person| person.blocked.contains(author));
        let Some(entry) = self.entries.get_mut(&stream.number) else {
            return;
        };
        // A block may have come since the posts were looked up.
        let posts: Vec<_> = posts
            .into_iter()
            .filter(|(_, author)| !is_blocked(author))
            .collect();
        entry.watched = posts.iter().map(|(post, _)| *post).collect();
        for (post, author) in posts {
            let watch = self.watches.entry(post).or_insert_with(|| Watch {
                author,
                streams: Vec::new(),
            });
            watch.streams.push(Arc::clone(stream));
        }
    }

    /// What to pass to [`Self::know`], when somebody's audience has to be read.
    pub(super) fn unknown(&self, user: UserId) -> Option<u64> {
        let person = self.people.get(&user)?;
        (!person.known).then_some(person.version)
    }

    /// What is known of these people is old, of all when `None`; answers who of them is here, with the new versions.
    pub(super) fn outdate(&mut self, users: Option<&HashSet<UserId>>) -> HashMap<UserId, u64> {
        let here: Vec<UserId> = match users {
            Some(users) => users.iter().copied().collect(),
            None => self.people.keys().copied().collect(),
        };
        let mut versions = HashMap::new();
        for user in here {
            let version = self.number();
            if let Some(person) = self.people.get_mut(&user) {
                (person.version, person.known) = (version, false);
                versions.insert(user, version);
            }
        }
        versions
    }

    /// Takes note of somebody's audience, unless it has become old since `version`.
    pub(super) fn know(&mut self, audience: Audience, version: u64) {
        let user = audience.viewer;
        match self.people.get(&user) {
            Some(person) if person.version == version => {}
            _ => return,
        }
        self.unfollow(user);
        let Some(person) = self.people.get_mut(&user) else {
            return;
        };
        for author in &audience.follows {
            self.readers.entry(*author).or_default().push(user);
        }
        person.known = true;
        person.follows = audience.follows.into();
        person.muted = audience.muted.into();
        person.blocked = audience.blocked.into();
        if person.blocked.is_empty() {
            return;
        }
        // What was watched before a block.
        for stream in person.streams.clone() {
            let blocked = &self.people[&user].blocked;
            let Some(entry) = self.entries.get(&stream.number) else {
                continue;
            };
            let author = |post: &PostId| self.watches.get(post).map(|watch| watch.author);
            let watched = entry.watched.iter();
            let kept: HashMap<PostId, UserId> = watched
                .filter_map(|post| Some((*post, author(post)?)))
                .filter(|(_, author)| !blocked.contains(author))
                .collect();
            if kept.len() < entry.watched.len() {
                self.watch(&stream, kept);
            }
        }
    }

    /// Ends the streams of somebody of whom it cannot be found out what they may hear.
    pub(super) fn end_person(&self, user: UserId) {
        for stream in self
            .people
            .get(&user)
            .iter()
            .flat_map(|person| &person.streams)
        {
            stream.queue.end(End::Stopping);
        }
    }

    /// Ends all streams and lets no more in.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        for entry in self.entries.values() {
            entry.stream.queue.end(End::Stopping);
        }
    }
}

#[cfg(test)]
mod tests;
