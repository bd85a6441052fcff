//! The figures of live streams. They stand in for the HTTP metrics, which leave these two addresses out: there a
//! stream's whole life would count as the time of an answer.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::message::Name;

/// How a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Sse,
    WebSocket,
}

impl Transport {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
        }
    }
}

pub(super) struct Metrics {
    streams: IntGaugeVec,
    sent: [IntCounter; Name::ALL.len()],
    dropped_slow: IntCounter,
    pub(super) refused: IntCounterVec,
    pub(super) hearing: IntGauge,
}

impl Metrics {
    /// # Errors
    /// When the registry holds these metrics already.
    pub(super) fn new(registry: &Registry) -> anyhow::Result<Self> {
        let streams = IntGaugeVec::new(
            Opts::new("live_streams", "Live streams that are open, by transport"),
            &["transport"],
        )?;
        let sent = IntCounterVec::new(
            Opts::new(
                "live_events_sent_total",
                "Events put into streams, by event",
            ),
            &["event"],
        )?;
        let dropped = IntCounterVec::new(
            Opts::new(
                "live_streams_dropped_total",
                "Streams ended against their readers' will, by reason (slow)",
            ),
            &["reason"],
        )?;
        let refused = IntCounterVec::new(
            Opts::new(
                "live_streams_refused_total",
                "Streams not opened, by reason (full, caller, origin, stopping)",
            ),
            &["reason"],
        )?;
        let hearing = IntGauge::new(
            "live_hearing",
            "1 while the replica hears what the others publish",
        )?;
        registry.register(Box::new(streams.clone()))?;
        registry.register(Box::new(sent.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        registry.register(Box::new(hearing.clone()))?;
        let metrics = Self {
            streams,
            sent: Name::ALL.map(|name| sent.with_label_values(&[name.as_str()])),
            dropped_slow: dropped.with_label_values(&["slow"]),
            refused,
            hearing,
        };
        // There from the start, at zero: an alert on their growth needs that.
        for transport in [Transport::Sse, Transport::WebSocket] {
            metrics.open(transport).set(0);
        }
        for reason in ["full", "caller", "origin", "stopping"] {
            metrics.refused.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    pub(super) fn open(&self, transport: Transport) -> IntGauge {
        self.streams.with_label_values(&[transport.as_str()])
    }

    pub(super) fn sent(&self, name: Name, streams: usize) {
        let streams = u64::try_from(streams).unwrap_or(u64::MAX);
        self.sent[name as usize].inc_by(streams);
    }

    pub(super) fn dropped(&self, streams: usize) {
        self.dropped_slow
            .inc_by(u64::try_from(streams).unwrap_or(u64::MAX));
    }
}
