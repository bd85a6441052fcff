//! The worker's small listener: `/metrics`, `/livez`, `/readyz`. Nothing of the microblog is served here.

use std::net::SocketAddr;

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::Server,
    web::{self, Data},
};
use anyhow::Context as _;
use domain::{Ctx, readiness::Readiness};
use prometheus::Registry;
use serde_json::json;
use telemetry::http::metrics;

/// Binds the listener; answers it, to be run, and the port it got.
///
/// # Errors
/// When the address is taken or not ours.
pub fn listen(
    address: SocketAddr,
    ctx: Ctx,
    registry: Registry,
) -> anyhow::Result<(Server, SocketAddr)> {
    let (ctx, registry) = (Data::new(ctx), Data::new(registry));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(ctx.clone())
            .app_data(registry.clone())
            .route("/metrics", web::get().to(metrics))
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
    })
    // A scrape and a probe every few seconds.
    .workers(1)
    .disable_signals()
    .bind(address)
    .with_context(|| format!("cannot listen on {address} (WORKER_HOST, WORKER_PORT)"))?;
    let address = server.addrs().first().copied().unwrap_or(address);
    Ok((server.run(), address))
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

/// The same answers as the API's: without PostgreSQL, or with a schema that this worker cannot live with, nothing can be judged (503); without Redis posts wait for its
/// return, and replacing this worker would not help ("degraded").
async fn readyz(ctx: Data<Ctx>) -> HttpResponse {
    let readiness = Readiness::of(&ctx).await;
    let mut response = if readiness.works() {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response.json(json!({
        "status": readiness.status(),
        "postgresql": Readiness::word(readiness.postgresql),
        "schema": readiness.schema_word(),
        "redis": Readiness::word(readiness.redis),
    }))
}
