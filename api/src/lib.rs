//! HTTP over the domain and nothing else: a handler parses its input, makes one `domain::…` call and maps the
//! result. No SQL, no Redis, no queue here.
//!
//! # Layout
//!
//! [`routes`] is the whole URL table, [`extract`] what handlers take (who is calling, bodies, ids), [`status`] the
//! only map from the domain's errors to status codes, [`native`] the dialect of `/api/*` with one file per resource,
//! [`pages`] what browsers are shown, [`live`] the streams of what happens, [`middleware`] what every request passes
//! through, `negotiation` which form of an answer, [`openapi`] the document, [`health`] the probes, [`startup`] the
//! server, [`logs`] the subcommand that reads the long-term log.

pub mod config;
pub mod extract;
pub mod health;
pub mod live;
pub mod logs;
pub mod middleware;
pub mod native;
mod negotiation;
pub mod openapi;
pub mod pages;
pub mod problem;
pub mod routes;
pub mod startup;
pub mod status;
