//! The worker: every post to the language model, and its verdict back.
//!
//! What a post goes through is `domain::analysis`; here is what drives it. A hint from the queue in Redis says "look
//! at this post now", the sweeper sees to the posts whose hint was lost, and any number of workers may do both at
//! once and die in the middle of it.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`config`] | options and subcommands |
//! | [`startup`] | puts a worker together, runs it, stops it |
//! | [`monitor`] | listens to the queue, again and again |
//! | [`jobs`] | what is done for a hint, one file per kind, and what is counted |
//! | [`fanout`] | brings posts to home timelines |
//! | [`sweeper`] | offers what is due, keeps the queue in shape and measures it |
//! | [`schedule`] | computes trends and insights now and then |
//! | [`http`] | metrics and probes |
//! | [`outage`] | says once that something is away |
//! | [`slow`] | names jobs that took long |

pub mod config;
pub mod fanout;
pub mod http;
pub mod jobs;
pub mod monitor;
pub mod outage;
pub mod schedule;
pub mod slow;
pub mod startup;
pub mod sweeper;
