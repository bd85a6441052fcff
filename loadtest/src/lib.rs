//! Puts load on a Linnet, measures what comes of it, and judges the figures.
//!
//! # Layout
//! - `engine`: the generator. Who comes when, one connection per user, what was measured.
//! - `scenarios`: what a user does.
//! - `cli`: the commands.
//! - `accounts`: people who are signed up and logged in before a run.

pub mod accounts;
pub mod cli;
pub mod engine;
pub mod scenarios;
