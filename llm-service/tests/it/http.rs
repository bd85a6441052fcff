//! A small HTTP client: one request a connection, over a socket. A client library would share features with
//! mistral.rs' dependencies, and every test build would compile those again.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }
}

/// Sends a request and leaves the answer unread; dropping the stream is how a caller goes away.
pub async fn send(port: u16, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads the answer to the end of the connection.
pub async fn receive(mut stream: TcpStream) -> Answer {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// The text of a request; `headers` are whole lines.
pub fn request(method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    for line in headers {
        head += line;
        head += "\r\n";
    }
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

pub async fn get(port: u16, path: &str) -> Answer {
    receive(send(port, &request("GET", path, &[], "")).await).await
}

pub async fn post(port: u16, path: &str, body: &Value) -> Answer {
    receive(send(port, &posted(path, body)).await).await
}

/// The text of a POST of JSON.
pub fn posted(path: &str, body: &Value) -> String {
    request(
        "POST",
        path,
        &["content-type: application/json"],
        &body.to_string(),
    )
}
