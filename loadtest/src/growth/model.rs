//! What more replicas would give on more cores than this machine has: from the CPU time of a request in each part.

use std::collections::BTreeMap;

use serde::Serialize;

/// What the model takes for granted. Said beside its figures, wherever they go.
pub const ASSUMPTIONS: [&str; 5] = [
    "A request costs each part the CPU time that was measured on this machine; with more load the parts batch more, so it \
     would rather cost less.",
    "A replica uses one core; replicas do not hinder one another, having nothing in common but PostgreSQL and Redis.",
    "Redis has one thread and so one core, however many there are.",
    "PostgreSQL and NGINX use as many cores as there are replicas and get faster in proportion. For PostgreSQL that holds \
     while reading; writing is bounded by its log's disk before that.",
    "The load comes from elsewhere: the generator's CPU time is left out. Locks, memory bandwidth and the network are too.",
];

/// What a number of replicas could do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capacity {
    /// API replicas.
    pub replicas: u32,
    /// Requests per second with as many cores as replicas for everything together.
    pub shared: f64,
    /// Requests per second with as many cores as replicas for the API, for PostgreSQL and for NGINX each.
    pub separate: f64,
    /// Which part is at its limit then.
    pub limit: &'static str,
}

/// From CPU milliseconds per request of each part: "api", "postgres", "redis", "nginx", "worker".
#[must_use]
pub fn capacity(cpu_ms: &BTreeMap<&'static str, f64>, replicas: u32) -> Capacity {
    let cost = |part: &str| cpu_ms.get(part).copied().unwrap_or(0.0) / 1_000.0;
    let cores = f64::from(replicas);
    // Of a part that a request does not touch there is no limit.
    let of = |cores: f64, cost: f64| {
        if cost > 0.0 {
            cores / cost
        } else {
            f64::INFINITY
        }
    };
    let all: f64 = ["api", "postgres", "redis", "nginx", "worker"]
        .into_iter()
        .map(cost)
        .sum();
    let parts = [
        ("api", of(cores, cost("api"))),
        ("postgres", of(cores, cost("postgres"))),
        ("redis", of(1.0, cost("redis"))),
        ("nginx", of(cores, cost("nginx"))),
    ];
    let (limit, separate) = parts
        .into_iter()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, rate)| rate.is_finite())
        .unwrap_or(("nothing", 0.0));
    let shared = of(cores, all).min(of(1.0, cost("redis")));
    Capacity {
        replicas,
        shared: if shared.is_finite() { shared } else { 0.0 },
        separate,
        limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_part_decides_and_redis_does_not_grow() {
        let cost = BTreeMap::from([
            ("api", 0.1),
            ("postgres", 0.05),
            ("redis", 0.025),
            ("nginx", 0.05),
            ("generator", 9.0),
        ]);
        let two = capacity(&cost, 2);
        assert!(
            (two.separate - 20_000.0).abs() < 1e-6 && two.limit == "api",
            "{two:?}"
        );
        assert!((two.shared - 2.0 / 0.000_225).abs() < 1e-6, "{two:?}");
        let eight = capacity(&cost, 8);
        assert!(
            (eight.separate - 40_000.0).abs() < 1e-6 && eight.limit == "redis",
            "{eight:?}"
        );
    }

    #[test]
    fn nothing_measured_gives_no_capacity() {
        let none = capacity(&BTreeMap::new(), 4);
        assert_eq!(
            (none.shared, none.separate, none.limit),
            (0.0, 0.0, "nothing")
        );
    }
}
