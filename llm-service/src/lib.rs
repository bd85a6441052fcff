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
//! | `openai.rs` | the same model through OpenAI's chat completions |
//! | `analyze/` | prompt → verdict |
//! | `eval/` | the subcommand that compares verdicts with what people said |
//! | `generate.rs` | prompt → post |
//! | `prompt.rs` | how a person's text is put into a prompt that it cannot leave |
//! | `sentence.rs` | how what the model wrote is cut to length |
//! | `source.rs` | which model a setting names, and whether it can be had |
//! | `model/` | the language model; `model/engine.rs` is the only file that names `mistralrs` |
//! | `llama/` | the pass that reads many texts at once, for verdicts |
//! | `metrics.rs` | the `llm_*` series |
//! | `healthcheck.rs` | the subcommand that asks a running server whether it is ready |
//!
//! The prompts are files in `prompts/`, compiled in; `prompt_version` names their state in every verdict.

pub mod analyze;
pub mod config;
pub mod eval;
pub mod generate;
pub mod healthcheck;
pub mod llama;
pub mod metrics;
pub mod model;
pub mod openai;
pub mod problem;
pub mod prompt;
pub mod queue;
pub mod routes;
pub mod runner;
pub mod sentence;
pub mod source;
pub mod startup;
