//! Programs that the harness starts itself: in a process group of their own, so that Ctrl-C in a terminal reaches the
//! harness alone and it decides in which order they end.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// How long one may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running program of ours. When this is dropped without `end`, it is killed.
pub struct Owned {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Owned {
    /// Starts it, with what it says in `log`.
    ///
    /// # Errors
    /// When the program is not there or the log cannot be written.
    pub fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let said = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started: is it installed?"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            log: log.to_owned(),
        })
    }

    /// Its process id; `None` when it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until something listens on this port of the loopback address.
    ///
    /// # Errors
    /// When the program ends, or does not listen within 30 s; with the end of what it said.
    pub async fn listens(&mut self, port: u16) -> anyhow::Result<()> {
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended at once ({status}): {}",
                    self.name,
                    self.last_words()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "{} does not listen on port {port}: {}",
            self.name,
            self.last_words()
        )
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Asks it to end and waits; one that does not is killed.
    pub async fn end(&mut self) {
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let Some(pid) = pid else { return };
        // It may have ended in this moment, which is as well.
        let _ = kill_process(pid, Signal::TERM);
        if tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .is_err()
        {
            let _ = self.child.kill().await;
        }
    }
}

/// Runs a command to its end and gives what it wrote to standard output.
///
/// # Errors
/// When it cannot be started or fails; with what it said.
pub async fn run(what: &str, mut command: Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("{what}: the program cannot be started: is it installed?"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{what} failed ({}): {}", output.status, words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
