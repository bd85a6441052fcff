//! HEAD for everything that GET is served for, so that no handler needs to know of it.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
};

/// The middleware, for `actix_web::middleware::from_fn`: answers HEAD as GET (RFC 9110, section 9.3.2). The server
/// has noted the method when it read the request, and sends no body.
///
/// # Errors
/// Only those of the wrapped service.
pub async fn head_as_get<B: MessageBody>(
    mut req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if req.method() == Method::HEAD {
        req.head_mut().method = Method::GET;
    }
    next.call(req).await
}
