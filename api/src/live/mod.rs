//! Live streams: what is happening, told to whoever is looking, over Server-Sent Events (`sse.rs`) or a WebSocket
//! (`websocket.rs`), with the same events over both.
//!
//! One [`Hub`] per replica (`hub.rs`) hears what all replicas and workers publish (`batch.rs`), looks up in its
//! `registry.rs` whom it concerns, renders it once (`message.rs`) and puts it into the queues of those streams (`queue.rs`). What a stream asks
//! for, how it is let in and what it has missed is in `open.rs`; figures are in `metrics.rs`.

mod batch;
mod hub;
mod message;
mod metrics;
mod open;
mod queue;
mod registry;
pub mod sse;
pub mod websocket;

pub use hub::{Hub, Limits};
pub use message::{CountsData, NotificationData, PostsData, VerdictData};
