//! The shared connection with a span for each call that belongs to a trace. The span names the command and the part of
//! the stack that its key belongs to, and nothing more of the key: keys hold names and addresses of people.

use std::fmt;

use deadpool_redis::redis::{
    Arg, Cmd, Pipeline, RedisFuture, Value,
    aio::{ConnectionLike, ConnectionManager},
};
use tracing::{Instrument as _, Span, field::Empty};

/// A connection to be cloned for every call.
#[derive(Clone)]
pub(crate) struct Traced {
    connection: ConnectionManager,
    /// What every key begins with.
    prefix: std::sync::Arc<str>,
}

impl Traced {
    pub(super) fn new(connection: ConnectionManager, prefix: &str) -> Self {
        Self {
            connection,
            prefix: prefix.into(),
        }
    }
}

impl ConnectionLike for Traced {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let name = Name(Some(cmd), &self.prefix);
        let span = span(&name, 1);
        watched(self.connection.req_packed_command(cmd), span)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let name = Name(pipeline.cmd_iter().next(), &self.prefix);
        let span = span(&name, pipeline.len());
        watched(
            self.connection.req_packed_commands(pipeline, offset, count),
            span,
        )
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

fn span(name: &Name<'_>, commands: usize) -> Span {
    tracing::debug_span!(
        "redis",
        otel.name = %name,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "redis",
        db.operation.batch.size = i64::try_from(commands).unwrap_or(i64::MAX),
    )
}

/// The call within its span, or as it is when nobody watches.
fn watched<'a, T: Send + 'a>(call: RedisFuture<'a, T>, span: Span) -> RedisFuture<'a, T> {
    if span.is_disabled() {
        return call;
    }
    let call = async {
        let answer = call.await;
        if answer.is_err() {
            Span::current().record("otel.status_code", "ERROR");
        }
        answer
    };
    Box::pin(call.instrument(span))
}

/// A command, as "GET feed"; of several, the first.
struct Name<'a>(Option<&'a Cmd>, &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Some(cmd), prefix) = self else {
            return f.write_str("nothing");
        };
        let mut words = cmd.args_iter().map(|arg| match arg {
            Arg::Simple(word) => std::str::from_utf8(word).unwrap_or_default(),
            _ => "",
        });
        let command = words.next().unwrap_or_default();
        // Of a script the key comes after its sum and the number of keys.
        let key = match command {
            "EVAL" | "EVALSHA" => words.nth(2),
            _ => words.next(),
        };
        let ours = key.and_then(|key| key.strip_prefix(*prefix)?.strip_prefix(':'));
        match ours.and_then(|key| key.split(':').next()) {
            Some(whose) => write!(f, "{command} {whose}"),
            None => f.write_str(command),
        }
    }
}

#[cfg(test)]
mod tests {
    use deadpool_redis::redis::{Script, cmd};

    use super::*;

    #[test]
    fn a_call_is_named_by_its_command_and_whose_key_it_is() {
        let name = |cmd: &Cmd| Name(Some(cmd), "linnet").to_string();
        assert_eq!(name(cmd("GET").arg("linnet:feed:ver")), "GET feed");
        assert_eq!(
            name(cmd("SET").arg("linnet:home:7").arg("text")),
            "SET home"
        );
        assert_eq!(name(&cmd("PING")), "PING");
        assert_eq!(name(cmd("GET").arg("another:feed")), "GET");
        assert_eq!(name(cmd("SET").arg(&b"\xff"[..]).arg(1)), "SET");
        let mut script = cmd("EVALSHA");
        script
            .arg(Script::new("return 1").get_hash())
            .arg(1)
            .arg("linnet:rate:reads:203.0.113.7");
        assert_eq!(name(&script), "EVALSHA rate");
        assert_eq!(Name(None, "linnet").to_string(), "nothing");
    }
}
