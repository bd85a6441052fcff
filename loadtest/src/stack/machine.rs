//! What is measured on: a figure means nothing without it.

use serde::Serialize;
use tokio::process::Command;

use super::{child, processes};
use crate::report;

/// The machine and what ran on it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processor, cores, memory, kernel.
    #[serde(flatten)]
    pub here: report::Machine,
    /// Name and version of each program that took part.
    pub versions: Vec<String>,
    /// The commit of the repository, with a mark when there were changes.
    pub commit: String,
    /// How the harness was built; the binaries that are measured are those beside it.
    pub profile: &'static str,
    /// The load before anything was started: processes that wanted a core in the last minute.
    pub load_before: f64,
    /// What a reader of the figures should know.
    pub warnings: Vec<String>,
}

impl Machine {
    /// Says what is measured on, what a reader should know of it, and where the logs are.
    pub fn announce(&self, data: &std::path::Path) {
        eprintln!("loadtest: {}", self.line());
        for warning in &self.warnings {
            eprintln!("loadtest: mind: {warning}");
        }
        eprintln!(
            "loadtest: the stack's data and logs are in {}",
            data.display()
        );
    }

    /// Looks at this machine. Call it before anything is started.
    pub async fn look(root: &std::path::Path) -> Self {
        let load_before = processes::load();
        let here = report::Machine::here();
        let cores = here.cores;
        let profile = if cfg!(debug_assertions) {
            "dev"
        } else {
            "server"
        };
        let mut warnings = Vec::new();
        if load_before > 0.25 * cores as f64 {
            warnings.push(format!(
                "the machine was busy before anything was started: a load of {load_before:.1} on {cores} cores. The figures \
                 are of a machine that does other things as well"
            ));
        }
        if profile == "dev" {
            warnings.push("this harness is a dev build: it takes more of the machine than it should, and so may what it \
                measures; use `make compare`"
                .to_owned());
        }
        let mut versions = Vec::new();
        for (program, flag) in [
            ("nginx", "-v"),
            ("redis-server", "--version"),
            ("psql", "--version"),
            ("node", "--version"),
        ] {
            versions.extend(version(program, flag).await);
        }
        let mut git = Command::new("git");
        git.current_dir(root)
            .args(["describe", "--always", "--dirty", "--abbrev=12"]);
        let commit = child::run("git", git)
            .await
            .map_or_else(|_| "unknown".to_owned(), |said| said.trim().to_owned());
        Self {
            here,
            versions,
            commit,
            profile,
            load_before,
            warnings,
        }
    }

    /// It in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self {
            here,
            versions,
            commit,
            profile,
            ..
        } = self;
        format!(
            "{}; {}; commit {commit}, {profile} build",
            here.line(),
            versions.join(", ")
        )
    }
}

/// The first line of what a program says of its version; nothing when it is not there.
async fn version(program: &str, flag: &str) -> Option<String> {
    let mut command = Command::new("sh");
    // nginx says it on standard error.
    command.args(["-c", &format!("{program} {flag} 2>&1")]);
    command.env(
        "PATH",
        format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()),
    );
    let said = child::run(program, command).await.ok()?;
    let line = said.lines().next()?.trim();
    let number = line
        .split(|c: char| c.is_whitespace() || matches!(c, '=' | '/'))
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))?;
    let name = match program {
        "psql" => "PostgreSQL",
        "redis-server" => "Redis",
        "node" => "Node",
        other => other,
    };
    Some(format!("{name} {number}"))
}
