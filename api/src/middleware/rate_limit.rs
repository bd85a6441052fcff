//! Pays for each request of `/api/*` and for each page from the caller's budget and says in headers what is left.

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use domain::rate_limits::{Budget, Decision};

use crate::{
    extract::{self, Origin},
    problem::Problem,
};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// What is not limited: probes, metrics, documentation, and what pages are made of.
const FREE: [&str; 6] = [
    "/livez",
    "/readyz",
    "/metrics",
    "/docs",
    "/api-docs/",
    "/assets/",
];

/// Where a password is tried.
const PASSWORDS: [&str; 6] = [
    "/api/auth/login",
    "/api/user/signup",
    "/login",
    "/signup",
    "/settings/password",
    "/settings/delete",
];

/// Which budget a request is paid from.
fn budget(method: &Method, path: &str) -> Option<Budget> {
    if FREE.iter().any(|free| path.starts_with(free)) {
        return None;
    }
    Some(match (method, path) {
        (&Method::POST, path) if PASSWORDS.contains(&path) => Budget::Auth,
        // Reads by their method, but they cost the model or the database seconds.
        (&Method::GET, "/api/posts/generate" | "/api/export") => Budget::Writes,
        (&Method::GET, path) if is_explanation(path) => Budget::Writes,
        (&Method::GET | &Method::HEAD | &Method::OPTIONS, _) => Budget::Reads,
        _ => Budget::Writes,
    })
}

fn is_explanation(path: &str) -> bool {
    path.starts_with("/api/posts/") && path.ends_with("/explanation")
}

/// The middleware, for `actix_web::middleware::from_fn`.
///
/// # Errors
/// Only those of the wrapped service; a refusal is an answer.
pub async fn rate_limit<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    // The path as the router reads it: as it was sent, `/%61pi/posts` would be served and not paid for.
    let decision = match budget(req.method(), req.match_info().as_str()) {
        Some(budget) => {
            let state = extract::state(req.request())?;
            let origin = Origin::of(req.request(), &state.trusted_proxies);
            let user = match budget {
                // Guessing passwords must not be cheaper for whoever has an account.
                Budget::Auth => None,
                _ => extract::token(req.request()).and_then(|token| state.tokens.bearer(&token)),
            };
            let caller = user.map_or_else(|| origin.caller(), |id| format!("user:{id}"));
            state.limiter.check(budget, &caller).await
        }
        None => None,
    };
    let Some(decision) = decision else {
        return Ok(next.call(req).await?.map_into_left_body());
    };
    let mut response = match decision.retry_after {
        Some(wait) => {
            let problem = Problem::from(domain::Error::RateLimited(wait));
            let (req, _) = req.into_parts();
            ServiceResponse::from_err(problem, req).map_into_right_body()
        }
        None => next.call(req).await?.map_into_left_body(),
    };
    announce(response.headers_mut(), &decision);
    Ok(response)
}

/// `RateLimit-*`: the quota, what is left of it, and the seconds until it is whole again.
fn announce(headers: &mut HeaderMap, decision: &Decision) {
    headers.insert(LIMIT, HeaderValue::from(decision.limit));
    headers.insert(REMAINING, HeaderValue::from(decision.remaining));
    let seconds = decision.reset.as_millis().div_ceil(1000);
    headers.insert(
        RESET,
        HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_budget() {
        let of = |method, path| budget(&method, path);
        assert_eq!(of(Method::POST, "/api/auth/login"), Some(Budget::Auth));
        assert_eq!(of(Method::POST, "/api/user/signup"), Some(Budget::Auth));
        assert_eq!(of(Method::POST, "/api/posts"), Some(Budget::Writes));
        assert_eq!(of(Method::GET, "/api/posts/generate"), Some(Budget::Writes));
        assert_eq!(
            of(Method::GET, "/api/posts/7/explanation"),
            Some(Budget::Writes)
        );
        assert_eq!(of(Method::GET, "/api/export"), Some(Budget::Writes));
        assert_eq!(of(Method::GET, "/api/posts/7"), Some(Budget::Reads));
        assert_eq!(of(Method::GET, "/api/posts"), Some(Budget::Reads));
        assert_eq!(of(Method::POST, "/login"), Some(Budget::Auth));
        assert_eq!(of(Method::POST, "/signup"), Some(Budget::Auth));
        assert_eq!(of(Method::POST, "/settings/delete"), Some(Budget::Auth));
        assert_eq!(of(Method::GET, "/login"), Some(Budget::Reads));
        assert_eq!(of(Method::POST, "/compose/suggest"), Some(Budget::Writes));
        assert_eq!(of(Method::POST, "/posts/7/like"), Some(Budget::Writes));
        assert_eq!(of(Method::GET, "/"), Some(Budget::Reads));
        assert_eq!(of(Method::GET, "/assets/0/app.css"), None);
        assert_eq!(of(Method::GET, "/readyz"), None);
        assert_eq!(of(Method::GET, "/api-docs/openapi.json"), None);
    }
}
