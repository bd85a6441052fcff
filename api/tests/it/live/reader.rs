//! A reader of a stream, over either transport, who takes one event after the other and holds its data against the
//! OpenAPI document.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        http::{HeaderName, HeaderValue},
        protocol::CloseFrame,
    },
};

use super::PATIENCE;
use crate::{
    client::Client,
    document::{DOCUMENT, fits},
};

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Event {
    fn checked(self) -> Self {
        let schema = match self.name.as_str() {
            "post" => "LivePosts",
            "analysis" => "LiveAnalysis",
            "counts" => "LiveCounts",
            "notification" => "LiveNotification",
            "refresh" | "ready" => {
                assert_eq!(self.data, json!({}));
                return self;
            }
            other => panic!("{other} is not documented"),
        };
        let schema = &DOCUMENT["components"]["schemas"][schema];
        assert!(schema.is_object(), "{self:?}");
        fits(schema, &self.data, "data").unwrap_or_else(|fault| panic!("{self:?}: {fault}"));
        self
    }
}

/// What one reads of Server-Sent Events.
pub struct Stream {
    response: reqwest::Response,
    unread: String,
    /// The id to come back with.
    pub id: String,
    pub retry: u64,
    pub comments: usize,
}

impl Stream {
    /// Listens at `/api/stream` with this query.
    pub async fn open(client: &Client, query: &str) -> Self {
        Self::resume(client, query, None).await
    }

    /// The same, coming back with an id.
    pub async fn resume(client: &Client, query: &str, id: Option<&str>) -> Self {
        let mut request = client.request("GET", &format!("/api/stream{query}"));
        if let Some(id) = id {
            request = request.header("last-event-id", id);
        }
        let response = request.stream().await;
        assert_eq!(response.status(), 200, "{query}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-accel-buffering"), "no");
        assert!(!header("x-request-id").is_empty());
        let documented = &DOCUMENT["paths"]["/api/stream"]["get"]["responses"]["200"]["content"];
        assert!(documented["text/event-stream"].is_object());
        let mut stream = Self {
            response,
            unread: String::new(),
            id: String::new(),
            retry: 0,
            comments: 0,
        };
        // The first block only sets the id and the time to wait.
        let block = stream.block().await.expect("a first block");
        assert_eq!(stream.interpret(&block), None);
        assert!((1_000..=5_000).contains(&stream.retry), "{block}");
        stream
    }

    /// What stands between two empty lines; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.unread = rest;
                return Some(block);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("an event").expect("a stream that ends well")?;
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Reads a block as browsers do.
    fn interpret(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut data) = (String::new(), None);
        for line in block.lines() {
            let (field, value) = line.split_once(':').expect("a field");
            let value = value.trim_start();
            match field {
                "" => self.comments += 1,
                "id" => self.id = value.to_owned(),
                "retry" => self.retry = value.parse().unwrap(),
                "event" => name = value.to_owned(),
                "data" => data = Some(serde_json::from_str(value).unwrap()),
                other => panic!("{other} is no field: {block}"),
            }
        }
        let event = Event {
            name,
            id: self.id.clone(),
            data: data?,
        };
        Some(event.checked())
    }

    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            if let Some(event) = self.interpret(&block) {
                return Some(event);
            }
        }
    }

    /// The data of the next event, which has this name.
    pub async fn event(&mut self, name: &str) -> Value {
        let event = self.next().await.expect("an event");
        assert_eq!(event.name, name, "{event:?}");
        event.data
    }

    /// The ids of the posts in the next event.
    pub async fn posts(&mut self) -> Vec<i64> {
        let data = self.event("post").await;
        crate::client::ids(&data["posts"])
    }

    /// Reads until the end, and answers how many events there were.
    pub async fn end(&mut self) -> usize {
        let mut count = 0;
        while self.next().await.is_some() {
            count += 1;
        }
        count
    }
}

/// A WebSocket.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens one at `/api/ws` with this query, as a page of `origin` if that is given.
    pub async fn connect(
        client: &Client,
        query: &str,
        origin: Option<&str>,
    ) -> Result<Self, tungstenite::Error> {
        let address: SocketAddr = client.address;
        let mut request = format!("ws://{address}/api/ws{query}").into_client_request()?;
        let mut set = |name: &'static str, value: String| {
            let value = HeaderValue::from_str(&value).unwrap();
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        };
        if let Some(token) = &client.token {
            set("cookie", format!("jwt={token}"));
        }
        if let Some(origin) = origin {
            set("origin", origin.to_owned());
        }
        let stream = TcpStream::connect(address).await?;
        Ok(Self(client_async(request, stream).await?.0))
    }

    /// The same, with the first event, which is `ready`.
    pub async fn open(client: &Client, query: &str) -> (Self, String) {
        let mut socket = Self::connect(client, query, None).await.expect("a socket");
        let ready = socket.next().await.expect("a first event");
        assert_eq!(ready.name, "ready");
        (socket, ready.id)
    }

    pub async fn say(&mut self, text: &str) {
        self.0
            .send(Message::text(text))
            .await
            .expect("an open socket");
    }

    async fn message(&mut self) -> Option<Message> {
        let next = timeout(PATIENCE, self.0.next()).await;
        let next = next.expect("a message");
        next.map(|message| message.expect("a sound message"))
    }

    /// The next event; `None` when the other side has closed.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let Message::Text(text) = self.message().await? else {
                continue;
            };
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value.as_object().unwrap().len(), 3, "{value}");
            let text = |name: &str| value[name].as_str().unwrap().to_owned();
            let event = Event {
                name: text("event"),
                id: text("id"),
                data: value["data"].clone(),
            };
            return Some(event.checked());
        }
    }

    /// The data of the next event, which has this name.
    pub async fn event(&mut self, name: &str) -> Value {
        let event = self.next().await.expect("an event");
        assert_eq!(event.name, name, "{event:?}");
        event.data
    }

    /// Why the other side closes, after whatever else it says.
    pub async fn farewell(&mut self) -> Option<CloseFrame> {
        loop {
            match self.message().await {
                Some(Message::Close(frame)) => return frame,
                Some(_) => {}
                None => return None,
            }
        }
    }
}
