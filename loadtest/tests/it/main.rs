//! The harness against a small real server: what arrives there, and what is said of it.

mod accounts;
mod engine;
mod run;
mod server;
