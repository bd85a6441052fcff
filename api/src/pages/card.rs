//! A post as pages show it.

use askama::Template;
use chrono::{DateTime, Utc};
use domain::{
    analysis::{Polarity, Safety, Status},
    ids::UserId,
    posts::PostView,
};

use super::{
    encoded,
    text::{Piece, pieces},
    time::When,
};

/// Somebody, as a link.
pub struct By<'a> {
    /// The display name, or the username of who has none.
    pub name: &'a str,
    /// The username.
    pub username: &'a str,
}

impl<'a> By<'a> {
    /// From the two names that views carry.
    #[must_use]
    pub fn new(username: &'a str, display_name: &'a str) -> Self {
        let name = if display_name.is_empty() {
            username
        } else {
            display_name
        };
        Self { name, username }
    }
}

/// What somebody can do about a post: a count and whether they have done it.
pub struct Act {
    /// How many have; empty for nobody.
    pub count: String,
    /// Whether the viewer has.
    pub done: bool,
}

/// A post.
pub struct Card<'a> {
    /// The post itself, for templates that show more of it.
    pub post: &'a PostView,
    /// Whose it is.
    pub by: By<'a>,
    /// Who brought it here, when it is a repost.
    pub over: Option<By<'a>>,
    /// Its text.
    pub pieces: Vec<Piece<'a>>,
    /// When it was written.
    pub when: When,
    /// The verdict: the class of its colour, and words.
    pub mood: Option<(&'static str, &'static str)>,
    /// Each with the address of the posts about it.
    pub topics: Vec<(&'a str, String)>,
    /// Why its text is behind a veil, in the model's words; may be empty.
    pub veil: Option<&'a str>,
    /// Answers.
    pub replies: Act,
    /// Reposts.
    pub reposts: Act,
    /// Likes.
    pub likes: Act,
    /// Whether the viewer has bookmarked it.
    pub bookmarked: bool,
    /// Whether somebody is logged in.
    pub member: bool,
    /// Whether the viewer wrote it.
    pub mine: bool,
    /// Whether it is what the page is about.
    pub big: bool,
    /// Whether what it answers is to be named, because it does not stand beside it.
    pub names_parent: bool,
}

/// A count as it fits beside an icon: 999, 1.2k, 34k, 1.2M.
#[must_use]
pub fn count(n: i64) -> String {
    match n {
        ..=0 => String::new(),
        1..1_000 => n.to_string(),
        1_000..10_000 => format!("{}.{}k", n / 1_000, n % 1_000 / 100),
        10_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{}.{}M", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}

/// A count as a word of a sentence: "0", "7", "1.2k".
#[must_use]
pub fn number(n: i64) -> String {
    match n {
        ..=0 => "0".into(),
        n => count(n),
    }
}

impl<'a> Card<'a> {
    /// The post as `viewer` sees it.
    #[must_use]
    pub fn new(post: &'a PostView, viewer: Option<UserId>, now: DateTime<Utc>) -> Self {
        let flags = post.viewer.unwrap_or_default();
        let analysis = post.analysis.as_ref();
        let mood = match analysis.map(|a| (a.status, a.polarity)) {
            Some((Status::Pending, _)) => Some(("wait", "being read…")),
            Some((Status::Dead, _)) => Some(("dead", "could not be judged")),
            Some((Status::Done, Some(Polarity::Positive))) => Some(("positive", "positive")),
            Some((Status::Done, Some(Polarity::Neutral))) => Some(("neutral", "neutral")),
            Some((Status::Done, Some(Polarity::Negative))) => Some(("negative", "negative")),
            _ => None,
        };
        let topics = analysis.map_or(&[][..], |a| &a.topics[..]);
        let act = |count: i32, done| Act {
            count: self::count(i64::from(count)),
            done,
        };
        Self {
            by: By::new(&post.username, &post.display_name),
            over: post
                .repost
                .as_ref()
                .map(|over| By::new(&over.username, &over.display_name)),
            pieces: pieces(&post.content),
            when: When::new(post.created_at, now),
            mood,
            topics: topics
                .iter()
                .map(|topic| (topic.as_str(), format!("/topics/{}", encoded(topic))))
                .collect(),
            veil: analysis
                .filter(|a| a.safety == Some(Safety::Dangerous))
                .map(|a| a.explanation.as_deref().unwrap_or_default()),
            replies: act(post.replies, false),
            reposts: act(post.reposts, flags.reposted),
            likes: act(post.likes, flags.liked),
            bookmarked: flags.bookmarked,
            member: viewer.is_some(),
            mine: viewer == Some(post.user_id),
            big: false,
            names_parent: true,
            post,
        }
    }

    /// The same below what it answers.
    #[must_use]
    pub fn below(mut self) -> Self {
        self.names_parent = false;
        self
    }

    /// The same as what its page is about.
    #[must_use]
    pub fn big(mut self) -> Self {
        self.big = true;
        self
    }
}

/// A post by itself.
#[derive(Template)]
#[template(path = "post/card.html")]
pub struct CardPage<'a> {
    /// Which.
    pub card: Card<'a>,
}

/// What can be done about a post, by itself.
#[derive(Template)]
#[template(path = "post/acts.html")]
pub struct ActsPage<'a> {
    /// Which.
    pub card: Card<'a>,
}

/// Posts one below the other, with the way to older ones.
pub struct Feed<'a> {
    /// The posts.
    pub cards: Vec<Card<'a>>,
    /// Where older ones are.
    pub older: Option<String>,
}

impl<'a> Feed<'a> {
    /// No posts.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            cards: Vec::new(),
            older: None,
        }
    }

    /// A page of posts; `path` is where it continues, ending in `?` or `&`.
    #[must_use]
    pub fn new(
        page: &'a domain::page::Page<PostView>,
        viewer: Option<UserId>,
        now: DateTime<Utc>,
        path: &str,
    ) -> Self {
        Self {
            cards: page
                .items
                .iter()
                .map(|post| Card::new(post, viewer, now))
                .collect(),
            older: page.next.map(|before| format!("{path}before={before}")),
        }
    }
}

/// More posts, for the end of a feed that is shown already.
#[derive(Template)]
#[template(path = "post/feed.html")]
pub struct FeedPage<'a> {
    /// Which.
    pub feed: Feed<'a>,
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_fit_beside_an_icon() {
        for (n, shown) in [
            (0, ""),
            (7, "7"),
            (999, "999"),
            (1_000, "1.0k"),
            (1_299, "1.2k"),
            (34_567, "34k"),
            (1_250_000, "1.2M"),
        ] {
            assert_eq!(super::count(n), shown);
        }
    }
}
