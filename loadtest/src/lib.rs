//! Puts load on a Linnet, measures what comes of it, and judges the figures.
//!
//! # Layout
//! - `cli`: the commands; `run`: what `loadtest run` does.
//! - `engine`: the generator. Who comes when, one connection per user, what was measured.
//! - `scenarios`: what a user does; `accounts`: people who are signed up and logged in before a run.
//! - `thresholds`: what a run has to reach.
//! - `view`: what one sees meanwhile; `report`: what is told afterwards.
//! - `prometheus`, `grafana`: the server's own figures beside ours, and marks in its charts.

pub mod accounts;
pub mod cli;
pub mod engine;
pub mod grafana;
pub mod prometheus;
pub mod report;
pub mod run;
pub mod scenarios;
pub mod thresholds;
pub mod view;
