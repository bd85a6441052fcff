//! The client of the language model against servers of the tests' own: a small HTTP server that remembers what it was
//! asked, and what every test of the client needs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{
    config::{LlmConfig, RedisConfig},
    llm::Llm,
    redis::Redis,
    testing,
};
use prometheus::Registry;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method and path: "GET /readyz".
    pub what: String,
    headers: Vec<(String, String)>,
    /// Null when there was none.
    pub body: Value,
}

impl Asked {
    /// A header's value; empty when it was not sent.
    pub fn header(&self, name: &str) -> &str {
        let named = self.headers.iter().find(|(known, _)| known == name);
        named.map_or("", |(_, value)| value)
    }

    /// The message with this role.
    pub fn message(&self, role: &str) -> &str {
        let messages = self.body["messages"].as_array().unwrap();
        let message = messages.iter().find(|message| message["role"] == role);
        message.unwrap()["content"].as_str().unwrap()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    delay: Duration,
}

impl Answer {
    pub fn new(status: u16, body: impl ToString) -> Self {
        Self {
            status,
            headers: vec![],
            body: body.to_string(),
            delay: Duration::ZERO,
        }
    }

    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// A server that answers by a function, and ends with the test.
pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    open: watch::Sender<bool>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            open: watch::Sender::new(true),
        };
        let (asked, open, answer) = (
            Arc::clone(&server.asked),
            server.open.subscribe(),
            Arc::new(answer),
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, open, answer) = (Arc::clone(&asked), open.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    // The client may hang up at any time.
                    let _ended = serve(stream, &asked, open, &*answer).await;
                });
            }
        });
        server
    }

    pub fn url(&self) -> Url {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// Posts are taken and not answered from now on, until [`Self::release`].
    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    pub fn release(&self) {
        self.open.send_replace(true);
    }

    /// What it was asked with this method and path.
    pub fn asked(&self, what: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|asked| asked.what == what)
            .cloned()
            .collect()
    }
}

async fn serve(
    stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    mut open: watch::Receiver<bool>,
    answer: &(impl Fn(&Asked) -> Answer + Sync),
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let what = line.rsplit_once(' ').unwrap().0.to_owned();
        let mut headers = vec![];
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut asked = Asked {
            what,
            headers,
            body: Value::Null,
        };
        let mut body = vec![0; asked.header("content-length").parse().unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        if !body.is_empty() {
            asked.body = serde_json::from_slice(&body).unwrap();
        }
        log.lock().unwrap().push(asked.clone());
        if asked.what.starts_with("POST") {
            let _the_test_is_over = open.wait_for(|open| *open).await;
        }
        let Answer {
            status,
            headers,
            body,
            delay,
        } = answer(&asked);
        tokio::time::sleep(delay).await;
        let mut head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .await?;
    }
}

/// A client, and where its metrics are.
pub struct Client {
    pub llm: Llm,
    registry: Registry,
}

impl Client {
    pub fn new(config: &LlmConfig, redis: &RedisConfig) -> Self {
        let registry = Registry::new();
        let redis = Redis::new(redis).unwrap();
        Self {
            llm: Llm::new(config, redis, &registry).unwrap(),
            registry,
        }
    }

    /// How many verdicts had this outcome of sharing.
    pub fn shared(&self, outcome: &str) -> f64 {
        self.metric(&format!(
            r#"llm_shared_verdicts_total{{outcome="{outcome}"}}"#
        ))
    }

    pub fn metric(&self, series: &str) -> f64 {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {series} in\n{text}"))
    }
}

/// A client of this server, which shares nothing.
pub async fn client(server: &Server, change: impl FnOnce(&mut LlmConfig)) -> Client {
    let mut config = testing::llm::at(server.url());
    config.llm_share_seconds = 0;
    change(&mut config);
    Client::new(&config, &testing::redis().await)
}
