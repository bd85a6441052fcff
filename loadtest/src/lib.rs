//! Puts load on a Linnet, measures what comes of it, and judges the figures.
//!
//! # Layout
//! - `cli`: the commands; `run`: what `loadtest run` does.
//! - `engine`: the generator. Who comes when, one connection per user, what was measured.
//! - `scenarios`: what a user does; `accounts`: people who are signed up and logged in before a run.
//! - `thresholds`: what a run has to reach.
//! - `view`: what one sees meanwhile; `report`: what is told afterwards.
//! - `prometheus`, `grafana`: the server's own figures beside ours, and marks in its charts.
//! - `seed`: people and posts by the million, straight into the database.
//! - `compare`: Linnet beside the Node baseline and the bare limits of the machine; `growth`: Linnet with more and more
//!   posts and replicas; `stack`: the native stack that both start, and what its parts cost.
//! - `progress`, `table`: what these say meanwhile and at their end.

pub mod accounts;
pub mod cli;
pub mod compare;
pub mod engine;
pub mod grafana;
pub mod growth;
pub mod progress;
pub mod prometheus;
pub mod report;
pub mod run;
pub mod scenarios;
pub mod seed;
pub mod stack;
pub mod table;
pub mod thresholds;
pub mod view;
