//! Waiting to within some microseconds. tokio's own timers are exact to a millisecond, which would be most of the latency
//! of a fast server in the open model.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    io::{Errno, read},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use tokio::io::{Interest, unix::AsyncFd};

/// A timer of the kernel.
pub(crate) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    #[expect(
        deprecated,
        reason = "deprecated for descriptors that may change under it; an OwnedFd never does, and the successor is unsafe"
    )]
    pub(crate) fn new() -> Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )
        .context("the kernel gives no timer")?;
        Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
    }

    /// Waits until `moment`. When it is past, others of this thread have their turn first now and then, and no more.
    pub(crate) async fn wait_until(&mut self, moment: Instant) -> Result<()> {
        let wait = moment.saturating_duration_since(Instant::now());
        if wait < Duration::from_micros(5) {
            tokio::task::consume_budget().await;
            return Ok(());
        }
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            },
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let rung = ready.try_io(|timer| {
                let mut count = [0; 8];
                read(timer.get_ref(), &mut count).map_err(|error: Errno| error.into())
            });
            if let Ok(rung) = rung {
                rung?;
                return Ok(());
            }
        }
    }
}
