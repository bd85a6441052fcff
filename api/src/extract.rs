//! What handlers take: who is calling and from where, JSON bodies, pages. Whatever is wrong with a request is found
//! and named here.

use std::{future::Future, net::IpAddr, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::{StatusCode, header},
    web::{self, Bytes},
};
use domain::{
    Ctx,
    auth::{self, Session, Tokens},
    ids::UserId,
    page::{self, Limit},
    search,
};
use ipnet::IpNet;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::error::Category;

use crate::{problem::Problem, routes::State};

/// The cookie that carries the token.
pub const COOKIE: &str = "jwt";
/// The largest body, in bytes. A post of 5,000 characters, each escaped as two of \uXXXX, still fits.
pub const MAX_BODY: usize = 64 << 10;

type Later<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// What the server was put together with.
///
/// # Errors
/// Never, in a server that [`crate::startup`] built.
pub(crate) fn state(req: &HttpRequest) -> Result<web::Data<State>, Problem> {
    req.app_data::<web::Data<State>>().cloned().ok_or_else(|| {
        domain::Error::internal("the server was put together without its state").into()
    })
}

/// The token of a request: `Authorization: Bearer …`, or the cookie.
pub(crate) fn token(req: &HttpRequest) -> Option<String> {
    // A scheme has no case (RFC 9110, section 11.1).
    let bearer = req.headers().get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer.then(|| token.trim().to_owned())
    });
    bearer.or_else(|| req.cookie(COOKIE).map(|cookie| cookie.value().to_owned()))
}

async fn session(ctx: &Ctx, tokens: &Tokens, token: &str) -> domain::Result<Session> {
    let session = auth::authenticate(ctx, tokens, token).await?;
    tracing::Span::current().record("user.id", session.user.id.0);
    Ok(session)
}

/// The caller, who is logged in; otherwise the handler is not run and the answer is 401.
pub struct CurrentUser(pub Session);

impl FromRequest for CurrentUser {
    type Error = Problem;
    type Future = Later<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (state, token) = (state(req), token(req));
        Box::pin(async move {
            let state = state?;
            let token = token.ok_or(domain::Error::Unauthenticated("log in first"))?;
            Ok(Self(session(&state.ctx, &state.tokens, &token).await?))
        })
    }
}

/// The caller, if logged in.
pub struct MaybeUser(pub Option<Session>);

impl MaybeUser {
    /// Who is calling, if known.
    #[must_use]
    pub fn id(&self) -> Option<UserId> {
        self.0.as_ref().map(|session| session.user.id)
    }
}

impl FromRequest for MaybeUser {
    type Error = Problem;
    type Future = Later<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (state, token) = (state(req), token(req));
        Box::pin(async move {
            let (state, Some(token)) = (state?, token) else {
                return Ok(Self(None));
            };
            match session(&state.ctx, &state.tokens, &token).await {
                Ok(session) => Ok(Self(Some(session))),
                Err(domain::Error::Unauthenticated(_)) => Ok(Self(None)),
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// The request's id, as text.
pub struct RequestId(pub String);

impl FromRequest for RequestId {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        use actix_web::HttpMessage as _;
        let id = req
            .extensions()
            .get::<telemetry::http::RequestId>()
            .cloned();
        std::future::ready(Ok(Self(
            id.map_or_else(String::new, |id| id.as_str().to_owned()),
        )))
    }
}

/// Where a request comes from, as far as it can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client: the peer itself, or what a trusted proxy says.
    pub client: IpAddr,
    /// Whether the client came by https, as a trusted proxy says.
    pub https: bool,
}

impl Origin {
    /// Reads the origin of `req`; headers count only when the peer is in one of the `trusted` networks.
    #[must_use]
    pub fn of(req: &HttpRequest, trusted: &[IpNet]) -> Self {
        let peer = req
            .peer_addr()
            .map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip().to_canonical());
        let mut origin = Self {
            client: peer,
            https: false,
        };
        if !trusted.iter().any(|network| network.contains(&peer)) {
            return origin;
        }
        let last = |name: &str| {
            let value = req.headers().get_all(name).last()?.to_str().ok()?;
            value.rsplit(',').next().map(str::trim)
        };
        // The last one is what our own proxy saw; those before it are the client's word.
        if let Some(client) = last("x-forwarded-for").and_then(|value| value.parse::<IpAddr>().ok())
        {
            origin.client = client.to_canonical();
        }
        origin.https = last("x-forwarded-proto") == Some("https");
        origin
    }

    /// The name under which a caller's requests are counted. Whoever has one IPv6 address has a whole /64.
    #[must_use]
    pub fn caller(self) -> String {
        match self.client {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::")
            }
        }
    }
}

/// A JSON body.
///
/// Refused with 415 when the content type is not JSON, 413 when it is over [`MAX_BODY`], 400 with the position when
/// it is not JSON, and 422 with the field when it is JSON of another shape.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Later<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let essence = req
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|essence| essence.trim().to_ascii_lowercase());
        let bytes = Bytes::from_request(req, payload);
        Box::pin(async move {
            let json = essence.is_some_and(|t| t == "application/json" || t.ends_with("+json"));
            if !json {
                return Err(Problem::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "the body must be JSON: send the header `content-type: application/json`",
                ));
            }
            parse(&bytes.await.map_err(|error| unreadable(&error))?).map(Self)
        })
    }
}

fn unreadable(error: &actix_web::Error) -> Problem {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is over the limit of {MAX_BODY} bytes"),
        ),
        _ => Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body could not be read: {error}"),
        ),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would take a list for the fields in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => Problem::field("body", "be a JSON object"),
            Err(error) => not_json(&error),
        });
    }
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let (path, error) = match serde_path_to_error::deserialize(&mut from) {
        Ok(value) => match from.end() {
            Ok(()) => return Ok(value),
            Err(error) => return Err(not_json(&error)),
        },
        Err(error) => (error.path().to_string(), error.into_inner()),
    };
    Err(match error.classify() {
        Category::Data => {
            let field = if path == "." { "body".to_owned() } else { path };
            Problem::field(field, expectation(&error))
        }
        _ => not_json(&error),
    })
}

/// serde_json's text ends with "at line … column …".
fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        format!("the body is not JSON: {error}"),
    )
}

/// What should have been there, and where, without what was: that may be a password.
fn expectation(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("be {expected}"),
        None => format!("be of the right shape: {text}"),
    }
}

/// The query of a list: how many items, below which id.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many items at most: 1 to 100, 50 if not given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, example = 50)]
    limit: Option<String>,
    /// Only items with a smaller id, as the header Link of the page before gives it.
    #[param(value_type = Option<i64>, minimum = 1)]
    before: Option<String>,
}

impl PageQuery {
    /// The limit and the id to continue below.
    ///
    /// # Errors
    /// 422 that names the parameter.
    pub fn parse(&self) -> Result<(Limit, Option<i64>), Problem> {
        let before = self.before.as_deref().map(number).map(page::parse_before);
        Ok((limit(self.limit.as_deref())?, before.transpose()?))
    }
}

/// The query of a list that runs from old to new: how many items, above which id.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AfterQuery {
    /// How many items at most: 1 to 100, 50 if not given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, example = 50)]
    limit: Option<String>,
    /// Only items with a larger id, as the header Link of the page before gives it.
    #[param(value_type = Option<i64>, minimum = 1)]
    after: Option<String>,
}

impl AfterQuery {
    /// The limit and the id to continue above.
    ///
    /// # Errors
    /// 422 that names the parameter.
    pub fn parse(&self) -> Result<(Limit, Option<i64>), Problem> {
        let after = self.after.as_deref().map(number).map(page::parse_after);
        Ok((limit(self.limit.as_deref())?, after.transpose()?))
    }
}

/// The query of a search: what for, how many items, after which of them.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// What to look for: 1 to 200 characters after trimming.
    #[param(value_type = String, example = "\"first swallow\" -football")]
    q: Option<String>,
    /// How many items at most: 1 to 100, 50 if not given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, example = 50)]
    limit: Option<String>,
    /// Only what comes after this place, as the header Link of the page before gives it.
    after: Option<String>,
}

impl SearchQuery {
    /// What to look for, the limit, and the place to continue after.
    ///
    /// # Errors
    /// 422 that names the parameter.
    pub fn parse<C>(
        &self,
        cursor: impl Fn(&str) -> Result<C, domain::error::Violation>,
    ) -> Result<(search::Query, Limit, Option<C>), Problem> {
        let query = search::Query::parse(self.q.as_deref().unwrap_or_default())?;
        let after = self.after.as_deref().map(cursor).transpose()?;
        Ok((query, limit(self.limit.as_deref())?, after))
    }
}

/// What is no number at all is as wrong as one out of bounds, and 0 is out of every bound here.
fn number(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

fn limit(text: Option<&str>) -> Result<Limit, Problem> {
    match text {
        Some(text) => Ok(Limit::parse(number(text))?),
        None => Ok(Limit::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        #[expect(dead_code, reason = "only its parsing is of interest")]
        content: String,
    }

    #[test]
    fn what_is_not_json_is_400_with_the_position_and_what_is_misshapen_422_with_the_field() {
        let refusal = |text: &str| parse::<Sample>(text.as_bytes()).unwrap_err();
        let broken = refusal("{\"content\": \"a\",,}");
        assert_eq!(broken.status, StatusCode::BAD_REQUEST);
        assert!(broken.body.message.contains("line 1 column 17"), "{broken}");
        assert_eq!(refusal("").status, StatusCode::BAD_REQUEST);
        assert_eq!(
            refusal("{\"content\":\"a\"} x").status,
            StatusCode::BAD_REQUEST
        );
        let wrong = refusal("{\"content\": 5}");
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(wrong.body.errors[0].field, "content");
        assert_eq!(
            wrong.body.message,
            "content must be a string at line 1 column 13"
        );
        // Neither the fields in a row nor anything else that is no object.
        for other in ["[\"a\"]", "[]", "5", " null"] {
            let refusal = refusal(other);
            assert_eq!(refusal.status, StatusCode::UNPROCESSABLE_ENTITY, "{other}");
            assert_eq!(refusal.body.message, "body must be a JSON object");
        }
    }

    #[test]
    fn forwarded_addresses_count_only_from_a_trusted_proxy() {
        let trusted = ["127.0.0.1/32", "10.2.0.0/16"].map(|network| network.parse().unwrap());
        let from = |peer: &str| {
            let req = TestRequest::default()
                .peer_addr(peer.parse().unwrap())
                .insert_header(("x-forwarded-for", "9.9.9.9, 203.0.113.7"))
                .insert_header(("x-forwarded-proto", "https"))
                .to_http_request();
            Origin::of(&req, &trusted)
        };
        assert_eq!(
            from("127.0.0.1:4000").client,
            IpAddr::from([203, 0, 113, 7])
        );
        assert!(from("127.0.0.1:4000").https);
        assert_eq!(
            from("198.51.100.1:4000").client,
            IpAddr::from([198, 51, 100, 1])
        );
        assert!(!from("198.51.100.1:4000").https);
        assert!(from("10.2.255.1:4000").https);
        assert!(!from("10.3.0.1:4000").https);
    }

    #[test]
    fn one_ipv6_network_is_one_caller() {
        let caller = |text: &str| {
            Origin {
                client: text.parse().unwrap(),
                https: false,
            }
            .caller()
        };
        assert_eq!(caller("2001:db8:1:2::1"), caller("2001:db8:1:2:ffff::9"));
        assert_ne!(caller("2001:db8:1:2::1"), caller("2001:db8:1:3::1"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_body_or_a_client_error(bytes: Vec<u8>) {
            if let Err(problem) = parse::<Sample>(&bytes) {
                prop_assert!(problem.status.is_client_error());
            }
        }
    }
}
