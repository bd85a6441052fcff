//! How a replica takes leave of those who keep connections to it, such as NGINX.
//!
//! actix closes idle connections the moment it is told to stop. A request that is on its way at that moment is lost, and a POST
//! among them nobody may repeat. So a replica goes on serving for a moment and closes each connection with an answer: whoever
//! keeps connections has none left to lose a request on, and a new one is refused at the end, which every method survives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{ConnectionType, StatusCode},
    middleware::Next,
    web::Data,
};

use crate::routes::State;

/// For how long. NGINX takes the connection that was used last, so with any traffic all of them are used within it.
pub const LEAVE: Duration = Duration::from_secs(1);

/// Whether the replica has begun to take leave; shared by its threads.
#[derive(Clone, Debug, Default)]
pub struct Leaving(Arc<AtomicBool>);

impl Leaving {
    /// From now on every answer closes its connection.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The middleware, for `actix_web::middleware::from_fn`: `Connection: close` once the replica is leaving.
///
/// # Errors
/// Only those of the wrapped service.
pub async fn hang_up<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(req).await?;
    let state = response.request().app_data::<Data<State>>();
    let is_leaving = state.is_some_and(|state| state.leaving.has_begun());
    if is_leaving && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}
