//! What every request passes through beside telemetry's own layers.

pub mod caching;
pub mod head;
pub mod leaving;
pub mod origin;
pub mod rate_limit;
