//! The subcommand that asks a running server whether it is ready, for supervisors and container health checks. Plain
//! HTTP/1.0 over a socket: a client library would be the larger half of it.

use std::{
    io::{Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context as _, bail};

/// How long the server may take; /readyz does no work.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks `GET /readyz`.
///
/// # Errors
/// When the server does not answer 200; the message says what it answered.
pub fn check(host: &str, port: u16) -> anyhow::Result<()> {
    // The address of a listener on every interface is not one to connect to.
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let asked = || format!("llm-service at {host}:{port}");
    let address = (host, port)
        .to_socket_addrs()
        .with_context(asked)?
        .next()
        .with_context(asked)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(asked)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream
        .write_all(b"GET /readyz HTTP/1.0\r\nconnection: close\r\n\r\n")
        .with_context(asked)?;
    let mut answer = String::new();
    stream
        .take(8192)
        .read_to_string(&mut answer)
        .with_context(asked)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        Some(status) => bail!("llm-service at {host}:{port} answered {status}: {body}"),
        None => bail!("{host}:{port} does not speak HTTP"),
    }
}
