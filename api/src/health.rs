//! Probes: is the process alive, and can it serve.

use std::time::Duration;

use actix_web::{HttpResponse, get, web::Data};
use domain::{Ctx, db};
use serde::Serialize;
use utoipa::ToSchema;

use crate::routes::State;

/// How long the database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

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
    /// `ready`; `degraded` when Redis is away (reads and writes go on without it); `unavailable` when PostgreSQL is.
    #[schema(example = "ready")]
    status: &'static str,
    #[schema(example = "ok")]
    postgresql: &'static str,
    #[schema(example = "ok")]
    redis: &'static str,
}

impl Ready {
    async fn ask(ctx: &Ctx) -> Self {
        let (database, redis) = tokio::join!(
            tokio::time::timeout(PATIENCE, db::ping(&ctx.db)),
            ctx.redis.ping()
        );
        let database = matches!(database, Ok(Ok(())));
        let word = |is_there| if is_there { "ok" } else { "down" };
        Self {
            status: match (database, redis.is_ok()) {
                (true, true) => "ready",
                (true, false) => "degraded",
                (false, _) => "unavailable",
            },
            postgresql: word(database),
            redis: word(redis.is_ok()),
        }
    }
}

/// Whether the replica can serve.
#[utoipa::path(
    tag = "health",
    responses(
        (status = 200, description = "Ready, or degraded: Redis is away", body = Ready),
        (status = 503, description = "PostgreSQL is away", body = Ready),
    )
)]
#[get("/readyz")]
pub async fn readyz(state: Data<State>) -> HttpResponse {
    let ready = Ready::ask(&state.ctx).await;
    if ready.postgresql == "ok" {
        HttpResponse::Ok().json(ready)
    } else {
        HttpResponse::ServiceUnavailable().json(ready)
    }
}
