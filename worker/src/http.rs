//! The worker's small listener: `/metrics`, `/livez`, `/readyz`. Nothing of the microblog is served here.

use std::{net::SocketAddr, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::Server,
    web::{self, Data},
};
use anyhow::Context as _;
use domain::Ctx;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde_json::json;

/// How long PostgreSQL may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

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

async fn metrics(registry: Data<Registry>) -> HttpResponse {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => HttpResponse::Ok().content_type(TEXT_FORMAT).body(text),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

/// The same answers as the API's: without PostgreSQL nothing can be judged (503); without Redis posts wait for its
/// return, and replacing this worker would not help ("degraded").
async fn readyz(ctx: Data<Ctx>) -> HttpResponse {
    let (postgresql, redis) = tokio::join!(
        tokio::time::timeout(PATIENCE, domain::db::ping(&ctx.db)),
        ctx.redis.ping()
    );
    let postgresql = matches!(postgresql, Ok(Ok(())));
    let word = |is_there| if is_there { "ok" } else { "down" };
    let (mut response, status) = match (postgresql, redis.is_ok()) {
        (true, true) => (HttpResponse::Ok(), "ready"),
        (true, false) => (HttpResponse::Ok(), "degraded"),
        (false, _) => (HttpResponse::ServiceUnavailable(), "unavailable"),
    };
    response.json(
        json!({"status": status, "postgresql": word(postgresql), "redis": word(redis.is_ok())}),
    )
}
