//! `/signup`, `/login`, `/logout`.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Query},
};
use askama::Template;
use domain::{
    auth::{self, Password},
    users::{self, NewUser, User, Username},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    encoded,
    layout::{self, Faults, Place, Shell},
    visitor::{Button, Form, Visitor, within},
};
use crate::{native::auth::cookie, problem::Problem, routes::State};

/// Which of the two forms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    SignUp,
    Login,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    new: bool,
    username: String,
    next: String,
    next_encoded: String,
    faults: Faults,
    /// What has been done already, when only the login is missing.
    notice: Option<&'static str>,
}

/// Where to go afterwards.
#[derive(Deserialize)]
pub struct NextQuery {
    next: Option<String>,
    done: Option<String>,
}

/// A name and a password.
#[derive(Deserialize)]
pub struct Credentials {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

async fn show(
    state: &State,
    visitor: &Visitor,
    kind: Kind,
    (status, faults): (StatusCode, Faults),
    (username, next, notice): (&str, &str, Option<&'static str>),
) -> Result<HttpResponse, Problem> {
    let new = kind == Kind::SignUp;
    let title = if new { "Sign up" } else { "Log in" };
    let page = AccountPage {
        shell: layout::shell(state, visitor, title, Place::Nowhere).await?,
        new,
        username: username.to_owned(),
        next_encoded: encoded(next),
        next: next.to_owned(),
        faults,
        notice,
    };
    layout::html(status, visitor, &page)
}

async fn empty(
    state: &State,
    visitor: &Visitor,
    kind: Kind,
    query: &NextQuery,
) -> Result<HttpResponse, Problem> {
    let next = within(query.next.as_deref());
    if visitor.session.is_some() {
        return Ok(layout::see(next));
    }
    let fine = (StatusCode::OK, Faults::default());
    let notice = match query.done.as_deref() {
        Some("password") => Some("Your password is changed. Log in with the new one."),
        Some("signup") => Some("Your account is made. Log in to begin."),
        _ => None,
    };
    show(state, visitor, kind, fine, ("", next, notice)).await
}

/// `GET /signup`.
pub async fn sign_up_form(
    state: Data<State>,
    visitor: Visitor,
    query: Query<NextQuery>,
) -> Result<HttpResponse, Problem> {
    empty(&state, &visitor, Kind::SignUp, &query).await
}

/// `GET /login`.
pub async fn login_form(
    state: Data<State>,
    visitor: Visitor,
    query: Query<NextQuery>,
) -> Result<HttpResponse, Problem> {
    empty(&state, &visitor, Kind::Login, &query).await
}

/// Makes the account, if name and password are fit for one.
async fn make(state: &State, input: &Credentials) -> Result<User, Problem> {
    let username = Username::parse(&input.username);
    let password = Password::parse(input.password.clone());
    match (username, password) {
        (Ok(username), Ok(password)) => {
            Ok(users::sign_up(&state.ctx, NewUser { username, password }).await?)
        }
        (username, password) => {
            let violations = [username.err(), password.err()].into_iter().flatten();
            Err(domain::Error::Invalid(violations.collect()).into())
        }
    }
}

/// Goes on with a new login.
pub(super) fn enter(visitor: &Visitor, token: &str, next: &str) -> HttpResponse {
    let mut response = HttpResponse::SeeOther();
    response.cookie(cookie(token, visitor.origin));
    layout::see_with(response, next)
}

/// Goes on to `next` with a login for somebody whose form has just proved who they are. What the form was for, `done`, is
/// done: if the login fails, the form for it says so.
pub(super) async fn renew(
    state: &State,
    visitor: &Visitor,
    user: User,
    (next, done): (&str, &str),
) -> HttpResponse {
    match auth::renew(&state.ctx, &state.tokens, user, &visitor.agent).await {
        Ok(login) => enter(visitor, &login.token, next),
        Err(error) => {
            tracing::warn!(%error, done, "no login after a form that is one");
            layout::see(&format!("/login?done={done}&next={}", encoded(next)))
        }
    }
}

/// `POST /signup`: makes the account and logs in.
pub async fn sign_up(state: Data<State>, form: Form<Credentials>) -> Result<HttpResponse, Problem> {
    let user = match make(&state, &form.input).await {
        Ok(user) => user,
        Err(problem) => {
            let faults = Faults::from_problem(problem, "username")?;
            let refused = (StatusCode::UNPROCESSABLE_ENTITY, faults);
            let kept = (form.input.username.as_str(), form.next(), None);
            return show(&state, &form, Kind::SignUp, refused, kept).await;
        }
    };
    Ok(renew(&state, &form, user, (form.next(), "signup")).await)
}

/// `POST /login`.
pub async fn login(state: Data<State>, form: Form<Credentials>) -> Result<HttpResponse, Problem> {
    let Credentials { username, password } = &form.input;
    let password = SecretString::from(password.clone());
    match auth::login(&state.ctx, &state.tokens, username, password, &form.agent).await {
        Ok(login) => Ok(enter(&form, &login.token, form.next())),
        Err(domain::Error::Unauthenticated(_)) => {
            let sentence = "This name and password do not belong together.";
            let refused = (
                StatusCode::UNPROCESSABLE_ENTITY,
                Faults::one("password", sentence),
            );
            let kept = (username.as_str(), form.next(), None);
            show(&state, &form, Kind::Login, refused, kept).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /logout`.
pub async fn logout(state: Data<State>, form: Form<Button>) -> Result<HttpResponse, Problem> {
    if let Some(session) = &form.session {
        auth::logout(&state.ctx, session).await?;
    }
    Ok(leave(&form))
}

/// Goes to the front page without a login.
pub(super) fn leave(visitor: &Visitor) -> HttpResponse {
    let mut gone = cookie("", visitor.origin);
    gone.make_removal();
    let mut response = HttpResponse::SeeOther();
    response.cookie(gone);
    layout::see_with(response, "/")
}
