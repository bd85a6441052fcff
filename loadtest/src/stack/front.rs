//! The stack's own NGINX, told where to hand requests: the same front for every side of a comparison.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::processes;

/// How long the old workers may take to end; nobody talks to them between two measurements.
const PATIENCE: Duration = Duration::from_secs(20);

/// NGINX in front of the replicas.
pub struct Front {
    upstream: PathBuf,
    master: u32,
    /// Whom it hands requests to now.
    now: Vec<u16>,
}

impl Front {
    /// That of the stack in `data`, whose master process is `master`.
    #[must_use]
    pub fn new(data: &Path, master: u32) -> Self {
        Self {
            upstream: data.join("upstreams/upstream-api.inc"),
            master,
            now: Vec::new(),
        }
    }

    /// Its master process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.master
    }

    /// Hands requests to these ports from now on; returns when no worker is left that would hand them to others.
    ///
    /// # Errors
    /// When the file cannot be written or NGINX does not take it.
    pub async fn serve(&mut self, ports: &[u16]) -> anyhow::Result<()> {
        if self.now == ports {
            return Ok(());
        }
        self.now.clear();
        replace(&self.upstream, &upstream(ports))?;
        self.reload().await?;
        self.now = ports.to_vec();
        Ok(())
    }

    async fn reload(&self) -> anyhow::Result<()> {
        let old = processes::children(self.master);
        let master = Pid::from_raw(self.master.cast_signed()).context("NGINX has no process id")?;
        kill_process(master, Signal::HUP)
            .context("NGINX cannot be told to reload; has it ended?")?;
        let began = Instant::now();
        loop {
            let is_new = processes::children(self.master)
                .iter()
                .any(|pid| !old.contains(pid));
            if is_new && !old.iter().any(|pid| processes::is_alive(*pid)) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!(
                    "NGINX did not take the new list of replicas within {} s; see its error log",
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// As the stack writes it for its own replicas (native/stack/replicas.py).
fn upstream(ports: &[u16]) -> String {
    ports
        .iter()
        .map(|port| format!("server 127.0.0.1:{port} max_fails=2 fail_timeout=5s;\n"))
        .collect()
}

/// Puts a file in the place of another, so that nobody reads half of it.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&new, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_replica_is_a_server() {
        assert_eq!(
            upstream(&[7001, 7002]),
            "server 127.0.0.1:7001 max_fails=2 fail_timeout=5s;\nserver 127.0.0.1:7002 max_fails=2 fail_timeout=5s;\n"
        );
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upstream-api.inc");
        replace(&path, "one").unwrap();
        replace(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
