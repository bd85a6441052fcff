//! The API as its callers meet it: replicas in this process on a private PostgreSQL and a private Redis, asked over
//! HTTP. Every answer that any test gets is held against the OpenAPI document (`document.rs`).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests have nobody to report to but their own output"
)]

mod accounts;
mod app;
mod bad_inputs;
mod client;
mod contract;
mod conversation;
mod document;
mod explanation;
mod exports;
mod feed;
mod generate;
mod health;
mod home;
mod insights;
mod live;
mod logs;
mod metrics;
mod model;
mod openapi;
mod pages;
mod people;
mod program;
mod rate_limits;
mod redis_away;
mod request_ids;
mod search;
mod sessions;
mod statements;
mod trends;
