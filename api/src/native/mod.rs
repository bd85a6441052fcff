//! The native dialect, `/api/*`: one file per resource, its DTOs beside its handlers. Shapes are the Node service's,
//! to which fields may be added and never renamed.

pub mod auth;
pub mod bookmarks;
pub mod conversation;
pub mod exports;
pub mod insights;
pub mod likes;
pub mod notifications;
pub mod post_dto;
pub mod posts;
pub mod profiles;
pub mod relations;
pub mod reposts;
pub mod search;
pub mod sessions;
pub mod timelines;
pub mod trends;
pub mod users;

use actix_web::{HttpResponseBuilder, http::header};

/// Adds `Link: <…>; rel="next"` when there is a next page of `path`, which continues below an id.
fn link_next(response: &mut HttpResponseBuilder, path: &str, limit: usize, next: Option<i64>) {
    link(response, path, limit, "before", next);
}

/// The same for a list from old to new, which continues above an id.
fn link_next_after(
    response: &mut HttpResponseBuilder,
    path: &str,
    limit: usize,
    next: Option<i64>,
) {
    link(response, path, limit, "after", next);
}

fn link(
    response: &mut HttpResponseBuilder,
    path: &str,
    limit: usize,
    parameter: &str,
    next: Option<i64>,
) {
    if let Some(id) = next {
        let link = format!("<{path}?limit={limit}&{parameter}={id}>; rel=\"next\"");
        response.insert_header((header::LINK, link));
    }
}
