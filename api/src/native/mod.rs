//! The native dialect, `/api/*`: one file per resource, its DTOs beside its handlers. Shapes are the Node service's,
//! to which fields may be added and never renamed.

pub mod auth;
pub mod exports;
pub mod notifications;
pub mod posts;
pub mod profiles;
pub mod relations;
pub mod sessions;
pub mod users;

use actix_web::{HttpResponseBuilder, http::header};

/// Adds `Link: <…>; rel="next"` when there is a next page of `path`.
fn link_next(response: &mut HttpResponseBuilder, path: &str, limit: usize, next: Option<i64>) {
    if let Some(before) = next {
        let link = format!("<{path}?limit={limit}&before={before}>; rel=\"next\"");
        response.insert_header((header::LINK, link));
    }
}
