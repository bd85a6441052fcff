//! What Linnet is compared with, started beside its stack: two Node processes on the same PostgreSQL and Redis, and an
//! NGINX that gives the same number of bytes without thinking.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::{
    engine::{Answer, Call, Connection, Keep, Target},
    stack::{
        child::{self, Owned},
        native::Native,
    },
};

/// As many processes as Linnet has replicas.
pub(super) const REPLICAS: usize = 2;
/// NGINX reads a word of its configuration into 4 KB.
const PIECE: usize = 3_000;

/// A side that the harness has started.
pub(super) struct Running {
    pub ports: Vec<u16>,
    pub processes: Vec<Owned>,
}

impl Running {
    pub(super) fn pids(&self) -> Vec<u32> {
        self.processes.iter().filter_map(Owned::pid).collect()
    }

    pub(super) async fn end(&mut self) {
        for process in &mut self.processes {
            process.end().await;
        }
    }
}

/// The Node baseline's folder, with what it depends on.
pub(super) async fn prepare_node(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = root.join("loadtest/node-baseline");
    if !folder.join("package.json").is_file() {
        bail!(
            "{} is not there, so there is no Node service to compare with; leave it out with --only linnet,bare",
            folder.display()
        );
    }
    if !folder.join("node_modules").is_dir() {
        eprintln!("loadtest: npm ci in {}", folder.display());
        let mut npm = Command::new("npm");
        npm.current_dir(&folder)
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        child::run("npm ci", npm).await.context(
            "the Node baseline's dependencies cannot be installed; it needs npm and its registry",
        )?;
    }
    Ok(folder)
}

/// Starts the Node processes.
pub(super) async fn start_node(
    native: &Native,
    folder: &Path,
    database: &str,
    redis: &str,
) -> anyhow::Result<Running> {
    let text = fs::read_to_string(folder.join("package.json"))
        .context("the baseline's package.json cannot be read")?;
    let package: serde_json::Value =
        serde_json::from_str(&text).context("the baseline's package.json is not JSON")?;
    let start = package["scripts"]["start"]
        .as_str()
        .context("the baseline's package.json has no script `start`")?;
    let mut running = Running {
        ports: Vec::new(),
        processes: Vec::new(),
    };
    for number in 0..REPLICAS {
        let port = free_port()?;
        // Without npm in between, which would be the process that is measured.
        let mut words = start.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or("node"));
        command
            .args(words)
            .current_dir(folder)
            .env("NODE_ENV", "production")
            .env("DATABASE_URL", database)
            .env("REDIS_URL", redis)
            .env("REDIS_PREFIX", "node-baseline")
            .env("JWT_SECRET", native.jwt_secret()?)
            .env("API_HOST", "127.0.0.1")
            .env("API_PORT", port.to_string())
            .env("RATE_LIMITER", "false")
            .env("CACHE_ACTIVE", "true")
            .env("LLM_URL", "http://127.0.0.1:1");
        let log = native.data.join(format!("logs/node-{number:02}.log"));
        let mut process = Owned::start("the Node baseline", command, &log)?;
        process.listens(port).await?;
        running.ports.push(port);
        running.processes.push(process);
    }
    Ok(running)
}

/// What an answer is made of, so that bytes of the same size can be given in its place.
pub(super) struct Shape {
    headers: Vec<(String, String)>,
    content_type: String,
    length: usize,
}

/// Asks for `path` as the generator does.
pub(super) async fn shape(target: &Target, path: &str) -> anyhow::Result<Shape> {
    let mut connection = Connection::new(target.clone(), Duration::from_secs(30));
    let call = Call::get(target.uri(path)?);
    let answer: Answer = connection
        .call(call, Keep::All)
        .await
        .with_context(|| format!("{path} is not answered"))?;
    if !answer.status.is_success() {
        bail!("{path} is answered with {}", answer.status);
    }
    let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    // What NGINX writes of its own accord is left to it.
    let of_nginx = [
        "server",
        "date",
        "connection",
        "content-length",
        "content-type",
        "transfer-encoding",
        "keep-alive",
    ];
    Ok(Shape {
        headers: answer
            .headers
            .iter()
            .filter(|(name, _)| !of_nginx.contains(&name.as_str()))
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        content_type: answer
            .headers
            .get("content-type")
            .map_or_else(|| "application/json".to_owned(), text),
        length: answer.body.len(),
    })
}

/// Starts an NGINX that gives an answer of this shape to everything.
pub(super) async fn start_fixed(native: &Native, shape: &Shape) -> anyhow::Result<Running> {
    let ports = [free_port()?, free_port()?];
    let folder = native.data.join("fixed");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration(&folder, &ports, shape))
        .with_context(|| format!("{} cannot be written", file.display()))?;
    let mut command = Command::new("nginx");
    command
        .env(
            "PATH",
            format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()),
        )
        .arg("-p")
        .arg(&folder)
        .arg("-e")
        .arg(folder.join("error.log"))
        .arg("-c")
        .arg(&file)
        .args(["-g", "daemon off;"]);
    let mut process = Owned::start(
        "the NGINX with fixed bytes",
        command,
        &native.data.join("logs/fixed.log"),
    )?;
    for port in ports {
        process.listens(port).await?;
    }
    Ok(Running {
        ports: ports.to_vec(),
        processes: vec![process],
    })
}

fn configuration(folder: &Path, ports: &[u16], shape: &Shape) -> String {
    let folder = folder.display();
    let listen: String = ports
        .iter()
        .map(|port| format!("    listen 127.0.0.1:{port} reuseport backlog=4096;\n"))
        .collect();
    let pieces: Vec<usize> = (0..shape.length.div_ceil(PIECE))
        .map(|n| PIECE.min(shape.length - n * PIECE))
        .collect();
    let set: String = pieces
        .iter()
        .enumerate()
        .map(|(n, length)| format!("    set $piece{n} \"{}\";\n", "x".repeat(*length)))
        .collect();
    let body: String = (0..pieces.len())
        .map(|n| format!("${{piece{n}}}"))
        .collect();
    let headers: String = shape
        .headers
        .iter()
        .map(|(name, value)| format!("      add_header {name} \"{}\";\n", plain(value)))
        .collect();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("  {name}_temp_path {folder}/{name};\n"))
        .collect();
    format!(
        "worker_processes auto;\npid {folder}/nginx.pid;\nworker_rlimit_nofile 16384;\n\
         events {{ worker_connections 8192; multi_accept on; }}\n\
         http {{\n  access_log off;\n  tcp_nodelay on;\n  server_tokens off;\n  keepalive_timeout 75s;\n  keepalive_requests 10000;\n{temporary}  \
         server {{\n{listen}{set}    location / {{\n      default_type \"{}\";\n{headers}      return 200 \"{body}\";\n    }}\n  }}\n}}\n",
        plain(&shape.content_type)
    )
}

/// A header's value without what NGINX would understand; as long as it was.
fn plain(value: &str) -> String {
    value
        .chars()
        .map(|c| {
            if matches!(c, '"' | '$' | '\\' | '\n' | '\r') {
                'x'
            } else {
                c
            }
        })
        .collect()
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .context("there is no free port on the loopback address")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_bytes_are_as_many_and_no_word_is_too_long_for_nginx() {
        for length in [0, 1, PIECE, PIECE + 1, 20_000] {
            let shape = Shape {
                headers: vec![("etag".into(), "W/\"a$b\"".into())],
                content_type: "application/json".into(),
                length,
            };
            let text = configuration(Path::new("/var/tmp/f"), &[7001, 7002], &shape);
            let bytes: usize = text
                .lines()
                .filter(|line| line.contains("set $piece"))
                .map(|line| line.matches('x').count())
                .sum();
            assert_eq!(bytes, length);
            assert!(text.split('"').all(|word| word.len() < 4_000));
            assert!(text.contains("add_header etag \"W/xaxbx\";"), "{text}");
        }
    }
}
