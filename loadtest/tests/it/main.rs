//! The harness against a small real server: what arrives there, and what is said of it.

#![expect(
    clippy::unwrap_used,
    reason = "tests have nobody to report to but their own output"
)]

mod accounts;
mod engine;
mod readme;
mod run;
mod server;
