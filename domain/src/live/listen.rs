//! Hearing what all replicas and workers publish: one subscription per process, on a connection of its own.

use std::time::Duration;

use deadpool_redis::redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc;

use super::{CHANNEL, Event};
use crate::{
    Ctx,
    redis::{Redis, Subscription},
};

/// The first wait before another try to reach Redis; doubled by each.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it is still one.
const ASK: Duration = Duration::from_secs(10);

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// From here on nothing is missed.
    Begins,
    /// Something happened.
    Event(Event),
    /// From here on everything is missed, until it begins again.
    Ends,
}

/// Listens for ever, from any outage of Redis on again when it is back, until the receiver is dropped.
#[must_use]
pub fn listen(ctx: &Ctx) -> mpsc::UnboundedReceiver<Heard> {
    let (tell, told) = mpsc::unbounded_channel();
    let redis = ctx.redis.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = tell.closed() => {}
            () = keep_listening(&redis, &tell) => {}
        }
    });
    told
}

async fn keep_listening(redis: &Redis, tell: &mpsc::UnboundedSender<Heard>) {
    let mut wait = FIRST_WAIT;
    let channel = redis.key(CHANNEL);
    // A receiver that has gone ends this task; what it would have been told matters to nobody.
    let tell = |heard| drop(tell.send(heard));
    loop {
        match redis.subscribe(&channel).await {
            Ok(subscription) => {
                wait = FIRST_WAIT;
                tell(Heard::Begins);
                until_lost(subscription, tell).await;
                tell(Heard::Ends);
                tracing::warn!("the subscription to Redis broke off; live streams hear nothing");
            }
            // The calls that need Redis say at warn that it is away.
            Err(error) => tracing::debug!(%error, "cannot subscribe to Redis"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Passes on what comes until the connection is lost.
async fn until_lost(mut subscription: Subscription, tell: impl Fn(Heard)) {
    let mut asks = tokio::time::interval_at(tokio::time::Instant::now() + ASK, ASK);
    asks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            push = subscription.pushes.recv() => match push {
                Some(PushInfo { kind: PushKind::Message, data }) => match event(&data) {
                    Some(event) => tell(Heard::Event(event)),
                    // A newer program's, while replicas are being replaced.
                    None => tracing::debug!("heard something that is no event"),
                },
                Some(PushInfo { kind: PushKind::Disconnection, .. }) | None => return,
                Some(_) => {}
            },
            // A peer that vanished without a word would otherwise go unnoticed.
            _ = asks.tick() => if subscription.ping().await.is_err() {
                return;
            },
        }
    }
}

/// The event in a message: its data are the channel and the payload.
fn event(data: &[Value]) -> Option<Event> {
    match data {
        [_, Value::BulkString(payload)] => serde_json::from_slice(payload).ok(),
        _ => None,
    }
}
