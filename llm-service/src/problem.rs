//! The one shape of every error body: problem+json (RFC 9457) with the `message` that the other programs' clients
//! read. What went wrong inside is never in it.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde::Serialize;

/// An error as a caller sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    field: Option<String>,
    rule: Option<String>,
    retry_after_seconds: Option<u64>,
    allow: Option<&'static str>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            field: None,
            rule: None,
            retry_after_seconds: None,
            allow: None,
        }
    }

    /// 400: the body is not JSON. `detail` says where.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404: no such address.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing at this address.")
    }

    /// 405: the address exists, the method does not; `allow` is the one that does.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("Only {allow} is allowed here."),
            )
        }
    }

    /// 413: the body has more than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The request body may have at most {limit} bytes."),
        )
    }

    /// 415: the body is not declared as JSON.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The request body must be JSON, with the header `content-type: application/json`.",
        )
    }

    /// 422: `field` breaks `rule`; `found` says what was there instead (a count or a length, never the text).
    pub fn invalid(field: impl Into<String>, rule: impl Into<String>, found: &str) -> Self {
        let (field, rule) = (field.into(), rule.into());
        Self {
            detail: format!("`{field}` must be {rule}; {found}."),
            field: Some(field),
            rule: Some(rule),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "")
        }
    }

    /// 503: not now; the same request may succeed after `retry_after_seconds`.
    pub fn unavailable(detail: impl Into<String>, retry_after_seconds: u64) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    /// 500: a fault of this service. The cause belongs into the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The request could not be answered because of a fault in this service.",
        )
    }

    /// The answer to send.
    #[must_use]
    pub fn response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after_seconds {
            answer.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(method) = self.allow {
            answer.insert_header((header::ALLOW, HeaderValue::from_static(method)));
        }
        answer.content_type("application/problem+json");
        let body = Body {
            message: &self.detail,
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
            rule: self.rule.as_deref(),
        };
        match serde_json::to_string(&body) {
            Ok(json) => answer.body(json),
            Err(_) => answer.finish(),
        }
    }
}
