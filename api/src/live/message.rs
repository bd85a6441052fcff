//! Events as they are written: each is rendered once per replica, whoever gets it.

use bytes::Bytes;
use domain::{
    ids::{PostId, UserId},
    live::{Event, Mark, Verdict},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::native::post_dto::AnalysisDto;

/// What an event is called on the wire and in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Post,
    Analysis,
    Counts,
    Notification,
    Refresh,
    Ready,
    Heartbeat,
}

impl Name {
    pub(super) const ALL: [Self; 7] = [
        Self::Post,
        Self::Analysis,
        Self::Counts,
        Self::Notification,
        Self::Refresh,
        Self::Ready,
        Self::Heartbeat,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Analysis => "analysis",
            Self::Counts => "counts",
            Self::Notification => "notification",
            Self::Refresh => "refresh",
            Self::Ready => "ready",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// A new post.
#[derive(Serialize, ToSchema)]
#[schema(as = LivePost)]
pub struct PostData {
    /// Its number; for a repost the repost's own.
    #[schema(value_type = i64)]
    id: PostId,
    /// Who wrote it, or reposted it.
    #[serde(rename = "userId")]
    #[schema(value_type = i64)]
    user_id: UserId,
}

/// The data of `post`.
#[derive(Serialize, ToSchema)]
#[schema(as = LivePosts)]
pub struct PostsData {
    /// New posts, at least one.
    posts: Vec<PostData>,
}

/// The data of `analysis`.
#[derive(Serialize, ToSchema)]
#[schema(as = LiveAnalysis)]
pub struct VerdictData<'a> {
    /// Which post.
    #[schema(value_type = i64)]
    id: PostId,
    /// Whose.
    #[serde(rename = "userId")]
    #[schema(value_type = i64)]
    user_id: UserId,
    /// The analysis as it is now.
    analysis: AnalysisDto<'a>,
}

/// The data of `counts`.
#[derive(Serialize, ToSchema)]
#[schema(as = LiveCounts)]
pub struct CountsData {
    /// Which post.
    #[schema(value_type = i64)]
    id: PostId,
    /// How many people like it.
    likes: i32,
    /// How many people have reposted it.
    reposts: i32,
    /// How many posts answer it.
    replies: i32,
}

/// The data of `notification`.
#[derive(Serialize, ToSchema)]
#[schema(as = LiveNotification)]
pub struct NotificationData {
    /// The newest notification's number, if there is a new one.
    id: Option<i64>,
    /// How many are unread now.
    unread: i64,
}

/// `refresh`, `ready` and `heartbeat` have nothing to add to their names.
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Text<'a, T> {
    event: &'static str,
    id: &'a str,
    data: &'a T,
}

/// An event in both forms.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: Name,
    /// For Server-Sent Events, with the empty line that ends it.
    pub(super) sse: Bytes,
    /// For a WebSocket, as JSON.
    pub(super) text: String,
}

impl Message {
    fn new<T: Serialize>(name: Name, mark: Mark, data: &T) -> Self {
        let (event, id) = (name.as_str(), &mark.to_string());
        // Serialising these types cannot fail: they hold no maps and no foreign types.
        let json = serde_json::to_string(data).unwrap_or_default();
        let text = serde_json::to_string(&Text { event, id, data }).unwrap_or_default();
        Self {
            name,
            // JSON has no line ends of its own, which would end the data.
            sse: format!("event: {event}\nid: {id}\ndata: {json}\n\n").into(),
            text,
        }
    }

    /// New posts.
    pub(super) fn posts(mark: Mark, posts: &[(PostId, UserId)]) -> Self {
        let post = |(id, user_id): &(PostId, UserId)| PostData {
            id: *id,
            user_id: *user_id,
        };
        let posts = posts.iter().map(post).collect();
        Self::new(Name::Post, mark, &PostsData { posts })
    }

    pub(super) fn verdict(mark: Mark, verdict: &Verdict) -> Self {
        let data = VerdictData {
            id: verdict.post,
            user_id: verdict.author,
            analysis: AnalysisDto::from(&verdict.analysis),
        };
        Self::new(Name::Analysis, mark, &data)
    }

    /// `None` for other events than counts.
    pub(super) fn counts(mark: Mark, event: &Event) -> Option<Self> {
        let Event::Counts {
            post,
            likes,
            reposts,
            replies,
        } = *event
        else {
            return None;
        };
        let data = CountsData {
            id: post,
            likes,
            reposts,
            replies,
        };
        Some(Self::new(Name::Counts, mark, &data))
    }

    pub(super) fn notification(mark: Mark, id: Option<i64>, unread: i64) -> Self {
        Self::new(Name::Notification, mark, &NotificationData { id, unread })
    }

    /// What is shown may be out of date in any way: load it again.
    pub(super) fn refresh(mark: Mark) -> Self {
        Self::new(Name::Refresh, mark, &Nothing {})
    }

    /// A stream's first message. Over Server-Sent Events a reader is told with it how long to wait before it comes
    /// back, and is given an id to come back with; no event is dispatched for that.
    pub(super) fn ready(mark: Mark, retry: u64) -> Self {
        Self {
            sse: format!("retry: {retry}\nid: {mark}\n\n").into(),
            ..Self::new(Name::Ready, mark, &Nothing {})
        }
    }

    /// Says that the stream lives. Over Server-Sent Events a comment, with the id of this moment; over a WebSocket a ping.
    pub(super) fn heartbeat(mark: Mark) -> Self {
        Self {
            name: Name::Heartbeat,
            sse: format!(": heartbeat\nid: {mark}\n\n").into(),
            text: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let mark = Mark {
            post: PostId(7),
            millis: 1234,
        };
        let message = Message::posts(mark, &[(PostId(9), UserId(3))]);
        assert_eq!(
            message.sse,
            "event: post\nid: 7.1234\ndata: {\"posts\":[{\"id\":9,\"userId\":3}]}\n\n"
        );
        assert_eq!(
            message.text,
            r#"{"event":"post","id":"7.1234","data":{"posts":[{"id":9,"userId":3}]}}"#
        );
    }
}
