//! `/api/user`: signing up, looking up, changing and deleting accounts.

use actix_web::{
    HttpRequest, HttpResponse, delete, get, post, put,
    web::{Data, Path, Query},
};
use domain::{
    auth::{self, Password},
    error::Violation,
    ids::UserId,
    users::{self, NewUser, User, UserChange, Username},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{auth::cookie, link_next, sessions::user_agent};
use crate::{
    extract::{Body, CurrentUser, MaybeUser, Origin, PageQuery},
    openapi::{BadBody, Common, LoginNeeded, NameTaken, NoSuch, NotYours, Refused},
    problem::Problem,
    routes::State,
};

/// An account.
#[derive(Serialize, ToSchema)]
pub struct UserDto {
    #[schema(value_type = i64)]
    id: UserId,
    #[schema(example = "ada")]
    username: String,
}

impl From<User> for UserDto {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            username: user.username,
        }
    }
}

/// A name and a password.
#[derive(Deserialize, ToSchema)]
pub struct CredentialsInput {
    /// For a new name: 3 to 30 characters, each an ASCII letter, a digit, `_`, `.` or `-`; unique whatever its case.
    #[schema(example = "ada", value_type = String)]
    pub(super) username: Option<String>,
    /// For a new password: 8 to 256 characters.
    #[schema(example = "correct horse battery", value_type = String, format = Password)]
    pub(super) password: Option<SecretString>,
}

impl CredentialsInput {
    /// The name and password as new ones, each where given; every rule that is broken is named.
    fn parse(self) -> Result<(Option<Username>, Option<Password>), Problem> {
        let username = self.username.map(|raw| Username::parse(&raw)).transpose();
        let password = self
            .password
            .map(|raw| Password::parse(raw.expose_secret().to_owned()))
            .transpose();
        match (username, password) {
            (Ok(username), Ok(password)) => Ok((username, password)),
            (username, password) => {
                let violations = [username.err(), password.err()];
                Err(domain::Error::Invalid(violations.into_iter().flatten().collect()).into())
            }
        }
    }
}

/// The rule that `field` must be given.
pub(super) fn missing(field: &'static str) -> Violation {
    Violation {
        field,
        rule: "be given".into(),
        length: None,
    }
}

/// An account that was made.
#[derive(Serialize, ToSchema)]
pub struct UserCreated {
    /// A list of one.
    #[serde(rename = "User created")]
    user_created: [UserDto; 1],
}

/// Sign up. Log in afterwards.
#[utoipa::path(
    tag = "users", request_body = CredentialsInput,
    responses(
        (status = 201, description = "The account, in a list of one", body = UserCreated),
        BadBody, NameTaken, Common,
    )
)]
#[post("/api/user/signup")]
pub async fn sign_up(
    state: Data<State>,
    Body(input): Body<CredentialsInput>,
) -> Result<HttpResponse, Problem> {
    let absent = [
        input.username.is_none().then(|| missing("username")),
        input.password.is_none().then(|| missing("password")),
    ];
    let (Some(username), Some(password)) = input.parse()? else {
        return Err(domain::Error::Invalid(absent.into_iter().flatten().collect()).into());
    };
    let user = users::sign_up(&state.ctx, NewUser { username, password }).await?;
    Ok(HttpResponse::Created().json(UserCreated {
        user_created: [user.into()],
    }))
}

/// Accounts, newest first. Those with a block between them and the caller are left out.
#[utoipa::path(
    tag = "users", params(PageQuery), security((), ("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "Accounts, newest first", body = Vec<UserDto>,
         headers(("link" = String, description = "`<…>; rel=\"next\"`; missing on the last page"))),
        Refused, Common,
    )
)]
#[get("/api/user")]
pub async fn list(
    state: Data<State>,
    MaybeUser(session): MaybeUser,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = query.parse()?;
    let viewer = session.map(|session| session.user.id);
    let page = users::list(&state.ctx, viewer, before, limit).await?;
    let mut response = HttpResponse::Ok();
    link_next(&mut response, "/api/user", limit.get(), page.next);
    let users: Vec<UserDto> = page.items.into_iter().map(UserDto::from).collect();
    Ok(response.json(users))
}

/// One account.
#[utoipa::path(
    tag = "users", params(("id" = i64, Path, description = "The account")),
    security((), ("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The account", body = UserDto), NoSuch, Common)
)]
#[get("/api/user/{id}")]
pub async fn read(
    state: Data<State>,
    MaybeUser(session): MaybeUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let viewer = session.map(|session| session.user.id);
    let user = users::get(&state.ctx, viewer, UserId(*id)).await?;
    Ok(HttpResponse::Ok().json(UserDto::from(user)))
}

/// An account that was changed.
#[derive(Serialize, ToSchema)]
pub struct UserUpdated {
    /// A list of one.
    #[serde(rename = "User updated")]
    user_updated: [UserDto; 1],
}

/// Change one's own name, password or both.
///
/// A new password ends every login of the account; this answer carries a cookie with a new one.
#[utoipa::path(
    tag = "users", params(("id" = i64, Path, description = "The account")), request_body = CredentialsInput,
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The account as it is now", body = UserUpdated),
        BadBody, LoginNeeded, NotYours, NoSuch, NameTaken, Common,
    )
)]
#[put("/api/user/{id}")]
pub async fn update(
    state: Data<State>,
    req: HttpRequest,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
    Body(input): Body<CredentialsInput>,
) -> Result<HttpResponse, Problem> {
    let (username, password) = input.parse()?;
    if username.is_none() && password.is_none() {
        return Err(missing("username").into());
    }
    let new_password = password.is_some();
    let change = UserChange { username, password };
    let user = users::update(&state.ctx, &session, UserId(*id), change).await?;
    let mut response = HttpResponse::Ok();
    if new_password {
        let agent = user_agent(&req);
        let login = auth::renew(&state.ctx, &state.tokens, user.clone(), &agent).await?;
        response.cookie(cookie(
            &login.token,
            Origin::of(&req, &state.trusted_proxies),
        ));
    }
    Ok(response.json(UserUpdated {
        user_updated: [user.into()],
    }))
}

/// An account that was deleted.
#[derive(Serialize, ToSchema)]
pub struct UserDeleted {
    /// A list of one.
    #[serde(rename = "User deleted")]
    user_deleted: [UserDto; 1],
}

/// Delete one's own account with all its posts and logins.
#[utoipa::path(
    tag = "users", params(("id" = i64, Path, description = "The account")),
    security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The account as it was", body = UserDeleted),
        LoginNeeded, NotYours, NoSuch, Common,
    )
)]
#[delete("/api/user/{id}")]
pub async fn remove(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
    id: Path<i64>,
) -> Result<HttpResponse, Problem> {
    let user = users::delete(&state.ctx, &session, UserId(*id)).await?;
    Ok(HttpResponse::Ok().json(UserDeleted {
        user_deleted: [user.into()],
    }))
}
