//! Refusals as pages, for those who ask with a browser. Programs keep getting the problem as JSON.

use actix_web::{
    Error, HttpResponse,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::Next,
};
use askama::Template;

use super::{encoded, layout, layout::capital};
use crate::problem::Problem;

/// A refusal. It shows nothing of who is logged in, because it may be that this cannot be found out.
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    code: u16,
    title: &'static str,
    sentence: String,
    try_again: bool,
}

/// The same where a part of a page was asked for.
#[derive(Template)]
#[template(path = "toast.html")]
struct Toast {
    sentence: String,
}

/// What kind of answer a request wants.
enum Wants {
    Page,
    Part,
    Json,
}

fn wants(req: &ServiceRequest) -> Wants {
    let path = req.match_info().as_str();
    if path == "/api" || path.starts_with("/api/") || path.starts_with("/assets/") {
        return Wants::Json;
    }
    if req.headers().contains_key("hx-request") {
        return Wants::Part;
    }
    let mut accepted = req.headers().get_all(header::ACCEPT);
    if accepted.any(|value| value.to_str().is_ok_and(|list| list.contains("text/html"))) {
        Wants::Page
    } else {
        Wants::Json
    }
}

fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "That is not allowed",
        404 => "Nothing here",
        405 => "Not in this way",
        413 => "That is too much",
        429 => "One moment, please",
        503 => "Be right back",
        500..=599 => "Something went wrong",
        _ => "That cannot be read",
    }
}

/// The way to the login form and back; after a form was sent, back to the front page, since it cannot be sent again.
fn login(method: &Method, address: &str) -> String {
    match *method {
        Method::GET => format!("/login?next={}", encoded(address)),
        _ => "/login".to_owned(),
    }
}

fn answer(problem: &Problem, partial: bool, method: &Method, address: &str) -> HttpResponse {
    let sentence = capital(&problem.body.message);
    let status = problem.status;
    if status == StatusCode::UNAUTHORIZED {
        let login = login(method, address);
        return if partial {
            HttpResponse::Unauthorized()
                .insert_header(("hx-redirect", login))
                .insert_header((header::WWW_AUTHENTICATE, "Bearer"))
                .finish()
        } else {
            layout::see(&login)
        };
    }
    let page = if partial {
        Toast { sentence }.render()
    } else {
        ErrorPage {
            code: status.as_u16(),
            title: title(status),
            sentence,
            // What was sent by a form is not sent again by asking for its address.
            try_again: *method == Method::GET && matches!(status.as_u16(), 429 | 500..=599),
        }
        .render()
    };
    let mut response = HttpResponse::build(status);
    layout::headers(&mut response, true);
    if partial {
        response
            .insert_header(("hx-retarget", "#flash"))
            .insert_header(("hx-reswap", "innerHTML"));
    }
    response.body(page.unwrap_or_default())
}

/// The middleware, for `actix_web::middleware::from_fn`: a [`Problem`] that is on its way to a browser becomes a page.
///
/// # Errors
/// Only those of the wrapped service, for programs.
pub async fn as_pages<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let partial = match wants(&req) {
        Wants::Json => return Ok(next.call(req).await?.map_into_left_body()),
        Wants::Page => false,
        Wants::Part => true,
    };
    let method = req.method().clone();
    let address = req
        .uri()
        .path_and_query()
        .map_or("/", |it| it.as_str())
        .to_owned();
    // A handler's refusal is an answer by now, with the problem in it.
    let response = next.call(req).await?;
    let problem = response.response().error();
    let Some(problem) = problem.and_then(|error| error.as_error::<Problem>()) else {
        return Ok(response.map_into_left_body());
    };
    let mut page = answer(problem, partial, &method, &address);
    for name in KEPT {
        if let Some(value) = response.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response.into_response(page).map_into_right_body())
}

/// Headers of a refusal that its page has too.
const KEPT: [header::HeaderName; 5] = [
    header::RETRY_AFTER,
    header::ALLOW,
    header::HeaderName::from_static("ratelimit-limit"),
    header::HeaderName::from_static("ratelimit-remaining"),
    header::HeaderName::from_static("ratelimit-reset"),
];
