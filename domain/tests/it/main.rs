//! The domain against a real PostgreSQL and a real Redis; one module per feature.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on ends, and says where"
)]

mod accounts;
mod analysis;
mod feed;
mod jobs;
mod statements;
