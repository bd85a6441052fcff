//! The domain against a real PostgreSQL and a real Redis; one module per feature.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on ends, and says where"
)]

mod accounts;
mod analysis;
mod conversation;
mod deeds;
mod exports;
mod feed;
mod insights;
mod jobs;
mod live;
mod llm;
mod llm_native;
mod llm_openai;
mod llm_openai_faults;
mod llm_openai_server;
mod llm_shared;
mod logs;
mod notifications;
mod people;
mod profiles;
mod reanalysis;
mod relations;
mod schema;
mod search;
mod stale;
mod statements;
mod timelines;
mod together;
mod trends;
