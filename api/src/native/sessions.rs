//! `/api/auth/sessions`: where one is logged in.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::header,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use domain::auth::{self, SessionView};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Message;
use crate::{
    extract::CurrentUser,
    openapi::{Common, LoginNeeded, NoSuch},
    problem::Problem,
    routes::State,
};

/// What the caller's program calls itself; empty when it does not say.
pub(crate) fn user_agent(req: &HttpRequest) -> String {
    let value = req.headers().get(header::USER_AGENT);
    value.map_or_else(String::new, |value| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    })
}

/// A login that counts.
#[derive(Serialize, ToSchema)]
pub struct SessionDto {
    #[schema(example = "67e55044-10b1-426f-9247-bb680e5fe0c8")]
    id: String,
    /// When its owner logged in.
    created_at: DateTime<Utc>,
    /// When it ends by itself.
    expires_at: DateTime<Utc>,
    /// What the program called itself, at most 200 characters; may be empty.
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")]
    user_agent: String,
    /// Whether it is the caller's own.
    current: bool,
}

impl From<SessionView> for SessionDto {
    fn from(session: SessionView) -> Self {
        Self {
            id: session.id.to_string(),
            created_at: session.created_at,
            expires_at: session.expires_at,
            user_agent: session.user_agent,
            current: session.current,
        }
    }
}

/// Where one is logged in, the newest logins first; the newest hundred, if there are more.
#[utoipa::path(
    tag = "auth", security(("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "Logins", body = Vec<SessionDto>), LoginNeeded, Common)
)]
#[get("/api/auth/sessions")]
pub async fn list(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
) -> Result<HttpResponse, Problem> {
    let sessions = auth::sessions(&state.ctx, &session).await?;
    let sessions: Vec<SessionDto> = sessions.into_iter().map(SessionDto::from).collect();
    Ok(HttpResponse::Ok().json(sessions))
}

/// End one of one's own logins: its token is refused by every replica from now on.
#[utoipa::path(
    tag = "auth", params(("id" = String, Path, description = "The login")),
    security(("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "Ended", body = Message), LoginNeeded, NoSuch, Common)
)]
#[delete("/api/auth/sessions/{id}")]
pub async fn end(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = id.parse().map_err(|_| domain::Error::NotFound("session"))?;
    auth::end_other(&state.ctx, &session, id).await?;
    Ok(HttpResponse::Ok().json(Message {
        message: "Session ended",
    }))
}
