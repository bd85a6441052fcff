//! What processes cost: CPU seconds and memory, as the kernel counts them in /proc. By process id only.

use std::fs;

/// CPU seconds of processes and of those they have started; what has ended counts through its parent.
#[must_use]
pub fn cpu_of(roots: &[u32]) -> f64 {
    roots.iter().map(|root| cpu_below(*root)).sum()
}

/// CPU seconds of this process and of those of its children that have ended; not of those that run.
#[must_use]
pub fn own_cpu() -> f64 {
    cpu_alone(std::process::id())
}

fn cpu_alone(pid: u32) -> f64 {
    read(pid, "stat")
        .and_then(|text| parse_stat(&text))
        .unwrap_or(0.0)
}

fn cpu_below(pid: u32) -> f64 {
    cpu_alone(pid) + children(pid).into_iter().map(cpu_below).sum::<f64>()
}

/// The processes that `pid` has started and that are still there.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    read(pid, &format!("task/{pid}/children"))
        .map(|text| {
            text.split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect()
        })
        .unwrap_or_default()
}

/// Whether a process runs; one that has ended and that nobody has asked about yet does not.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    read(pid, "stat").is_some_and(|text| {
        let state = text
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().next());
        !matches!(state, None | Some("Z" | "X"))
    })
}

/// Resident memory of one process in bytes; 0 when it has gone.
#[must_use]
pub fn resident(pid: u32) -> u64 {
    read(pid, "status").map_or(0, |text| parse_kilobytes(&text, "VmRSS:") * 1024)
}

/// Memory of a process and those below it in bytes; what several share is counted once (the kernel's PSS).
#[must_use]
pub fn proportional(pid: u32) -> u64 {
    let own = read(pid, "smaps_rollup").map_or(0, |text| parse_kilobytes(&text, "Pss:") * 1024);
    own + children(pid).into_iter().map(proportional).sum::<u64>()
}

/// Seconds that the cores of this machine have been busy since it started: with processes (and for other machines on the
/// same host), and with interrupts, which on one machine is the loopback network and is no process's.
#[must_use]
pub fn machine_busy() -> (f64, f64) {
    fs::read_to_string("/proc/stat").map_or((0.0, 0.0), |text| parse_busy(&text))
}

/// How many processes want a core, on average over the last minute.
#[must_use]
pub fn load() -> f64 {
    fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}

fn read(pid: u32, file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

fn ticks() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// CPU seconds of /proc/PID/stat: its own and those of its children that have ended, in user and kernel mode.
fn parse_stat(text: &str) -> Option<f64> {
    // The second field is the program's name, which may have blanks and parentheses in it.
    let (_, rest) = text.rsplit_once(')')?;
    let times: Vec<f64> = rest
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    (times.len() == 4).then(|| times.iter().sum::<f64>() / ticks())
}

/// The first line of /proc/stat without idle and waiting, and without what guests had, which is in it twice.
fn parse_busy(text: &str) -> (f64, f64) {
    let fields: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let of = |places: &[usize]| {
        places
            .iter()
            .filter_map(|place| fields.get(*place))
            .sum::<f64>()
            / ticks()
    };
    // user, nice, system, steal; irq, softirq.
    (of(&[0, 1, 2, 7]), of(&[5, 6]))
}

fn parse_kilobytes(text: &str, key: &str) -> u64 {
    text.lines()
        .find_map(|line| {
            line.strip_prefix(key)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Instant};

    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let line = "77 (a (b) c 9) S 1 77 77 0 -1 4194560 100 200 0 0 150 50 30 20 20 0 1 0 500";
        let seconds = parse_stat(line).unwrap();
        assert!((seconds - 250.0 / ticks()).abs() < 1e-9, "{seconds}");
        assert!(parse_stat("77 (short) S 1 2").is_none());
        assert!(parse_stat("").is_none());
    }

    #[test]
    fn waiting_for_a_disk_is_not_busy() {
        let text = "cpu  100 10 50 9999 8888 5 5 30 7 7\ncpu0 1 1 1\n";
        let (processes, interrupts) = parse_busy(text);
        assert!((processes - 190.0 / ticks()).abs() < 1e-9);
        assert!((interrupts - 10.0 / ticks()).abs() < 1e-9);
        assert_eq!(parse_busy(""), (0.0, 0.0));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "Name:\tapi\nVmHWM:\t  999 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!(parse_kilobytes(text, "VmRSS:"), 1024);
        assert_eq!(parse_kilobytes(text, "Pss:"), 0);
        assert!(resident(std::process::id()) > 100_000);
    }

    #[test]
    fn what_a_child_computed_counts_when_it_runs_and_when_it_has_ended() {
        let before = own_cpu();
        let began = Instant::now();
        let mut child = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        while cpu_of(&[child.id()]) < 0.1 {
            assert!(began.elapsed().as_secs() < 60, "a busy loop takes no CPU");
        }
        assert!(is_alive(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
        assert!(own_cpu() >= before + 0.1);
        assert_eq!(cpu_of(&[child.id()]), 0.0);
    }
}
