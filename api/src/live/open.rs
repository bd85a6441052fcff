//! What a stream asks for, how it is let in, and what it is told first.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    http::{StatusCode, header::HeaderName},
    web::{Data, Query},
};
use domain::{
    auth::Session,
    ids::{PostId, UserId},
    live::{self, Feed, MAX_WATCHED, Mark, Missed, MissedPosts, Viewer},
};
use serde::Deserialize;

use super::{hub::Opened, message::Message, metrics::Transport, registry::Refusal};
use crate::{extract::Origin, problem::Problem, routes::State};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The shortest wait before a reader comes back, in milliseconds. Each stream is given one of its own up to
/// [`LONGEST_RETRY`]: when a replica stops, its readers must not arrive at the others all at once.
const SHORTEST_RETRY: u64 = 1_000;
const LONGEST_RETRY: u64 = 5_000;
/// When to come back to a replica that is full.
const FULL: Duration = Duration::from_secs(10);

/// What a stream tells of.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// Posts whose `analysis` and `counts` are told: up to 100 ids, separated by commas.
    #[param(example = "1,2,3")]
    posts: Option<String>,
    /// Of which new posts is told: `home` (those of people one follows; the default when logged in), `public` (everybody's,
    /// at most one event a second; the default when not) or `none`.
    #[param(example = "public")]
    feed: Option<String>,
    /// The `id` of the last event that was received, for those who cannot send the header `Last-Event-ID`.
    last_event_id: Option<String>,
}

impl StreamQuery {
    fn feed(&self, logged_in: bool) -> Result<Feed, Problem> {
        match (self.feed.as_deref(), logged_in) {
            (None | Some("home"), true) => Ok(Feed::Home),
            (None, false) | (Some("public"), _) => Ok(Feed::Public),
            (Some("none"), _) => Ok(Feed::Nothing),
            (Some("home"), false) => Err(Problem::field(
                "feed",
                "be public or none when you are not logged in",
            )),
            (Some(_), _) => Err(Problem::field("feed", "be home, public or none")),
        }
    }
}

/// The ids in `posts=1,2,3`.
fn ids(text: &str) -> Result<Vec<PostId>, Problem> {
    let refused = || {
        Problem::field(
            "posts",
            format!("be at most {MAX_WATCHED} ids (1 or more), separated by commas"),
        )
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i64> = text
        .split(',')
        .map(|id| id.parse().map_err(|_| refused()))
        .collect::<Result<_, _>>()?;
    watchable(&numbers).ok_or_else(refused)
}

/// These posts, if they can be watched together.
pub(super) fn watchable(numbers: &[i64]) -> Option<Vec<PostId>> {
    let sound = numbers.len() <= MAX_WATCHED && numbers.iter().all(|id| *id >= 1);
    sound.then(|| numbers.iter().copied().map(PostId).collect())
}

/// A stream that is let in, and what it is told first.
pub(super) struct Beginning {
    pub(super) opened: Opened,
    pub(super) first: Vec<Message>,
}

/// Opens a stream for whoever asks.
pub(super) async fn open(
    state: &Data<State>,
    req: &HttpRequest,
    session: Option<&Session>,
    Query(query): Query<StreamQuery>,
    transport: Transport,
) -> Result<Beginning, Problem> {
    let viewer = session.map(Viewer::from);
    let feed = query.feed(viewer.is_some())?;
    let posts = query.posts.as_deref().map_or(Ok(Vec::new()), ids)?;
    let header = req.headers().get(LAST_EVENT_ID);
    let last = header.and_then(|value| value.to_str().ok());
    let last = last.or(query.last_event_id.as_deref());

    let caller = caller(state, req, viewer);
    let opened = state.live.open(viewer, feed, &caller, transport);
    let opened = opened.map_err(refusal)?;
    // What happens from here on waits in the stream's queue; what happened before is in the database.
    let mark = opened.hub.mark();
    if let Some(viewer) = viewer {
        learn(state, &opened, viewer.user).await?;
    }
    let watched = watch(state, &opened, &posts).await?;
    let number = opened.stream.number;
    let retry = SHORTEST_RETRY + number * 7 % (LONGEST_RETRY - SHORTEST_RETRY);
    let mut first = vec![Message::ready(mark, retry)];
    if let Some(last) = last {
        let user = viewer.map(|viewer| viewer.user);
        match last.parse() {
            Ok(since) => {
                let missed = live::missed(&state.ctx, user, feed, &watched, since).await?;
                first.extend(catch_up(mark, &missed));
            }
            // Nobody gave them this id, or a newer program did.
            Err(_) => first.push(Message::refresh(mark)),
        }
    }
    for message in &first {
        opened.hub.metrics.sent(message.name, 1);
    }
    Ok(Beginning { opened, first })
}

/// Under which name streams are counted: as for the rate limits.
pub(super) fn caller(state: &State, req: &HttpRequest, viewer: Option<Viewer>) -> String {
    match viewer {
        Some(viewer) => format!("user:{}", viewer.user),
        None => Origin::of(req, &state.trusted_proxies).caller(),
    }
}

fn refusal(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Full => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no room for another live stream right now: try again shortly",
        )
        .after(FULL),
        Refusal::Stopping => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "this server is about to stop: try again",
        )
        .after(Duration::from_secs(1)),
        Refusal::Caller => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "you have too many live streams open: close one first",
        )
        .after(FULL),
    }
}

/// Reads whom the viewer follows, unless it is known from another stream of theirs.
async fn learn(state: &State, opened: &Opened, user: UserId) -> Result<(), Problem> {
    loop {
        let Some(version) = opened.hub.registry().unknown(user) else {
            return Ok(());
        };
        let audiences = live::audiences(&state.ctx, &[user]).await?;
        for audience in audiences {
            opened.hub.registry().know(audience, version);
        }
    }
}

/// Replaces what the stream watches; answers those of `posts` that its viewer may see.
pub(super) async fn watch(
    state: &State,
    opened: &Opened,
    posts: &[PostId],
) -> Result<Vec<PostId>, Problem> {
    let user = opened.stream.viewer.map(|viewer| viewer.user);
    let visible = live::visible(&state.ctx, user, posts).await?;
    let ids = visible.keys().copied().collect();
    opened.hub.registry().watch(&opened.stream, visible);
    Ok(ids)
}

/// What was missed, as events.
fn catch_up(mark: Mark, missed: &Missed) -> Vec<Message> {
    let mut messages = Vec::new();
    match &missed.posts {
        MissedPosts::TooMany => messages.push(Message::refresh(mark)),
        MissedPosts::These(posts) if posts.is_empty() => {}
        MissedPosts::These(posts) => messages.push(Message::posts(mark, posts)),
    }
    let counts = missed.counts.iter();
    messages.extend(counts.filter_map(|counts| Message::counts(mark, counts)));
    let verdicts = missed.verdicts.iter();
    messages.extend(verdicts.map(|verdict| Message::verdict(mark, verdict)));
    let notifications = missed.notifications;
    messages.extend(notifications.map(|(id, unread)| Message::notification(mark, id, unread)));
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn posts_are_watched_by_their_ids() {
        assert_eq!(ids("").unwrap(), []);
        assert_eq!(ids("3,1").unwrap(), [PostId(3), PostId(1)]);
        for wrong in [",", "1,", "0", "-1", "a", "1 2", "99999999999999999999"] {
            let refused = ids(wrong).unwrap_err();
            assert_eq!(refused.body.errors[0].field, "posts", "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn up_to_a_hundred_ids_are_taken_and_no_more(count in 1_usize..200) {
            let list: Vec<String> = (1..=count).map(|id| id.to_string()).collect();
            prop_assert_eq!(ids(&list.join(",")).is_ok(), count <= MAX_WATCHED);
        }

        #[test]
        fn any_text_is_a_list_or_a_client_error(text: String) {
            if let Err(problem) = ids(&text) {
                prop_assert!(problem.status.is_client_error());
            }
        }
    }
}
