//! Refuses what another site makes a browser send: a browser adds the cookie by itself, whoever asks it to.

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderMap},
    },
    middleware::Next,
};

use crate::{extract::COOKIE, problem::Problem};

/// Whether a browser says that another site's page has sent this. Programs say nothing, and have no cookie that others
/// could use.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text =
        |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    // Said by every browser since 2023, and only over https or to this machine.
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(header::ORIGIN) else {
        return false;
    };
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    // A proxy may speak https to the browser and http to us: the scheme is not ours to compare.
    host.is_empty() || text(header::HOST) != Some(host)
}

/// The middleware, for `actix_web::middleware::from_fn`: 403 for a request that changes something, comes from another
/// site's page, and is either for a page or carries the cookie.
///
/// # Errors
/// Only those of the wrapped service; a refusal is an answer.
pub async fn refuse_foreign<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let is_page = !req.match_info().as_str().starts_with("/api/");
    let by_cookie =
        || !req.headers().contains_key(header::AUTHORIZATION) && req.cookie(COOKIE).is_some();
    // A GET by contract, and yet it ends the login.
    let changes = !req.method().is_safe() || req.match_info().as_str() == "/api/auth/logout";
    let refused = changes && is_foreign(req.headers()) && (is_page || by_cookie());
    if refused {
        let problem = Problem::new(
            StatusCode::FORBIDDEN,
            "another site asked for this: refused",
        );
        let (req, _) = req.into_parts();
        return Ok(ServiceResponse::from_err(problem, req).map_into_right_body());
    }
    Ok(next.call(req).await?.map_into_left_body())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn foreign(headers: &[(&'static str, &str)]) -> bool {
        let mut req = TestRequest::default().insert_header(("host", "linnet.example:8080"));
        for (name, value) in headers {
            req = req.insert_header((*name, *value));
        }
        is_foreign(req.to_http_request().headers())
    }

    #[test]
    fn another_site_is_told_by_what_the_browser_says() {
        assert!(!foreign(&[]), "no browser");
        for own in ["same-origin", "none"] {
            assert!(!foreign(&[("sec-fetch-site", own)]));
        }
        for other in ["cross-site", "same-site", "", "?"] {
            assert!(foreign(&[("sec-fetch-site", other)]));
            // Whatever else it says.
            assert!(foreign(&[
                ("sec-fetch-site", other),
                ("origin", "https://linnet.example:8080")
            ]));
        }
        assert!(!foreign(&[("origin", "https://linnet.example:8080")]));
        for other in [
            "null",
            "",
            "https://evil.example",
            "https://linnet.example",
            "https://linnet.example:8080.evil.example",
        ] {
            assert!(foreign(&[("origin", other)]), "{other}");
        }
    }
}
