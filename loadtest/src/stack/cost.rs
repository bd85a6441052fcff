//! What a stretch of time cost each part: CPU seconds of the API, PostgreSQL, Redis, NGINX, the generator, and of
//! everything else on the machine, which should have been nothing.

use serde::Serialize;

use super::processes;

/// The processes of each part, by the ids of those that started the others.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// What stands behind NGINX: API replicas, Node processes, or the bare NGINX.
    pub api: Vec<u32>,
    /// PostgreSQL's first process.
    pub postgres: Vec<u32>,
    /// Redis.
    pub redis: Vec<u32>,
    /// NGINX' master.
    pub nginx: Vec<u32>,
    /// What makes the load, when it is not this process.
    pub generator: Vec<u32>,
    /// A worker, where one runs.
    pub worker: Vec<u32>,
}

/// CPU seconds, since the start of each process or of a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// What stands behind NGINX.
    pub api: f64,
    /// PostgreSQL with all its processes.
    pub postgres: f64,
    /// Redis.
    pub redis: f64,
    /// NGINX.
    pub nginx: f64,
    /// The worker.
    pub worker: f64,
    /// What makes the load.
    pub generator: f64,
    /// Interrupts: the loopback network, of which the kernel does not say whose it was.
    pub kernel: f64,
    /// Every other process of this machine.
    pub others: f64,
}

impl Parts {
    /// What they have taken since they were started; `others` is what the whole machine has.
    #[must_use]
    pub fn cpu(&self) -> Cpu {
        let (others, kernel) = processes::machine_busy();
        Cpu {
            api: processes::cpu_of(&self.api),
            postgres: processes::cpu_of(&self.postgres),
            redis: processes::cpu_of(&self.redis),
            nginx: processes::cpu_of(&self.nginx),
            worker: processes::cpu_of(&self.worker),
            generator: match self.generator.as_slice() {
                // Without the children that run: Node is one of them.
                [] => processes::own_cpu(),
                pids => processes::cpu_of(pids),
            },
            kernel,
            others,
        }
    }

    /// Resident memory of the largest process behind NGINX, in bytes.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.api
            .iter()
            .map(|pid| processes::resident(*pid))
            .max()
            .unwrap_or(0)
    }
}

impl Cpu {
    /// What was taken between two looks.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let spent = |after: f64, before: f64| (after - before).max(0.0);
        let mut cost = Self {
            api: spent(self.api, before.api),
            postgres: spent(self.postgres, before.postgres),
            redis: spent(self.redis, before.redis),
            nginx: spent(self.nginx, before.nginx),
            worker: spent(self.worker, before.worker),
            generator: spent(self.generator, before.generator),
            kernel: spent(self.kernel, before.kernel),
            others: 0.0,
        };
        let known =
            cost.api + cost.postgres + cost.redis + cost.nginx + cost.worker + cost.generator;
        cost.others = (self.others - before.others - known).max(0.0);
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_is_what_nobody_here_took() {
        let before = Cpu {
            api: 1.0,
            postgres: 2.0,
            others: 100.0,
            ..Cpu::default()
        };
        let after = Cpu {
            api: 3.0,
            postgres: 2.5,
            nginx: 1.0,
            others: 105.0,
            ..Cpu::default()
        };
        let cost = after.since(before);
        assert_eq!((cost.api, cost.postgres, cost.nginx), (2.0, 0.5, 1.0));
        assert!((cost.others - 1.5).abs() < 1e-9, "{cost:?}");
        // Ticks are counted at different moments; nothing was taken less than not at all.
        assert_eq!(before.since(after), Cpu::default());
    }
}
