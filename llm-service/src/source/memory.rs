//! How much memory this process may still take, and whether a model fits into it. What a model's weights take is
//! known where they are read.

use std::{fs, path::Path};

use super::{Found, SourceError};

/// What the engine and the service take beside the weights: buffers, the first block of the cache for attention, the
/// allocator's slack. The figures here are fitted to what was measured with SmolLM2-135M (49,152 tokens) and with both
/// shapes of `native/tiny-llama` (128,256 tokens), docs/decisions.md.
pub const ENGINE: u64 = 100_000_000;

/// What the reading pass takes beside its weights: the beginnings of the prompts that it keeps, the texts at work.
pub const PASS: u64 = 60_000_000;

/// What a number takes that the reading pass holds as f32: four bytes, and one for turning it into that, which the
/// allocator does not give back.
pub const PASS_NUMBER: u64 = 5;

/// What a token of the vocabulary takes in the tokenizer and in the engine's tables.
pub const TOKEN: u64 = 800;

/// Says so when a model does not fit. Where the free memory is not known, everything fits.
pub fn enough(
    name: &str,
    found: &Found,
    dense: bool,
    available: Option<u64>,
) -> Result<(), SourceError> {
    let needed = if dense { found.dense } else { found.quantized };
    match available {
        Some(available) if available < needed => Err(SourceError::Memory {
            name: name.to_owned(),
            needed,
            available,
            quantized: (dense && found.quantized <= available).then_some(found.quantized),
        }),
        _ => Ok(()),
    }
}

/// The bytes that this process may still take: what the machine has free, or less where a control group limits it.
pub fn available() -> Option<u64> {
    available_by(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

fn available_by(proc: &Path, groups: &Path) -> Option<u64> {
    let machine = fs::read_to_string(proc.join("meminfo"))
        .ok()
        .and_then(|text| figure(&text, "MemAvailable:"))
        .map(|kibibytes| kibibytes.saturating_mul(1024));
    let own = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let limited = own.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let version = if controllers.is_empty() {
            &V2
        } else if controllers.split(',').any(|name| name == "memory") {
            &V1
        } else {
            return None;
        };
        let root = groups.join(version.mount);
        let group = root.join(path.trim_start_matches('/'));
        // Each group is limited by those that it is in. Inside a container the path may not exist; the root does.
        group
            .ancestors()
            .take_while(|folder| folder.starts_with(&root))
            .filter_map(|folder| version.left(folder))
            .min()
    });
    machine.into_iter().chain(limited).min()
}

/// The names of the files that say what a control group may take.
struct Version {
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    /// File pages that nobody uses at the moment. They count as used and are given up when memory is wanted; a
    /// model that was just downloaded is all in them.
    unused: &'static str,
}

const V2: Version = Version {
    mount: "",
    limit: "memory.max",
    used: "memory.current",
    unused: "inactive_file",
};
const V1: Version = Version {
    mount: "memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    unused: "total_inactive_file",
};

impl Version {
    /// What is left of a group's limit; nothing where it has none.
    fn left(&self, group: &Path) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(group.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let limit = number(self.limit)?;
        let used = number(self.used)?;
        let unused = read("memory.stat")
            .and_then(|text| figure(&text, self.unused))
            .unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(unused)))
    }
}

/// The number after a name that stands at the beginning of a line.
fn figure(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::scratch::Scratch;

    const MEMINFO: &str = "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 8000 kB\n";

    fn left(own: &str, files: &[(&str, &str)]) -> Option<u64> {
        let scratch = Scratch::new();
        scratch.write("proc/meminfo", MEMINFO);
        scratch.write("proc/self/cgroup", own);
        for (path, text) in files {
            scratch.write(&format!("groups/{path}"), text);
        }
        available_by(&scratch.path("proc"), &scratch.path("groups"))
    }

    #[test]
    fn without_a_limit_the_machines_memory_counts() {
        assert_eq!(left("0::/a\n", &[]), Some(8000 * 1024));
        assert_eq!(
            left(
                "0::/a\n",
                &[("a/memory.max", "max\n"), ("a/memory.current", "7\n")]
            ),
            Some(8000 * 1024)
        );
        assert_eq!(left("", &[]), Some(8000 * 1024));
        assert_eq!(
            available_by(Path::new("/nowhere"), Path::new("/nowhere")),
            None
        );
    }

    #[test]
    fn the_narrowest_of_all_limits_counts_and_unused_file_pages_are_free() {
        let files = [
            ("a/b/memory.max", "5000000\n"),
            ("a/b/memory.current", "1000000\n"),
            ("a/memory.max", "4000000\n"),
            ("a/memory.current", "3000000\n"),
            ("a/memory.stat", "anon 1\ninactive_file 200000\n"),
            ("memory.current", "99\n"),
        ];
        assert_eq!(left("0::/a/b\n", &files), Some(1_200_000));
        // In a container that sees its own group as the root.
        let files = [("memory.max", "3000\n"), ("memory.current", "5000\n")];
        assert_eq!(left("0::/\n", &files), Some(0));
    }

    #[test]
    fn the_first_version_of_control_groups_counts_too() {
        let files = [
            ("memory/memory.limit_in_bytes", "2000000\n"),
            ("memory/memory.usage_in_bytes", "1500000\n"),
            (
                "memory/memory.stat",
                "inactive_file 1\ntotal_inactive_file 300000\n",
            ),
        ];
        assert_eq!(
            left("9:name=systemd:/\n4:cpu,memory:/gone\n", &files),
            Some(800_000)
        );
        let files = [
            ("memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/a/memory.usage_in_bytes", "1500000\n"),
        ];
        assert_eq!(left("4:memory:/a\n", &files), Some(8000 * 1024));
    }

    #[test]
    fn a_model_that_does_not_fit_is_refused_and_quantized_weights_are_offered_where_they_fit() {
        let found = Found {
            bytes: 1,
            parameters: 1,
            dense: 100,
            quantized: 40,
        };
        let offer = |dense, available| match enough("m", &found, dense, available) {
            Ok(()) => None,
            Err(SourceError::Memory {
                needed,
                available,
                quantized,
                ..
            }) => Some((needed, available, quantized)),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(offer(true, Some(100)), None);
        assert_eq!(offer(true, Some(99)), Some((100, 99, Some(40))));
        assert_eq!(offer(true, Some(39)), Some((100, 39, None)));
        assert_eq!(offer(false, Some(40)), None);
        assert_eq!(offer(false, Some(39)), Some((40, 39, None)));
        assert_eq!(offer(true, None), None);
    }
}
