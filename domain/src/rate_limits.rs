//! Rate limits that hold across replicas: GCRA (the virtual-scheduling form of the leaky bucket, ITU-T I.371) as a
//! script in Redis, one timestamp per caller and budget. When Redis is down each replica limits by itself, with
//! the same quotas, so an outage loosens the limits at most by the number of replicas.

use std::{
    num::NonZeroU32,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use clap::{ArgAction, Args, builder::BoolishValueParser};
use deadpool_redis::redis::Script;
use governor::{
    DefaultKeyedRateLimiter, clock::Clock as _, clock::DefaultClock,
    middleware::StateInformationMiddleware,
};
use prometheus::{IntCounterVec, Opts, Registry};

use crate::redis::Redis;

/// How many requests within which time; the whole number may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// 1 or more.
    pub requests: NonZeroU32,
    /// 1 or more.
    pub seconds: NonZeroU32,
}

impl Quota {
    /// The time in which one request is earned back.
    fn interval(self) -> Duration {
        Duration::from_secs(u64::from(self.seconds.get())) / self.requests.get()
    }
}

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (requests, seconds) = text.split_once('/')?;
            Some(Self {
                requests: requests.trim().parse().ok()?,
                seconds: seconds.trim().parse().ok()?,
            })
        };
        let quota = parse().ok_or_else(|| {
            "a quota is written requests/seconds, such as 60/60 for sixty a minute".to_owned()
        })?;
        // The script in Redis counts in microseconds, and a lifetime there is a millisecond at least.
        if quota.interval() < Duration::from_micros(10) {
            return Err(
                "a quota is at most 100000 requests a second; RATE_LIMITER=false turns limits off"
                    .to_owned(),
            );
        }
        Ok(quota)
    }
}

impl std::fmt::Display for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.requests, self.seconds)
    }
}

/// Which purse a request is paid from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Signing up and logging in.
    Auth,
    /// Whatever changes something or costs as much.
    Writes,
    /// Everything else.
    Reads,
}

impl Budget {
    /// The name in keys and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Writes => "writes",
            Self::Reads => "reads",
        }
    }
}

/// The rate limits' options.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rate limits")]
pub struct RateLimitConfig {
    /// Whether requests are limited at all.
    #[arg(long, env, default_value_t = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub rate_limiter: bool,
    /// Sign-ups and logins per client address, as requests/seconds.
    #[arg(long, env, default_value = "60/60")]
    pub rate_limit_auth: Quota,
    /// Writes per user (or address, when not logged in), as requests/seconds.
    #[arg(long, env, default_value = "300/60")]
    pub rate_limit_writes: Quota,
    /// Reads per user (or address, when not logged in), as requests/seconds.
    #[arg(long, env, default_value = "3000/60")]
    pub rate_limit_reads: Quota,
}

/// The answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// `None` when the request may go on; otherwise how long until one may.
    pub retry_after: Option<Duration>,
    /// The most requests that may come at once.
    pub limit: u32,
    /// How many more may come now.
    pub remaining: u32,
    /// How long until `remaining` is `limit` again.
    pub reset: Duration,
}

type Local = DefaultKeyedRateLimiter<String, StateInformationMiddleware>;

struct Limit {
    quota: Quota,
    local: Local,
}

/// The limiter of one process.
#[derive(Clone)]
pub struct RateLimiter {
    redis: Redis,
    script: Arc<Script>,
    limits: Option<Arc<[Limit; 3]>>,
    local_checks: Arc<AtomicU32>,
    decisions: IntCounterVec,
}

impl RateLimiter {
    /// # Errors
    /// When the registry holds `rate_limit_decisions_total` already.
    pub fn new(
        redis: Redis,
        config: &RateLimitConfig,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let decisions = IntCounterVec::new(
            Opts::new(
                "rate_limit_decisions_total",
                "Requests by budget, result (allowed, refused) and who decided (redis, local)",
            ),
            &["budget", "result", "by"],
        )?;
        registry.register(Box::new(decisions.clone()))?;
        let limit = |quota: Quota| Limit {
            quota,
            local: local(quota),
        };
        let limits = config.rate_limiter.then(|| {
            Arc::new([
                limit(config.rate_limit_auth),
                limit(config.rate_limit_writes),
                limit(config.rate_limit_reads),
            ])
        });
        // tat: the theoretical arrival time of the next request, in microseconds. Answers: allowed, microseconds
        // to wait, microseconds that the bucket is behind.
        let script = Script::new(
            "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] \
             local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) \
             local new = tat + ARGV[1] local wait = new - ARGV[2] - now \
             if wait > 0 then return {0, math.ceil(wait), math.ceil(tat - now)} end \
             redis.call('SET', KEYS[1], string.format('%.0f', new), 'PX', math.ceil((new - now) / 1000)) \
             return {1, 0, math.ceil(new - now)}",
        );
        Ok(Self {
            redis,
            script: Arc::new(script),
            limits,
            local_checks: Arc::default(),
            decisions,
        })
    }

    /// Takes one request of `caller` (a user or an address) from `budget`; `None` when limits are off.
    pub async fn check(&self, budget: Budget, caller: &str) -> Option<Decision> {
        let limits = self.limits.as_ref()?;
        let limit = &limits[budget as usize];
        let (decision, by) = match self.shared(budget, limit.quota, caller).await {
            Some(decision) => (decision, "redis"),
            None => (self.alone(limit, caller), "local"),
        };
        let result = if decision.retry_after.is_none() {
            "allowed"
        } else {
            "refused"
        };
        self.decisions
            .with_label_values(&[budget.name(), result, by])
            .inc();
        Some(decision)
    }

    async fn shared(&self, budget: Budget, quota: Quota, caller: &str) -> Option<Decision> {
        let interval = u64::try_from(quota.interval().as_micros()).ok()?;
        let burst = interval * u64::from(quota.requests.get());
        let mut call = self
            .script
            .key(self.redis.key(&format!("rate:{}:{caller}", budget.name())));
        call.arg(interval).arg(burst);
        let (allowed, wait, behind): (u8, u64, u64) = self
            .redis
            .optional(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await
            .ok()?;
        Some(Decision {
            retry_after: (allowed == 0).then(|| Duration::from_micros(wait)),
            limit: quota.requests.get(),
            remaining: u32::try_from(burst.saturating_sub(behind) / interval.max(1)).unwrap_or(0),
            reset: Duration::from_micros(behind),
        })
    }

    fn alone(&self, limit: &Limit, caller: &str) -> Decision {
        // Keys of callers who have their whole quota back are only weight.
        if self.local_checks.fetch_add(1, Ordering::Relaxed) % 10_000 == 9_999 {
            for limit in self.limits.iter().flat_map(|limits| limits.iter()) {
                limit.local.retain_recent();
            }
        }
        let full = limit.quota.requests.get();
        let (retry_after, remaining) = match limit.local.check_key(&caller.to_owned()) {
            Ok(state) => (None, state.remaining_burst_capacity()),
            Err(refused) => (
                Some(refused.wait_time_from(DefaultClock::default().now())),
                0,
            ),
        };
        Decision {
            retry_after,
            limit: full,
            remaining,
            reset: limit.quota.interval() * (full - remaining.min(full)),
        }
    }
}

fn local(quota: Quota) -> Local {
    let period = quota.interval().max(Duration::from_nanos(1));
    // `with_period` is None only for a zero period, which the line above rules out.
    let rate = governor::Quota::with_period(period)
        .unwrap_or_else(|| governor::Quota::per_second(quota.requests))
        .allow_burst(quota.requests);
    governor::RateLimiter::keyed(rate).with_middleware()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_requests_per_seconds() {
        let quota: Quota = "300/60".parse().unwrap();
        assert_eq!(quota.interval(), Duration::from_millis(200));
        assert_eq!(quota.to_string(), "300/60");
        for wrong in [
            "",
            "60",
            "0/60",
            "60/0",
            "-1/2",
            "a/b",
            "1/2/3",
            "100000000/60",
        ] {
            assert!(wrong.parse::<Quota>().is_err(), "{wrong}");
        }
    }
}
