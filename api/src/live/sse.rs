//! `GET /api/stream`: live events as Server-Sent Events.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    get,
    http::header,
    web::{Data, Query},
};
use bytes::{Bytes, BytesMut};

use super::{
    hub::Opened,
    metrics::Transport,
    open::{self, StreamQuery},
};
use crate::{
    extract::MaybeUser,
    openapi::{Common, Refused},
    problem::Problem,
    routes::State,
};

/// What happens, as it happens: Server-Sent Events.
///
/// Anyone may listen. Each event has a name, an `id` and a JSON object as its data:
///
/// | event | data | to whom |
/// |---|---|---|
/// | `post` | `LivePosts`: new posts, of people one follows or of everybody (see `feed`); fetch what you show | all |
/// | `analysis` | `LiveAnalysis`: a verdict has come or changed | the author, and whoever watches the post (see `posts`) |
/// | `counts` | `LiveCounts`: likes, reposts and replies of a post as they are now | the same |
/// | `notification` | `LiveNotification`: a new one, or some were read | the one it is for |
/// | `refresh` | `{}`: more was missed than can be told; load again what you show | all |
///
/// Every 15 seconds there is at least a comment. A reader that comes back with `Last-Event-ID`, at whichever server,
/// is told what it missed within the last hour, up to 50 posts; otherwise `refresh`. Some of it may be told twice.
/// Readers that do not keep up are dropped and may come back in the same way; a stream also ends when the login does by
/// which it was opened.
#[utoipa::path(
    tag = "live",
    params(
        StreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was received"),
    ),
    security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Events, until either side hangs up", body = String, content_type = "text/event-stream"),
        Refused, Common,
    )
)]
#[get("/api/stream")]
pub async fn stream(
    state: Data<State>,
    MaybeUser(session): MaybeUser,
    query: Query<StreamQuery>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let beginning = open::open(&state, &req, session.as_ref(), query, Transport::Sse).await?;
    let mut first = BytesMut::new();
    for message in &beginning.first {
        first.extend_from_slice(&message.sse);
    }
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // NGINX is not to hold anything back, in whichever location it passes this on.
        .insert_header(("x-accel-buffering", "no"))
        // There is no next request on this connection, and at a stop nobody has to wait for one.
        .force_close()
        .body(Events {
            first: Some(first.freeze()),
            opened: beginning.opened,
        }))
}

/// The body of a stream.
struct Events {
    first: Option<Bytes>,
    opened: Opened,
}

impl MessageBody for Events {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        self.opened.stream.queue.poll_next(context).map(|next| {
            let messages = next.ok()?;
            if let [message] = messages.as_slices().0
                && messages.len() == 1
            {
                return Some(Ok(message.sse.clone()));
            }
            let mut bytes = BytesMut::new();
            for message in messages {
                bytes.extend_from_slice(&message.sse);
            }
            Some(Ok(bytes.freeze()))
        })
    }
}
