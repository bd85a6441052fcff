//! The one shape of every error body: RFC 9457 problem details with the `message` that the Node service's clients
//! read.

use std::{borrow::Cow, fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::status;

/// The content type of an error body.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// One rule that the input breaks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// The field as the caller wrote it.
    #[schema(example = "content")]
    pub field: Cow<'static, str>,
    /// What the field must be.
    #[schema(example = "have 1 to 500 characters after trimming")]
    pub rule: Cow<'static, str>,
    /// Length of the refused value in Unicode scalar values, where length matters.
    #[schema(example = 612)]
    pub length: Option<usize>,
}

/// An error, as every failing call answers it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// What was wrong and what to do, for people.
    pub message: Cow<'static, str>,
    /// The kind of problem; `about:blank` means that the status says it all (RFC 9457, section 4.2.1).
    #[serde(rename = "type")]
    #[schema(rename = "type", example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Unprocessable Entity")]
    title: &'static str,
    /// The status.
    #[schema(example = 422)]
    status: u16,
    /// The same as `message`.
    detail: Cow<'static, str>,
    /// The rules that the input breaks, when that is the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// A failing call's answer.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Box<ProblemBody>,
    /// For the header Retry-After, in whole seconds.
    retry_after: Option<u64>,
    /// For the header Allow.
    allow: Option<String>,
}

impl Problem {
    /// A problem with this status and sentence.
    #[must_use]
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self {
            status,
            body: Box::new(ProblemBody {
                detail: message.clone(),
                message,
                kind: "about:blank",
                title: status.canonical_reason().unwrap_or("Error"),
                status: status.as_u16(),
                errors: Vec::new(),
            }),
            retry_after: None,
            allow: None,
        }
    }

    /// The same, naming what may be called instead.
    #[must_use]
    pub fn allowing(mut self, methods: String) -> Self {
        self.allow = Some(methods);
        self
    }

    /// The same, saying when to come back.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        // Rounded up: who comes back at the second given must not be too early.
        self.retry_after = Some(wait.as_millis().div_ceil(1000).try_into().unwrap_or(60));
        self
    }

    /// A 422 for one field.
    #[must_use]
    pub fn field(field: impl Into<Cow<'static, str>>, rule: impl Into<Cow<'static, str>>) -> Self {
        let (field, rule) = (field.into(), rule.into());
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("{field} must {rule}"),
        );
        problem.body.errors.push(FieldError {
            field,
            rule,
            length: None,
        });
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.body.message)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // A 401 has to say how to do better (RFC 9110, section 15.5.2).
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(methods) = &self.allow {
            response.insert_header((header::ALLOW, methods.as_str()));
        }
        // json() keeps a content type that is set.
        response.content_type(CONTENT_TYPE).json(&self.body)
    }
}

impl From<domain::Error> for Problem {
    /// What a caller may know of the error; the rest goes to the log, here and nowhere else.
    fn from(error: domain::Error) -> Self {
        use domain::Error;
        let status = status::of(&error);
        let (message, retry_after) = match &error {
            Error::Internal(fault) => {
                tracing::error!(error = %error, fault = ?fault, "a request failed by our fault");
                let message = "something went wrong on our side; the request id in the header x-request-id \
                               helps us find out what";
                (Cow::Borrowed(message), None)
            }
            Error::Unavailable {
                what,
                why,
                retry_after,
            } => {
                tracing::warn!(%what, %why, "a request failed because a part is away");
                (
                    format!("{what} is not available right now: try again shortly").into(),
                    Some(*retry_after),
                )
            }
            Error::NotYet {
                sentence,
                retry_after,
            } => (Cow::Borrowed(*sentence), Some(*retry_after)),
            Error::RateLimited(wait) => (error.to_string().into(), Some(*wait)),
            _ => (error.to_string().into(), None),
        };
        let mut problem = Self::new(status, message);
        if let Some(wait) = retry_after {
            problem = problem.after(wait);
        }
        if let Error::Invalid(violations) = error {
            problem.body.errors = violations
                .into_iter()
                .map(|violation| FieldError {
                    field: violation.field.into(),
                    rule: violation.rule,
                    length: violation.length,
                })
                .collect();
        }
        problem
    }
}

impl From<domain::error::Violation> for Problem {
    fn from(violation: domain::error::Violation) -> Self {
        domain::Error::from(violation).into()
    }
}
