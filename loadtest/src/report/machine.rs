//! The machine that figures come from: without it they mean little.

use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

/// A machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// What the processor calls itself.
    pub processor: String,
    /// Memory in MB.
    pub memory_mb: u64,
    /// The kernel's version.
    pub kernel: String,
}

impl Machine {
    /// This one, as far as it tells.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
                .unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kilobytes: u64 = memory
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        Self {
            cores: available_parallelism().map_or(1, usize::from),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            memory_mb: kilobytes / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }

    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self {
            cores,
            processor,
            memory_mb,
            kernel,
        } = self;
        let plural = if *cores == 1 { "" } else { "s" };
        let processor = if processor.is_empty() {
            "unknown processor"
        } else {
            processor
        };
        format!("{cores} core{plural} ({processor}), {memory_mb} MB, Linux {kernel}")
    }
}
