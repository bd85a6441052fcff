//! The whole URL table, what handlers are given, and the answers to URLs that are not in the table.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    dev::ResourceDef,
    http::{Method, StatusCode},
    web::Data,
};
use domain::{Ctx, auth::Tokens, llm::Llm, rate_limits::RateLimiter};
use ipnet::IpNet;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    health,
    live::{Hub, sse, websocket},
    middleware::leaving::Leaving,
    native::{
        auth, bookmarks, conversation, exports, insights, likes, notifications, posts, profiles,
        relations, reposts, search, sessions, timelines, trends, users,
    },
    problem::Problem,
};

/// What the handlers of one thread share.
#[derive(Clone)]
pub struct State {
    /// The domain.
    pub ctx: Ctx,
    /// Signs and reads tokens.
    pub tokens: Tokens,
    /// The language model, for suggestions.
    pub llm: Llm,
    /// Rate limits.
    pub limiter: RateLimiter,
    /// The longest post, in characters.
    pub content_max_characters: usize,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Live streams.
    pub live: Arc<Hub>,
    /// Whether the replica is about to stop.
    pub leaving: Leaving,
}

/// Everything that is served and documented. Paths without a parameter stand before those with one.
pub fn table(config: &mut ServiceConfig<'_>) {
    config
        .service(posts::list)
        .service(posts::create)
        .service(posts::generate)
        .service(posts::explanation)
        .service(posts::of_author)
        .service(conversation::thread)
        .service(conversation::replies)
        .service(conversation::history)
        .service(likes::like)
        .service(likes::unlike)
        .service(likes::people)
        .service(reposts::repost)
        .service(reposts::unrepost)
        .service(bookmarks::add)
        .service(bookmarks::remove)
        .service(bookmarks::list)
        .service(posts::read)
        .service(posts::update)
        .service(posts::remove)
        .service(timelines::home)
        .service(users::sign_up)
        .service(users::list)
        .service(profiles::by_name)
        .service(profiles::read)
        .service(profiles::update)
        .service(relations::follow)
        .service(relations::unfollow)
        .service(relations::block)
        .service(relations::unblock)
        .service(relations::mute)
        .service(relations::unmute)
        .service(relations::followers)
        .service(relations::followed)
        .service(relations::blocks)
        .service(relations::mutes)
        .service(notifications::list)
        .service(notifications::count_unread)
        .service(notifications::mark_read)
        .service(search::posts)
        .service(search::people)
        .service(trends::list)
        .service(trends::tagged)
        .service(trends::about)
        .service(insights::read)
        .service(exports::download)
        .service(users::read)
        .service(users::update)
        .service(users::remove)
        .service(auth::login)
        .service(auth::logout)
        .service(auth::login_status)
        .service(sessions::list)
        .service(sessions::end)
        .service(sse::stream)
        .service(websocket::socket)
        .service(health::livez)
        .service(health::readyz);
}

/// The paths of the table with their methods, to tell a wrong method from an unknown path.
pub struct Known(Vec<(ResourceDef, Vec<Method>)>);

impl Known {
    /// From the document, which is generated from the table.
    #[must_use]
    pub fn new(document: &utoipa::openapi::OpenApi) -> Self {
        let paths = document.paths.paths.iter();
        Self(
            paths
                .map(|(path, item)| {
                    let methods = [
                        (Method::GET, item.get.is_some()),
                        (Method::HEAD, item.get.is_some()),
                        (Method::POST, item.post.is_some()),
                        (Method::PUT, item.put.is_some()),
                        (Method::DELETE, item.delete.is_some()),
                    ];
                    let served = methods
                        .into_iter()
                        .filter(|(_, is)| *is)
                        .map(|(method, _)| method);
                    (ResourceDef::new(path.as_str()), served.collect())
                })
                .collect(),
        )
    }

    /// The methods that `path` is served with, of every pattern that fits.
    fn methods(&self, path: &str) -> Vec<&str> {
        let fitting = self.0.iter().filter(|(pattern, _)| pattern.is_match(path));
        fitting
            .flat_map(|(_, methods)| methods)
            .map(Method::as_str)
            .collect()
    }
}

/// The answer to what the table does not hold: 405 with `Allow` when the path is there, otherwise 404.
///
/// # Errors
/// Always.
pub async fn unknown(req: HttpRequest, known: Data<Known>) -> Result<HttpResponse, Problem> {
    let methods = known.methods(req.match_info().as_str());
    Err(
        if methods.is_empty() || methods.contains(&req.method().as_str()) {
            Problem::new(
                StatusCode::NOT_FOUND,
                "there is nothing at this address: see /docs for what there is",
            )
        } else {
            let allowed = methods.join(", ");
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{} is not allowed here: use {allowed}", req.method()),
            )
            .allowing(allowed)
        },
    )
}
