//! HEAD for everything that GET is served for, so that no handler needs to know of it.

use actix_web::{
    Error,
    body::{self, BodySize, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
};

/// The middleware, for `actix_web::middleware::from_fn`: answers HEAD as GET (RFC 9110, section 9.3.2). The server
/// has noted the method when it read the request, and sends no body. A body without an end it would read all the same,
/// so that is left out here.
///
/// # Errors
/// Only those of the wrapped service.
pub async fn head_as_get<B: MessageBody>(
    mut req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, body::None>>, Error> {
    let is_head = req.method() == Method::HEAD;
    if is_head {
        req.head_mut().method = Method::GET;
    }
    let response = next.call(req).await?;
    Ok(match response.response().body().size() {
        BodySize::Stream if is_head => {
            response.map_body(|_, _| EitherBody::right(body::None::new()))
        }
        _ => response.map_into_left_body(),
    })
}
