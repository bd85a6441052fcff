//! The bare limit of writing: pgbench sends PostgreSQL the same INSERT as the service, from as many connections.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{
    engine::histogram,
    stack::cost::{Cpu, Parts},
};

/// `insert` of domain/src/posts/queries/writing.rs, word for word but for pgbench's names of parameters. A test holds the two
/// together.
pub(super) const INSERT: &str =
    "INSERT INTO posts (user_id, content, request_id) VALUES (:user, :content, :request)
    RETURNING id, revision, created_at, updated_at,
        (SELECT display_name FROM users u WHERE u.id = user_id) AS display_name";
/// As long as what the harness' users write.
const CONTENT: &str = "morning river coffee train window garden quiet bridge winter letter music late first swallow market";
const REQUEST: &str = "0123456789abcdef0123456789abcdef";
/// As the service opens its connections (domain/src/db.rs).
const OPTIONS: &str =
    "-c statement_timeout=10s -c lock_timeout=5s -c plan_cache_mode=force_generic_plan";

/// What is to be run.
pub(super) struct Bench<'a> {
    /// The database as the service reaches it.
    pub url: &'a str,
    pub programs: &'a Path,
    pub folder: &'a Path,
    /// Accounts with these and all numbers in between exist.
    pub users: (i64, i64),
    pub clients: usize,
    pub threads: usize,
    pub seconds: u64,
}

/// What came of it.
pub(super) struct Outcome {
    pub seconds: f64,
    pub requests: u64,
    pub failures: u64,
    pub latency: Histogram<u64>,
    pub cpu: Cpu,
}

/// Runs it, with a second before and after what is measured: connecting is not. It is ended when it has run long enough,
/// because pgbench's own time begins before it connects, which takes hundreds of connections longer than that.
pub(super) async fn run(bench: &Bench<'_>, parts: &Parts) -> anyhow::Result<Outcome> {
    let script = bench.folder.join("insert.sql");
    let text = format!(
        "\\set user random({}, {})\n{INSERT};\n",
        bench.users.0, bench.users.1
    );
    std::fs::write(&script, text)
        .with_context(|| format!("{} cannot be written", script.display()))?;
    let log = bench.folder.join("pgbench-log");
    let url = url::Url::parse(bench.url).context("the database's address is not understood")?;
    let mut child = Command::new(bench.programs.join("pgbench"))
        .args(["-n", "-M", "prepared", "-P", "1", "-l"])
        .arg(format!("--log-prefix={}", log.display()))
        .args([
            "-c",
            &bench.clients.to_string(),
            "-j",
            &bench.threads.to_string(),
        ])
        .args(["-T", "3600"])
        .args([
            "-D",
            &format!("content={CONTENT}"),
            "-D",
            &format!("request={REQUEST}"),
        ])
        .arg("-f")
        .arg(&script)
        .args(["-h", url.host_str().unwrap_or("127.0.0.1")])
        .args([
            "-p",
            &url.port().unwrap_or(5432).to_string(),
            "-U",
            url.username(),
        ])
        .arg(url.path().trim_start_matches('/'))
        .env("PGPASSWORD", url.password().unwrap_or_default())
        .env("PGOPTIONS", OPTIONS)
        .env("PGSSLMODE", "disable")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("pgbench cannot be started: it comes with Debian's postgresql")?;
    let pid = child.id().context("pgbench ended at once")?;
    let parts = Parts {
        generator: vec![pid],
        ..parts.clone()
    };
    let mut lines = BufReader::new(child.stderr.take().context("pgbench says nothing")?).lines();
    let (mut seen, mut failures, mut words) = (0, 0, Vec::new());
    let (mut first, mut last) = (None, None);
    while let Some(line) = lines.next_line().await? {
        let Some(progress) = parse_progress(&line) else {
            words.push(line);
            continue;
        };
        // The first second is for warming up, and one look is at each end of what is measured.
        if seen == 0 {
            first = Some((now(), parts.cpu()));
        } else if seen <= bench.seconds {
            failures += progress.failed;
            last = Some((now(), parts.cpu()));
        }
        seen += 1;
        // One more second, so that what it keeps of its log in memory is younger than what is measured.
        if seen > bench.seconds + 1 {
            break;
        }
    }
    let is_whole = seen > bench.seconds + 1;
    let pid_now = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    if let Some(pid) = pid_now {
        // It may have ended of its own accord, which is told below.
        let _ = kill_process(pid, Signal::TERM);
    }
    let status = child.wait().await?;
    let (Some((began, before)), Some((ended, after)), true) = (first, last, is_whole) else {
        bail!(
            "pgbench ended before it was measured ({status}): {}",
            words.join(" ")
        );
    };
    // A client that PostgreSQL refused something is gone, and the others go on.
    failures += words.iter().filter(|line| line.contains("aborted")).count() as u64;
    let latency = latencies(bench, &log, pid, began, ended)?;
    Ok(Outcome {
        seconds: (ended - began).as_secs_f64(),
        requests: latency.len(),
        failures,
        latency,
        cpu: after.since(before),
    })
}

/// From the files that pgbench has written, one for each of its threads.
fn latencies(
    bench: &Bench<'_>,
    log: &Path,
    pid: u32,
    began: Duration,
    ended: Duration,
) -> anyhow::Result<Histogram<u64>> {
    let mut latency = histogram();
    for thread in 0..bench.threads {
        // The first thread's file has no number of its own.
        let name = if thread == 0 {
            format!("{}.{pid}", log.display())
        } else {
            format!("{}.{pid}.{thread}", log.display())
        };
        let text =
            std::fs::read_to_string(&name).with_context(|| format!("{name} cannot be read"))?;
        for microseconds in text
            .lines()
            .filter_map(|line| parse_log(line, began, ended))
        {
            // Not the saturating kind, which would cut at what the histogram has room for so far.
            latency.record(microseconds)?;
        }
        let _ = std::fs::remove_file(&name);
    }
    Ok(latency)
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

struct Progressed {
    failed: u64,
}

/// "progress: 2.0 s, 5873.9 tps, lat 2.724 ms stddev 1.004, 0 failed"; before version 15 without the last part.
fn parse_progress(line: &str) -> Option<Progressed> {
    let rest = line.strip_prefix("progress: ")?;
    rest.contains(" tps").then_some(())?;
    let failed = rest
        .split(", ")
        .find_map(|part| part.strip_suffix(" failed")?.trim().parse().ok());
    Some(Progressed {
        failed: failed.unwrap_or(0),
    })
}

/// A line of the log of transactions: client, number, microseconds, script, and the moment of its end as seconds and
/// microseconds. The microseconds it took, if it ended within the time.
fn parse_log(line: &str, began: Duration, ended: Duration) -> Option<u64> {
    let mut fields = line.split(' ');
    let took = fields.nth(2)?.parse().ok()?;
    let seconds = fields.nth(1)?.parse().ok()?;
    let at = Duration::from_secs(seconds) + Duration::from_micros(fields.next()?.parse().ok()?);
    (began..ended).contains(&at).then_some(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_statement_of_the_service() {
        let source = include_str!("../../../domain/src/posts/queries/writing.rs");
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let theirs = squeezed(source)
            .replace("AS \"id: PostId\"", "")
            .replace("AS \"display_name!\"", "AS display_name");
        let ours = INSERT
            .replace(":user,", "$1,")
            .replace(":content", "$2")
            .replace(":request", "$3");
        let ours = squeezed(&ours).replace("RETURNING id,", "RETURNING id ,");
        assert!(theirs.contains(&ours), "{ours}");
    }

    #[test]
    fn progress_is_read() {
        let line = "progress: 2.0 s, 5873.9 tps, lat 2.724 ms stddev 1.004, 3 failed";
        assert_eq!(parse_progress(line).unwrap().failed, 3);
        assert_eq!(
            parse_progress("progress: 1.0 s, 5.9 tps, lat 2.7 ms stddev 1.0")
                .unwrap()
                .failed,
            0
        );
        assert!(parse_progress("pgbench: error: client 3 aborted").is_none());
        assert!(parse_progress("number of failed transactions: 0 (0.000%)").is_none());
    }

    #[test]
    fn only_what_ended_within_the_time_counts() {
        let (began, ended) = (Duration::from_secs(100), Duration::from_secs(110));
        assert_eq!(
            parse_log("3 17 2724 0 105 250000", began, ended),
            Some(2724)
        );
        assert_eq!(parse_log("3 17 2724 0 99 999999", began, ended), None);
        assert_eq!(parse_log("3 17 2724 0 110 0", began, ended), None);
        assert_eq!(parse_log("3 17 failed 0 105 0", began, ended), None);
        assert_eq!(parse_log("", began, ended), None);
    }
}
