//! One connection to the server, kept alive, and calls over it one after the other.
//!
//! The connection is driven by the task that waits for the answer: no second task, no wake-up of one by the other. That
//! halves what a request costs the generator, which shares its cores with the server.

use std::{fmt, io, pin::Pin, task::Poll, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri, Version,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::target::{CONNECT, Target};

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type Driver = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) cookie: Option<HeaderValue>,
    pub(crate) authorization: Option<HeaderValue>,
    /// JSON, or nothing.
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn get(uri: Uri) -> Self {
        Self {
            method: Method::GET,
            uri,
            cookie: None,
            authorization: None,
            body: Bytes::new(),
        }
    }

    pub(crate) fn with(method: Method, uri: Uri, body: impl Into<Bytes>) -> Self {
        Self {
            method,
            body: body.into(),
            ..Self::get(uri)
        }
    }

    pub(crate) fn by(mut self, cookie: Option<&HeaderValue>) -> Self {
        self.cookie = cookie.cloned();
        self
    }
}

/// What of the body is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of it.
    All,
    /// All of it, unless the status is this one: what went wrong is worth reading.
    Unless(StatusCode),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body's length, whether or not it was kept.
    pub(crate) length: u64,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Fault {
    Connect(io::Error),
    Timeout(Duration),
    Broken(hyper::Error),
}

impl Fault {
    /// Whether nothing was sent, so that the user may wait a little before the next attempt.
    pub(crate) fn is_connect(&self) -> bool {
        matches!(self, Self::Connect(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => write!(f, "connection refused"),
                io::ErrorKind::ConnectionReset => write!(f, "connection reset while connecting"),
                _ => write!(f, "cannot connect: {error}"),
            },
            Self::Timeout(limit) => write!(f, "no answer within {} s", limit.as_secs_f64()),
            Self::Broken(error) if error.is_incomplete_message() => {
                write!(f, "the server closed the connection without an answer")
            }
            Self::Broken(error) => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                write!(f, "{}", cause.unwrap_or_else(|| error.to_string()))
            }
        }
    }
}

impl std::error::Error for Fault {}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<Driver>>,
    ended: bool,
}

/// A connection that is opened when it is needed, and again after it was lost.
pub(crate) struct Connection {
    target: Target,
    limit: Duration,
    open: Option<Open>,
}

impl Connection {
    /// To `target`; a call may take `limit`.
    pub(crate) fn new(target: Target, limit: Duration) -> Self {
        Self {
            target,
            limit,
            open: None,
        }
    }

    /// Hangs up.
    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    /// Asks and reads the whole answer. After a fault the connection is closed.
    pub(crate) async fn call(&mut self, call: Call, keep: Keep) -> Result<Answer, Fault> {
        // A connection that was in the middle of a call which nobody waited for is not used again.
        let found = self.open.take();
        let mut open = match timeout(self.limit.min(CONNECT), self.ready(found)).await {
            Ok(open) => open?,
            Err(_) => return Err(Fault::Connect(io::ErrorKind::TimedOut.into())),
        };
        let mut request = Request::new(Full::new(Bytes::new()));
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.target.host());
        if let Some(cookie) = call.cookie {
            headers.insert(header::COOKIE, cookie);
        }
        if let Some(authorization) = call.authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        if !call.body.is_empty() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        *request.method_mut() = call.method;
        *request.uri_mut() = call.uri;
        *request.version_mut() = Version::HTTP_11;
        *request.body_mut() = Full::new(call.body);
        match timeout(self.limit, exchange(&mut open, request, keep)).await {
            Ok(Ok(answer)) => {
                if !open.ended {
                    self.open = Some(open);
                }
                Ok(answer)
            }
            Ok(Err(error)) => Err(Fault::Broken(error)),
            Err(_) => Err(Fault::Timeout(self.limit)),
        }
    }

    /// Asks, and hands over the body as it comes.
    pub(crate) async fn stream(
        target: &Target,
        call: Call,
        limit: Duration,
    ) -> Result<Streaming, Fault> {
        let mut connection = Self::new(target.clone(), limit);
        let mut open = connection.ready(None).await?;
        let mut request = Request::new(Full::new(Bytes::new()));
        let headers = request.headers_mut();
        headers.insert(header::HOST, target.host());
        if let Some(cookie) = call.cookie {
            headers.insert(header::COOKIE, cookie);
        }
        *request.uri_mut() = call.uri;
        let response = open.sender.send_request(request);
        let response = timeout(limit, driven(&mut open.driver, &mut open.ended, response)).await;
        let response = response
            .map_err(|_| Fault::Timeout(limit))?
            .map_err(Fault::Broken)?;
        Ok(Streaming {
            open,
            status: response.status(),
            body: response.into_body(),
        })
    }

    /// The connection if it is still good, or a new one.
    async fn ready(&mut self, found: Option<Open>) -> Result<Open, Fault> {
        if let Some(mut open) = found
            && usable(&mut open).await
        {
            return Ok(open);
        }
        let mut open = self.connect().await?;
        if !usable(&mut open).await {
            return Err(Fault::Connect(io::ErrorKind::ConnectionReset.into()));
        }
        Ok(open)
    }

    async fn connect(&mut self) -> Result<Open, Fault> {
        let stream = TcpStream::connect(self.target.address())
            .await
            .map_err(Fault::Connect)?;
        stream.set_nodelay(true).map_err(Fault::Connect)?;
        let stream: Box<dyn Stream> = match self.target.tls() {
            None => Box::new(stream),
            Some((connector, name)) => {
                let secured = connector.connect(name.clone(), stream).await;
                Box::new(secured.map_err(Fault::Connect)?)
            }
        };
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(Fault::Broken)?;
        Ok(Open {
            sender,
            driver: Box::pin(driver),
            ended: false,
        })
    }
}

/// Waits until the connection takes a request; false when the server has closed it meanwhile.
async fn usable(open: &mut Open) -> bool {
    std::future::poll_fn(|context| {
        if !open.ended && open.driver.as_mut().poll(context).is_ready() {
            open.ended = true;
        }
        if open.ended {
            return Poll::Ready(false);
        }
        open.sender.poll_ready(context).map(|ready| ready.is_ok())
    })
    .await
}

/// Waits for `wanted` and drives the connection meanwhile.
async fn driven<T>(
    driver: &mut Pin<Box<Driver>>,
    ended: &mut bool,
    wanted: impl Future<Output = T>,
) -> T {
    let mut wanted = std::pin::pin!(wanted);
    std::future::poll_fn(|context| {
        if !*ended && driver.as_mut().poll(context).is_ready() {
            *ended = true;
        }
        wanted.as_mut().poll(context)
    })
    .await
}

async fn exchange(
    open: &mut Open,
    request: Request<Full<Bytes>>,
    keep: Keep,
) -> Result<Answer, hyper::Error> {
    let response = open.sender.send_request(request);
    let whole = async {
        let (parts, mut body) = response.await?.into_parts();
        let keep = keep == Keep::All || keep != Keep::Unless(parts.status);
        let mut answer = Answer {
            status: parts.status,
            headers: parts.headers,
            length: 0,
            body: Vec::new(),
        };
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                answer.length += data.len() as u64;
                if keep {
                    answer.body.extend_from_slice(&data);
                }
            }
        }
        Ok(answer)
    };
    driven(&mut open.driver, &mut open.ended, whole).await
}

/// An answer without an end.
pub(crate) struct Streaming {
    open: Open,
    pub(crate) status: StatusCode,
    body: Incoming,
}

impl Streaming {
    /// The next bytes; `None` when the server has ended it.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        loop {
            let frame = self.body.frame();
            match driven(&mut self.open.driver, &mut self.open.ended, frame).await? {
                Err(error) => return Some(Err(Fault::Broken(error))),
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
            }
        }
    }
}
