//! Who looks at a page, and the forms they send.

use std::{future::Future, ops::Deref, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::{StatusCode, header},
    web::{Bytes, Query},
};
use domain::{auth::Session, ids::UserId};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    extract::{self, MAX_BODY, MaybeUser, Origin},
    native::sessions::user_agent,
    problem::Problem,
};

type Later<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// Who looks, and how.
pub struct Visitor {
    /// The login, if there is one that counts.
    pub session: Option<Session>,
    /// What a form must carry to be theirs; empty for who is not logged in.
    pub csrf: String,
    /// Whether a part of a page is asked for, by htmx.
    pub partial: bool,
    /// The address of this page within the site, for coming back to it.
    pub address: String,
    /// Where from.
    pub origin: Origin,
    /// What the browser calls itself.
    pub agent: String,
}

impl Visitor {
    /// Their account's number.
    #[must_use]
    pub fn id(&self) -> Option<UserId> {
        self.session.as_ref().map(|session| session.user.id)
    }

    /// The login.
    ///
    /// # Errors
    /// 401, which becomes the way to the login form.
    pub fn member(&self) -> Result<&Session, Problem> {
        let session = self.session.as_ref();
        session.ok_or_else(|| domain::Error::Unauthenticated("log in first").into())
    }
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Later<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let state = extract::state(req);
        let session = MaybeUser::from_request(req, payload);
        let has = |name: &str| req.headers().contains_key(name);
        let partial = has("hx-request") && !has("hx-history-restore-request");
        let address = req
            .uri()
            .path_and_query()
            .map_or("/", |it| it.as_str())
            .to_owned();
        let agent = user_agent(req);
        let req = req.clone();
        Box::pin(async move {
            let state = state?;
            let MaybeUser(session) = session.await?;
            let csrf = session.as_ref().map(|session| state.tokens.csrf(session));
            Ok(Self {
                csrf: csrf.transpose()?.unwrap_or_default(),
                origin: Origin::of(&req, &state.trusted_proxies),
                session,
                partial,
                address,
                agent,
            })
        })
    }
}

/// A path within this site, from what anybody may have written into an address; else the front page.
#[must_use]
pub fn within(next: Option<&str>) -> &str {
    // Browsers take `\` for `/`, `//host` for another site, and leave out tabs and line ends. `/api/auth/logout` would be
    // a way to end the login that has just begun.
    let inner = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && !path.starts_with("/api/")
            && !path.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace())
    };
    next.filter(inner).unwrap_or("/")
}

/// A form that was sent by a page of ours: the visitor, and what they filled in.
///
/// That no other site sent it is seen twice: by the browser's word (`middleware/origin.rs`) and, from somebody who is
/// logged in, by the token that only their own pages hold.
pub struct Form<T> {
    /// Who sent it.
    pub visitor: Visitor,
    /// What they filled in.
    pub input: T,
    /// Where they were, for going back there.
    next: Option<String>,
}

impl<T> Form<T> {
    /// Where to go afterwards: where the form says, within this site.
    #[must_use]
    pub fn next(&self) -> &str {
        within(self.next.as_deref())
    }
}

impl<T> Deref for Form<T> {
    type Target = Visitor;

    fn deref(&self) -> &Visitor {
        &self.visitor
    }
}

/// What every form may carry.
#[derive(Deserialize)]
struct Carried {
    csrf: Option<String>,
    next: Option<String>,
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let form = Query::<T>::from_query(text).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the form cannot be read: {error}"),
        )
    });
    form.map(Query::into_inner)
}

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = Problem;
    type Future = Later<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let content_type = req.headers().get(header::CONTENT_TYPE);
        let is_form = content_type
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|t| {
                t.trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        // A button by itself sends nothing but its form's token; a program may send no body at all.
        let state = extract::state(req);
        let visitor = Visitor::from_request(req, payload);
        let bytes = Bytes::from_request(req, payload);
        Box::pin(async move {
            let (state, visitor) = (state?, visitor.await?);
            let bytes = bytes.await.map_err(|_| {
                let sentence = format!("the form is over the limit of {MAX_BODY} bytes");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
            })?;
            if !is_form && !bytes.is_empty() {
                let sentence = "a form is sent as application/x-www-form-urlencoded";
                return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
            }
            let text = std::str::from_utf8(&bytes).map_err(|_| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "the form cannot be read: it is not UTF-8",
                )
            })?;
            let carried: Carried = parse(text)?;
            if let Some(session) = &visitor.session {
                let token = carried.csrf.as_deref().unwrap_or_default();
                if !state.tokens.csrf_fits(session, token) {
                    return Err(Problem::new(
                        StatusCode::FORBIDDEN,
                        "this form was made before you last logged in, or by another site: go back, reload the \
                         page and send it again",
                    ));
                }
            }
            Ok(Self {
                visitor,
                input: parse(text)?,
                next: carried.next,
            })
        })
    }
}

/// A form without fields of its own.
#[derive(Deserialize)]
pub struct Button {}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn the_way_back_stays_on_this_site() {
        for fine in ["/", "/posts/7?x=1#reply", "/@ada", "/search?q=%2F%2F"] {
            assert_eq!(within(Some(fine)), fine);
        }
        for foreign in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "\t//evil.example",
            "/\t/evil.example",
            "javascript:alert(1)",
            "/a b",
            "/\r\nset-cookie: a=b",
        ] {
            assert_eq!(within(Some(foreign)), "/", "{foreign:?}");
        }
        assert_eq!(within(None), "/");
    }
}
