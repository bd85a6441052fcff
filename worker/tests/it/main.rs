//! Whole workers against a real PostgreSQL, a real Redis and a stand-in for llm-service.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on ends, and says where"
)]

mod llm;
mod stack;

mod backlog;
mod fanout;
mod judging;
mod logs;
mod outages;
mod schedule;
mod stopping;
mod traces;
