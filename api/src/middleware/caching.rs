//! What caches may keep of the API: nothing, unless an answer says so itself.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
};

/// The middleware, for `actix_web::middleware::from_fn`: `Cache-Control: no-store` on `/api/*`. The same address answers
/// one person in one way and the next in another, and a login by cookie does not keep shared caches away, as one by
/// `Authorization` does (RFC 9111, section 3.5).
///
/// # Errors
/// Only those of the wrapped service.
pub async fn keep_nothing<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let is_api = req.match_info().as_str().starts_with("/api/");
    let mut response = next.call(req).await?;
    let headers = response.headers_mut();
    if is_api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}
