//! `GET /api/ws`: the same events over a WebSocket.

use std::{future::poll_fn, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::{StatusCode, header, header::HeaderMap},
    rt,
    web::{Data, Payload, Query},
};
use actix_ws::{
    AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, ProtocolError, Session,
};
use domain::rate_limits::Budget;
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    hub::Opened,
    message::{Message, Name},
    metrics::Transport,
    open::{self, StreamQuery},
    queue::End,
};
use crate::{
    extract::MaybeUser,
    openapi::{Common, ForeignOrigin, Refused},
    problem::Problem,
    routes::State,
};

/// The longest message a reader may send, in bytes; a hundred ids of sixteen digits fit.
const LONGEST: usize = 4 << 10;
/// Heartbeats without an answer after which a reader has gone.
const SILENT: u32 = 3;
/// How long a reader may take to hear that this is the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a reader may ask for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// The posts to be watched from now on, instead of those so far.
    watch: Vec<i64>,
}

/// What happens, as it happens: a WebSocket.
///
/// The events of `/api/stream`, each a text message `{"event": …, "id": …, "data": …}`; the first one is `ready`. The
/// message `{"watch": [1, 2, 3]}` replaces the posts that are watched and costs as much as a read. Every 15 seconds
/// there is a ping; whoever answers none of three is taken for gone. A page of another origin is refused.
#[utoipa::path(
    tag = "live", params(StreamQuery), security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 101, description = "From here on it is a WebSocket"),
        Refused, ForeignOrigin, Common,
    )
)]
#[get("/api/ws")]
pub async fn socket(
    state: Data<State>,
    MaybeUser(session): MaybeUser,
    query: Query<StreamQuery>,
    req: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    if !is_own_page(req.headers()) {
        state
            .live
            .metrics
            .refused
            .with_label_values(&["origin"])
            .inc();
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "a page of another site may not listen in a visitor's name",
        ));
    }
    let (mut response, writer, reader) = actix_ws::handle(&req, payload).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("this is an address for WebSockets: {error}"),
        )
    })?;
    let beginning = open::open(&state, &req, session.as_ref(), query, Transport::WebSocket).await?;
    let caller = open::caller(&state, &req, beginning.opened.stream.viewer);
    let reader = reader.max_frame_size(LONGEST).aggregate_continuations();
    let mut conversation = Conversation {
        state,
        caller,
        opened: beginning.opened,
        writer: writer.clone(),
        silent: 0,
    };
    let first = beginning.first;
    rt::spawn(async move {
        let reason = conversation
            .hold(reader.max_continuation_size(LONGEST), &first)
            .await;
        // Dropped before the farewell: the place in the hub is free at once.
        drop(conversation);
        let _who_has_gone_hears_nothing = timeout(FAREWELL, writer.close(reason)).await;
    });
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    Ok(response)
}

/// Whether a request comes from a page of this site, or from no page at all. Browsers let any page open a WebSocket
/// to anywhere and send the cookies along (cross-site WebSocket hijacking); what they do not let it do is choose its
/// `Origin`.
fn is_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let text = |value: Option<&header::HeaderValue>| {
        value
            .and_then(|value| value.to_str().ok())
            .map(str::to_ascii_lowercase)
    };
    let (Some(origin), Some(host)) = (text(Some(origin)), text(headers.get(header::HOST))) else {
        return false;
    };
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| authority == host)
}

fn because(code: CloseCode, why: &str) -> Option<CloseReason> {
    Some(CloseReason {
        code,
        description: Some(why.to_owned()),
    })
}

struct Conversation {
    state: Data<State>,
    caller: String,
    opened: Opened,
    writer: Session,
    /// Heartbeats since the reader was last heard of.
    silent: u32,
}

/// Why a conversation is over, as the reader is told.
type Farewell = Option<CloseReason>;

impl Conversation {
    async fn hold(&mut self, mut reader: AggregatedMessageStream, first: &[Message]) -> Farewell {
        for message in first {
            if let Err(farewell) = self.write(message).await {
                return farewell;
            }
        }
        loop {
            let stream = std::sync::Arc::clone(&self.opened.stream);
            tokio::select! {
                next = poll_fn(|context| stream.queue.poll_next(context)) => match next {
                    Ok(messages) => for message in messages {
                        if let Err(farewell) = self.write(&message).await {
                            return farewell;
                        }
                    },
                    Err(end) => return farewell(end),
                },
                said = reader.recv() => if let Err(farewell) = self.hear(said).await {
                    return farewell;
                },
            }
        }
    }

    /// Writes one message, unless the stream ends while the reader does not take it.
    async fn write(&mut self, message: &Message) -> Result<(), Farewell> {
        let is_heartbeat = message.name == Name::Heartbeat;
        if is_heartbeat {
            self.silent += 1;
            if self.silent > SILENT {
                return Err(because(CloseCode::Away, "you do not answer"));
            }
        }
        let stream = std::sync::Arc::clone(&self.opened.stream);
        let written = async {
            match is_heartbeat {
                true => self.writer.ping(b"").await,
                false => self.writer.text(message.text.clone()).await,
            }
        };
        tokio::select! {
            biased;
            done = written => done.map_err(|_| None),
            end = poll_fn(|context| stream.queue.poll_end(context)) => Err(farewell(end)),
        }
    }

    async fn hear(
        &mut self,
        said: Option<Result<AggregatedMessage, ProtocolError>>,
    ) -> Result<(), Farewell> {
        self.silent = 0;
        match said {
            Some(Ok(AggregatedMessage::Text(text))) => self.grant(&text).await,
            Some(Ok(AggregatedMessage::Ping(bytes))) => {
                self.writer.pong(&bytes).await.map_err(|_| None)
            }
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Binary(_))) => {
                Err(because(CloseCode::Unsupported, "messages are JSON texts"))
            }
            Some(Err(ProtocolError::Overflow)) => {
                Err(because(CloseCode::Size, "the message is too long"))
            }
            Some(Err(error)) => Err(because(CloseCode::Protocol, &error.to_string())),
            Some(Ok(AggregatedMessage::Close(_))) | None => Err(None),
        }
    }

    async fn grant(&mut self, text: &str) -> Result<(), Farewell> {
        let wish: Option<Wish> = serde_json::from_str(text).ok();
        let posts = wish.and_then(|wish| open::watchable(&wish.watch));
        let posts = posts.ok_or_else(|| {
            because(
                CloseCode::Policy,
                "say {\"watch\":[…]} with at most 100 ids (1 or more)",
            )
        })?;
        let limiter = &self.state.limiter;
        let paid = limiter.check(Budget::Reads, &self.caller).await;
        if paid.is_some_and(|decision| decision.retry_after.is_some()) {
            return Err(because(CloseCode::Policy, "too many requests"));
        }
        match open::watch(&self.state, &self.opened, &posts).await {
            Ok(_) => Ok(()),
            Err(_) => Err(because(CloseCode::Again, "try again shortly")),
        }
    }
}

fn farewell(end: End) -> Farewell {
    match end {
        End::Slow => because(CloseCode::Policy, "you do not keep up"),
        End::Stopping => because(CloseCode::Restart, "this server is about to stop"),
        End::LoggedOut => because(CloseCode::Policy, "the login has ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_page_of_another_site_is_told_by_its_origin() {
        let own = |origin: &str, host: &str| {
            let request = TestRequest::default()
                .insert_header(("origin", origin))
                .insert_header(("host", host));
            is_own_page(request.to_http_request().headers())
        };
        assert!(own("https://linnet.example", "linnet.example"));
        assert!(own("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(own("https://Linnet.Example", "linnet.example"));
        assert!(!own("https://evil.example", "linnet.example"));
        assert!(!own(
            "https://linnet.example.evil.example",
            "linnet.example"
        ));
        assert!(!own("https://linnet.example:444", "linnet.example"));
        assert!(!own("null", "linnet.example"));
        assert!(!own("", ""));
        let none = TestRequest::default().to_http_request();
        assert!(is_own_page(none.headers()), "no browser");
    }
}
