//! Telling those whom something concerns.

use std::sync::Arc;

use domain::{
    ids::{PostId, UserId},
    live::Feed,
};

use super::{Person, Registry, Stream};
use crate::live::{batch::Circle, message::Message, queue::Pushed};

/// How many streams took a message, and how many ended for want of room.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::live) struct Tally {
    pub(in crate::live) sent: usize,
    pub(in crate::live) dropped: usize,
}

impl Tally {
    fn push(&mut self, stream: &Stream, message: &Arc<Message>) {
        match stream.queue.push(message) {
            Pushed::Waits => self.sent += 1,
            Pushed::Full => self.dropped += 1,
            Pushed::Ended => {}
        }
    }
}

impl Registry {
    /// Whether anybody here is concerned with what happens to this post of this author's.
    pub(in crate::live) fn concerns(&self, post: PostId, author: UserId) -> bool {
        self.watches.contains_key(&post) || self.people.contains_key(&author)
    }

    /// The author of a post that is watched here.
    pub(in crate::live) fn author(&self, post: PostId) -> Option<UserId> {
        self.watches.get(&post).map(|watch| watch.author)
    }

    /// Whether anybody here is logged in.
    pub(in crate::live) fn has_people(&self) -> bool {
        !self.people.is_empty()
    }

    /// To the author's own streams, and to those that watch the post.
    pub(in crate::live) fn tell_concerned(
        &self,
        post: PostId,
        author: Option<UserId>,
        message: &Arc<Message>,
    ) -> Tally {
        let mut tally = Tally::default();
        if let Some(person) = author.and_then(|author| self.people.get(&author)) {
            for stream in &person.streams {
                tally.push(stream, message);
            }
        }
        if let Some(watch) = self.watches.get(&post) {
            for stream in &watch.streams {
                if stream.user().is_none() || stream.user() != author {
                    tally.push(stream, message);
                }
            }
        }
        tally
    }

    /// To those in whose home timelines the posts of this circle are.
    pub(in crate::live) fn tell_readers(&self, circle: Circle, message: &Arc<Message>) -> Tally {
        let mut tally = Tally::default();
        let knows = |reader: &UserId, person: &Person| {
            circle
                .answered
                .is_none_or(|other| other == *reader || person.follows.contains(&other))
        };
        let readers = self.readers.get(&circle.author).into_iter().flatten();
        for reader in readers {
            let Some(person) = self.people.get(reader) else {
                continue;
            };
            if !knows(reader, person) || circle.original.is_some_and(|other| person.hides(other)) {
                continue;
            }
            for stream in &person.streams {
                if stream.feed == Feed::Home {
                    tally.push(stream, message);
                }
            }
        }
        tally
    }

    pub(in crate::live) fn has_readers(&self, author: UserId) -> bool {
        self.readers.contains_key(&author)
    }

    /// To one person.
    pub(in crate::live) fn tell_person(&self, user: UserId, message: &Arc<Message>) -> Tally {
        let mut tally = Tally::default();
        for stream in self
            .people
            .get(&user)
            .iter()
            .flat_map(|person| &person.streams)
        {
            tally.push(stream, message);
        }
        tally
    }

    /// Whether a stream here tells of everybody's posts.
    pub(in crate::live) fn has_public(&self) -> bool {
        let mut entries = self.entries.values();
        entries.any(|entry| entry.stream.feed == Feed::Public)
    }

    /// New posts of the public feed; `render` is called anew for each who does not see them all.
    pub(in crate::live) fn tell_public(
        &self,
        posts: &[(PostId, UserId)],
        render: impl Fn(&[(PostId, UserId)]) -> Arc<Message>,
    ) -> Tally {
        let mut tally = Tally::default();
        let all = render(posts);
        for entry in self.entries.values() {
            let stream = &entry.stream;
            if stream.feed != Feed::Public {
                continue;
            }
            let person = stream.user().and_then(|user| self.people.get(&user));
            // Whoever's blocks are not known yet would be told of everybody.
            if person.is_some_and(|person| !person.known) {
                continue;
            }
            let hidden = |author| person.is_some_and(|person| person.hides(author));
            if !posts.iter().any(|(_, author)| hidden(*author)) {
                tally.push(stream, &all);
                continue;
            }
            let seen = posts.iter().filter(|(_, author)| !hidden(*author));
            let seen: Vec<_> = seen.copied().collect();
            if !seen.is_empty() {
                tally.push(stream, &render(&seen));
            }
        }
        tally
    }

    /// To the streams whose number divided by `of` leaves `rest`, and is at most `last`.
    pub(in crate::live) fn tell_some(
        &self,
        of: u64,
        rest: u64,
        last: u64,
        message: &Arc<Message>,
    ) -> Tally {
        let mut tally = Tally::default();
        for entry in self.entries.values() {
            if entry.stream.number % of == rest && entry.stream.number <= last {
                tally.push(&entry.stream, message);
            }
        }
        tally
    }

    /// The logins behind the streams whose number divided by `of` leaves `rest`.
    pub(in crate::live) fn logins(&self, of: u64, rest: u64) -> Vec<Arc<Stream>> {
        let streams = self.entries.values().map(|entry| &entry.stream);
        streams
            .filter(|stream| stream.number % of == rest && stream.viewer.is_some())
            .cloned()
            .collect()
    }
}
