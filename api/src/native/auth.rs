//! `/api/auth`: logging in and out.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time},
    get, post,
    web::Data,
};
use domain::auth;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    sessions::user_agent,
    users::{CredentialsInput, UserDto, missing},
};
use crate::{
    extract::{Body, COOKIE, MaybeUser, Origin},
    openapi::{BadBody, Common, LoginNeeded},
    problem::Problem,
    routes::State,
};

/// The cookie that carries `token`: out of reach of scripts, not sent along by other sites' forms, and only over
/// https where that is how the client came.
pub(crate) fn cookie(token: &str, origin: Origin) -> Cookie<'static> {
    Cookie::build(COOKIE, token.to_owned())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(origin.https)
        .max_age(time::Duration::seconds(auth::LIFETIME.num_seconds()))
        .finish()
}

/// A sentence.
#[derive(Serialize, ToSchema)]
pub struct Message {
    pub(super) message: &'static str,
}

/// Log in; the token is in the cookie `jwt` and counts for 24 hours.
///
/// Programs may send the same token as `Authorization: Bearer …`.
#[utoipa::path(
    tag = "auth", request_body = CredentialsInput,
    responses(
        (status = 200, description = "Logged in", body = Message,
         headers(("set-cookie" = String, description = "`jwt=…; HttpOnly; SameSite=Lax; Path=/; Max-Age=86400`"))),
        BadBody, LoginNeeded, Common,
    )
)]
#[post("/api/auth/login")]
pub async fn login(
    state: Data<State>,
    req: HttpRequest,
    Body(input): Body<CredentialsInput>,
) -> Result<HttpResponse, Problem> {
    let username = input.username.ok_or_else(|| missing("username"))?;
    let password = input.password.ok_or_else(|| missing("password"))?;
    let agent = user_agent(&req);
    let login = auth::login(&state.ctx, &state.tokens, &username, password, &agent).await?;
    Ok(HttpResponse::Ok()
        .cookie(cookie(
            &login.token,
            Origin::of(&req, &state.trusted_proxies),
        ))
        .json(Message {
            message: "User logged in",
        }))
}

/// Log out: the token is refused by every replica from now on.
#[utoipa::path(
    tag = "auth", security((), ("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "Logged out", body = Message), Common)
)]
#[get("/api/auth/logout")]
pub async fn logout(
    state: Data<State>,
    req: HttpRequest,
    MaybeUser(session): MaybeUser,
) -> Result<HttpResponse, Problem> {
    if let Some(session) = session {
        auth::logout(&state.ctx, &session).await?;
    }
    let mut gone = cookie("", Origin::of(&req, &state.trusted_proxies));
    gone.make_removal();
    Ok(HttpResponse::Ok().cookie(gone).json(Message {
        message: "User logged out",
    }))
}

/// Who is logged in.
#[derive(Serialize, ToSchema)]
pub struct LoginStatus {
    #[serde(rename = "isLoggedIn")]
    is_logged_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserDto>,
}

/// Whether the caller is logged in, and as whom.
#[utoipa::path(
    tag = "auth", security((), ("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The caller's login", body = LoginStatus), Common)
)]
#[get("/api/auth/loginstatus")]
pub async fn login_status(MaybeUser(session): MaybeUser) -> HttpResponse {
    let user = session.map(|session| session.user.into());
    HttpResponse::Ok().json(LoginStatus {
        is_logged_in: user.is_some(),
        user,
    })
}
