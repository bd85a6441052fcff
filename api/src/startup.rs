//! The server: put together, bound, run until stopped.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpServer,
    dev::Server,
    http::StatusCode,
    middleware::{DefaultHeaders, from_fn},
    rt::net::TcpStream,
    web::{self, Data, PathConfig, PayloadConfig, QueryConfig},
};
use anyhow::Context as _;
use domain::{Ctx, auth::Tokens, llm::Llm, logs, rate_limits::RateLimiter};
use prometheus::Registry;
use socket2::SockRef;
use telemetry::{
    http::{Watch, metrics},
    store::{Buffer, Writing},
};
use utoipa_actix_web::AppExt as _;
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    config::ServeConfig,
    extract::MAX_BODY,
    live::{Hub, Limits},
    middleware::{
        caching::keep_nothing,
        head::head_as_get,
        leaving::{LEAVE, Leaving, hang_up},
        origin::refuse_foreign,
        rate_limit::rate_limit,
    },
    openapi, pages,
    problem::Problem,
    routes::{self, Known, State},
};

/// How often the depth of the queue is read for the gauges.
const OBSERVE: Duration = Duration::from_secs(5);
/// Longer than a proxy keeps an idle connection (NGINX: 60 s), so that it is never this side that hangs up on a
/// request which is already on its way.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A client that takes nothing of what it was sent for so long has gone, whether it said so or not; NGINX gives its own
/// clients as long (send_timeout). Without it a live stream that was dropped as too slow would keep its connection and
/// its memory as long as the kernel tries, a quarter of an hour.
const UNREAD: Duration = Duration::from_secs(30);

/// Whose duration says nothing: live streams are as long as somebody listens, and have figures of their own.
const UNMEASURED: [&str; 3] = ["/metrics", "/api/stream", "/api/ws"];

/// A server that is bound and not yet running.
pub struct Application {
    server: Server,
    address: SocketAddr,
    ctx: Ctx,
    live: Arc<Hub>,
    leaving: Leaving,
    registry: Registry,
}

impl Application {
    /// Puts the replica together and binds its address. PostgreSQL and Redis need not be there yet: `/readyz` says
    /// whether they are.
    ///
    /// # Errors
    /// A sentence that names the option that is wrong, or the address that is taken.
    pub fn build(config: &ServeConfig) -> anyhow::Result<Self> {
        let registry = telemetry::metrics_registry()?;
        let threads = match usize::from(config.api_workers) {
            0 => std::thread::available_parallelism()?.get(),
            threads => threads,
        };
        // One pool for each thread and one for what the replica does beside serving.
        let database = config.database.divided(threads + 1);
        let ctx = Ctx::new(&database, &config.redis, &config.cache, &registry)?;
        let limits = Limits {
            streams: config.api_live_streams,
            per_caller: config.api_live_streams_per_caller,
        };
        let live = Arc::new(Hub::new(limits, ctx.clock, &registry)?);
        let leaving = Leaving::default();
        let state = State {
            leaving: leaving.clone(),
            live: Arc::clone(&live),
            tokens: Tokens::new(&config.auth)?,
            llm: Llm::new(&config.llm, ctx.redis.clone(), &registry)?,
            limiter: RateLimiter::new(ctx.redis.clone(), &config.rate_limits, &registry)?,
            content_max_characters: config.posts.content_max_characters,
            trusted_proxies: config.trusted_proxies.clone(),
            ctx: ctx.clone(),
        };
        let watch = Watch::new(&registry, &UNMEASURED)?;
        let exported = Data::new(registry.clone());
        let document = openapi::document();
        let known = Data::new(Known::new(&document));
        let server = HttpServer::new(move || {
            // Made within the thread, as its connections are.
            #[expect(
                clippy::expect_used,
                reason = "the same address was taken a moment ago"
            )]
            let state = Data::new(State {
                ctx: state.ctx.for_thread().expect("a pool"),
                ..state.clone()
            });
            App::new()
                .into_utoipa_app()
                .openapi(openapi::base())
                .configure(routes::table)
                .into_app()
                .app_data(state)
                .app_data(known.clone())
                .app_data(exported.clone())
                .app_data(PayloadConfig::new(MAX_BODY))
                .app_data(PathConfig::default().error_handler(|_, _| {
                    Problem::new(StatusCode::NOT_FOUND, "an id is a whole number").into()
                }))
                .app_data(QueryConfig::default().error_handler(|error, _| {
                    Problem::new(
                        StatusCode::BAD_REQUEST,
                        format!("the query cannot be read: {error}"),
                    )
                    .into()
                }))
                .route("/metrics", web::get().to(metrics))
                .service(web::redirect("/docs", "/docs/"))
                .service(
                    SwaggerUi::new("/docs/{_:.*}").url("/api-docs/openapi.json", document.clone()),
                )
                .configure(pages::table)
                .default_service(web::to(routes::unknown))
                // The last one wrapped is the first to see a request.
                .wrap(from_fn(refuse_foreign))
                .wrap(from_fn(rate_limit))
                .wrap(from_fn(pages::errors::as_pages))
                .wrap(from_fn(keep_nothing))
                .wrap(from_fn(hang_up))
                .wrap(from_fn(head_as_get))
                .wrap(DefaultHeaders::new().add(("x-content-type-options", "nosniff")))
                .wrap(watch.clone())
        })
        .on_connect(|connection, _| {
            if let Some(stream) = connection.downcast_ref::<TcpStream>() {
                // A socket that does not take it is closing already.
                let _never_mind = SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD));
            }
        })
        .keep_alive(KEEP_ALIVE)
        .backlog(4096)
        .shutdown_timeout(config.api_shutdown_seconds)
        .workers(threads)
        .disable_signals();
        let wanted = SocketAddr::new(config.api_host, config.api_port);
        let server = server.bind(wanted).with_context(|| {
            format!("cannot listen on {wanted} (API_HOST and API_PORT): is the port taken?")
        })?;
        let address = *server
            .addrs()
            .first()
            .context("the server is bound to no address")?;
        Ok(Self {
            server: server.run(),
            address,
            ctx,
            live,
            leaving,
            registry,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has the log stored from now on, if there is something to store; its metrics are this replica's.
    ///
    /// # Errors
    /// When that cannot be set up.
    pub fn store_log(
        &self,
        buffer: Option<Buffer>,
        config: &ServeConfig,
    ) -> anyhow::Result<Option<Writing>> {
        let Some(buffer) = buffer else {
            return Ok(None);
        };
        let writer = logs::Writer::new(
            &config.database,
            config.log_store.log_store_days,
            buffer.dropped(),
            &self.registry,
        )?;
        Ok(Some(
            buffer.hand_to(move |lines, stop| writer.run(lines, stop))?,
        ))
    }

    /// Serves until SIGTERM or SIGINT, then lets requests under way finish.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        self.run_until(telemetry::shutdown_signal()).await
    }

    /// The same until `stop` resolves, for a process that has more than one replica in it.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn run_until(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        tracing::info!(address = %self.address, "the API is listening");
        let handle = self.server.handle();
        let observer = tokio::spawn(observe(self.ctx.clone()));
        let schema = tokio::spawn(domain::schema::watch(self.ctx.db.clone()));
        let hub = tokio::spawn(Arc::clone(&self.live).run(self.ctx.clone()));
        let (live, leaving) = (self.live, self.leaving);
        tokio::spawn(async move {
            stop.await;
            tracing::info!("stopping: finishing what is under way");
            // Streams have no end of their own, for which a stop could wait.
            live.stop();
            leaving.begin();
            tokio::time::sleep(LEAVE).await;
            handle.stop(true).await;
        });
        self.server.await?;
        observer.abort();
        schema.abort();
        hub.abort();
        self.ctx.db.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Keeps the gauges of the queue current, here as in every worker: when all workers are gone somebody must still say
/// how much is waiting.
async fn observe(ctx: Ctx) {
    let mut ticks = tokio::time::interval(OBSERVE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = domain::analysis::observe(&ctx).await {
            tracing::debug!(%error, "cannot read the depth of the queue");
        }
    }
}
