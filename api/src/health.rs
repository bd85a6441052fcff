//! Probes: is the process alive, and can it serve.

use actix_web::{HttpResponse, get, web::Data};
use domain::readiness::Readiness;
use serde::Serialize;
use utoipa::ToSchema;

use crate::routes::State;

/// The process.
#[derive(Serialize, ToSchema)]
pub struct Alive {
    #[schema(example = "alive")]
    status: &'static str,
}

/// Whether the process runs. It asks nobody else, so that a database that is away restarts no replica.
#[utoipa::path(tag = "health", responses((status = 200, description = "It runs", body = Alive)))]
#[get("/livez")]
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "alive" })
}

/// The parts that a replica needs.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// `ready`; `degraded` when Redis is away (reads and writes go on without it); `unavailable` when PostgreSQL is, or
    /// when its schema is older or too new.
    #[schema(example = "ready")]
    status: &'static str,
    #[schema(example = "ok")]
    postgresql: &'static str,
    /// `ok`; `newer` when the database has migrations that this replica does not know and can live with; `older` when it
    /// lacks some; `too new` when one has taken away what this replica needs; `unknown` when PostgreSQL is away.
    #[schema(example = "ok")]
    schema: &'static str,
    #[schema(example = "ok")]
    redis: &'static str,
}

impl From<Readiness> for Ready {
    fn from(readiness: Readiness) -> Self {
        Self {
            status: readiness.status(),
            postgresql: Readiness::word(readiness.postgresql),
            schema: readiness.schema_word(),
            redis: Readiness::word(readiness.redis),
        }
    }
}

/// Whether the replica can serve.
#[utoipa::path(
    tag = "health",
    responses(
        (status = 200, description = "Ready, or degraded: Redis is away", body = Ready),
        (status = 503, description = "PostgreSQL is away, or its schema does not fit", body = Ready),
    )
)]
#[get("/readyz")]
pub async fn readyz(state: Data<State>) -> HttpResponse {
    let readiness = Readiness::of(&state.ctx).await;
    let mut response = if readiness.works() {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response.json(Ready::from(readiness))
}
