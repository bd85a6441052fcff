//! mistral.rs behind a small HTTP API: a verdict for each text, and posts written on request.
//!
//! # Layout
//!
//! | file | what lives there |
//! |---|---|
//! | `config.rs` | what can be set |
//! | `startup.rs` | builds the server, runs it until it is asked to stop |
//! | `routes.rs` | the URL table: reads a request, queues it, maps the answer |
//! | `problem.rs` | the one shape of every error body |
//! | `queue.rs` | the bounded queue between the handlers and the model |
//! | `runner.rs` | the one place that asks the model: loads it, then takes work from the queue |
//! | `analyze.rs` | prompt → verdict |
//! | `generate.rs` | prompt → post |
//! | `prompt.rs` | how a person's text is put into a prompt that it cannot leave |
//! | `sentence.rs` | how what the model wrote is cut to length |
//! | `source.rs` | which model a setting names, and whether it can be had |
//! | `model.rs` | the language model; the only file that names `mistralrs` |
//! | `metrics.rs` | the `llm_*` series |
//! | `healthcheck.rs` | the subcommand that asks a running server whether it is ready |
//!
//! The prompts are files in `prompts/`, compiled in; `analyze::PROMPT_VERSION` names their state in every verdict.

pub mod analyze;
pub mod config;
pub mod generate;
pub mod healthcheck;
pub mod metrics;
pub mod model;
pub mod problem;
pub mod prompt;
pub mod queue;
pub mod routes;
pub mod runner;
pub mod sentence;
pub mod source;
pub mod startup;
