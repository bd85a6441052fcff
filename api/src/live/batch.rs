//! Events that were heard together: what concerns the same thing is put together, so that a post which a hundred people
//! like at once costs its watchers one message.

use std::collections::{HashMap, HashSet};

use domain::{
    ids::{PostId, UserId},
    live::{Event, Heard},
};

/// Whose home timelines posts are in: of the author's followers, those who know whom they answer and do not hide whom
/// they show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Circle {
    pub(super) author: UserId,
    pub(super) answered: Option<UserId>,
    pub(super) original: Option<UserId>,
}

/// What happened since the last look.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Each time that hearing began (`true`) or ended.
    pub(super) turns: Vec<bool>,
    /// New posts by those who decide whose they are.
    pub(super) posts: HashMap<Circle, Vec<PostId>>,
    /// Posts whose analyses changed, with their authors.
    pub(super) analyses: HashMap<PostId, UserId>,
    /// The last counts of each post.
    pub(super) counts: HashMap<PostId, Event>,
    /// Each person's newest notification, if one is new, and how many are unread.
    pub(super) notifications: HashMap<UserId, (Option<i64>, i64)>,
    /// Those whose view of others has changed.
    pub(super) relations: HashSet<UserId>,
}

impl FromIterator<Heard> for Batch {
    fn from_iter<T: IntoIterator<Item = Heard>>(heard: T) -> Self {
        let mut batch = Self::default();
        for heard in heard {
            match heard {
                Heard::Begins => batch.turns.push(true),
                Heard::Ends => batch.turns.push(false),
                Heard::Event(event) => batch.add(event),
            }
        }
        batch
    }
}

impl Batch {
    fn add(&mut self, event: Event) {
        match event {
            Event::Posts { posts } => {
                for arrival in posts {
                    let circle = Circle {
                        author: arrival.author,
                        answered: arrival.answered,
                        original: arrival.original,
                    };
                    self.posts.entry(circle).or_default().push(arrival.post);
                }
            }
            Event::Analysis { post, author } => {
                self.analyses.insert(post, author);
            }
            Event::Counts { post, .. } => {
                self.counts.insert(post, event);
            }
            Event::Notification { user, id, unread } => {
                let known = self.notifications.entry(user).or_default();
                *known = (id.or(known.0), unread);
            }
            Event::Relation { viewer } => {
                self.relations.insert(viewer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_no_new_notification_is_forgotten() {
        let counts = |likes| Event::Counts {
            post: PostId(1),
            likes,
            reposts: 0,
            replies: 0,
        };
        let notification = |id, unread| Event::Notification {
            user: UserId(2),
            id,
            unread,
        };
        let events = [
            counts(1),
            notification(Some(7), 3),
            counts(2),
            notification(None, 0),
        ];
        let batch: Batch = events.into_iter().map(Heard::Event).collect();
        assert_eq!(batch.counts[&PostId(1)], counts(2));
        assert_eq!(batch.notifications[&UserId(2)], (Some(7), 0));
    }
}
