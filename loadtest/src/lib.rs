//! Puts load on a Linnet, measures what comes of it, and judges the figures.
//!
//! # Layout
//! - `engine`: the generator. Who comes when, one connection per user, what was measured.
//! - `scenarios`: what a user does.
//! - `cli`: the commands.
//! - `accounts`: people who are signed up and logged in before a run.
//! - `seed`: people and posts by the million, straight into the database.
//! - `compare`: Linnet beside the Node baseline and the bare limits of the machine.
//! - `growth`: Linnet with more and more posts, and with more and more replicas.
//! - `progress`: how long it still takes.
//! - `table`: rows for terminals and pages.
//! - `stack`: the native stack that those two start, and what its parts cost.

pub mod accounts;
pub mod cli;
pub mod compare;
pub mod engine;
pub mod growth;
pub mod progress;
pub mod scenarios;
pub mod seed;
pub mod stack;
pub mod table;
