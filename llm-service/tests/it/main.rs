//! The service as its callers see it: started in this process on a free port, with the real small model, asked over
//! HTTP. The model is loaded once for all tests, and as its figures are all tests', one at a time uses it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should say where"
)]

mod analyze;
mod app;
mod bad_requests;
mod generate;
mod http;
mod life;
mod models;
mod openai;
mod overload;
mod program;
mod reading;
