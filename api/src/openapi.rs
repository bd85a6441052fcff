//! The OpenAPI document: generated from the handlers that are served, plus what they share.

use std::collections::BTreeMap;

use actix_web::App;
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema as _,
    openapi::{
        ContentBuilder, Ref, RefOr, Response, ResponseBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_actix_web::AppExt as _;

use crate::{
    extract::COOKIE,
    live,
    problem::{CONTENT_TYPE, FieldError, ProblemBody},
    routes,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Linnet",
        description = "A social microblog. Every post is read by a language model moments after it was written.\n\n\
            Every error has the shape `Problem`. Every answer carries `x-request-id`, which may be sent along to \
            choose it."
    ),
    components(schemas(
        ProblemBody,
        FieldError,
        live::PostsData,
        live::VerdictData,
        live::CountsData,
        live::NotificationData
    )),
    modifiers(&Security)
)]
struct Base;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        if let Some(components) = document.components.as_mut() {
            let cookie = ApiKey::Cookie(ApiKeyValue::new(COOKIE));
            components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
            let bearer = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .build();
            components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        }
    }
}

/// What [`document`] starts from: all but the paths.
pub(crate) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The document of everything that is served.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    App::new()
        .into_utoipa_app()
        .openapi(base())
        .configure(routes::table)
        .split_for_parts()
        .1
}

/// The error responses of a status with their description.
fn problems<const N: usize>(responses: [(u16, &str); N]) -> BTreeMap<String, RefOr<Response>> {
    let body = || {
        ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(ProblemBody::name())))
            .build()
    };
    responses
        .into_iter()
        .map(|(status, description)| {
            let response = ResponseBuilder::new()
                .description(description)
                .content(CONTENT_TYPE, body())
                .build();
            (status.to_string(), response.into())
        })
        .collect()
}

macro_rules! responses {
    ($($(#[$doc:meta])* $name:ident { $($status:literal => $description:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                problems([$(($status, $description)),+])
            }
        }
    )+};
}

responses! {
    /// What any call may answer.
    Common {
        429 => "Too many requests; `Retry-After` says when to come back",
        500 => "A fault of ours",
        503 => "A part that is needed is away; `Retry-After` says when to come back",
    }
    /// What a call with a body may answer.
    BadBody {
        400 => "The body is not JSON; the message names the position",
        413 => "The body is too large",
        415 => "The body is of another type than JSON",
        422 => "A field breaks a rule; `errors` names field, rule and length",
    }
    /// What a call with a query may answer.
    Refused {
        400 => "The query cannot be read, e.g. for a parameter given twice",
        422 => "A parameter breaks a rule; `errors` names it",
    }
    /// What a call by someone unknown answers.
    LoginNeeded { 401 => "Not logged in, or not with the right password" }
    /// What a call on somebody else's things answers.
    NotYours { 403 => "It is somebody else's" }
    /// What a page of another site is answered.
    ForeignOrigin { 403 => "A page of another origin asks" }
    /// What a call on a thing that is not there answers.
    NoSuch { 404 => "There is no such thing" }
    /// What following somebody whom one blocks answers.
    Blocking { 403 => "The caller blocks this person" }
    /// What following too many people answers.
    FollowsMany { 409 => "The caller follows as many people as anybody can" }
    /// What following, blocking or muting oneself answers.
    Oneself { 422 => "It is the caller's own account" }
    /// What asking about a verdict that is not there answers.
    NotJudged { 409 => "The post has no verdict; `Retry-After`, if there, says when to come back" }
    /// What asking for a name in use answers.
    NameTaken { 409 => "The name is taken" }
}
