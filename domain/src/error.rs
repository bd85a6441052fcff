//! What can go wrong, in words that know nothing of HTTP. The API's `status.rs` is the only place that turns
//! these into status codes.

use std::{borrow::Cow, time::Duration};

/// One thing about the input that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's name as the caller wrote it.
    pub field: &'static str,
    /// What the field must be, as the end of the sentence "`field` must …".
    pub rule: Cow<'static, str>,
    /// Length of the refused value in Unicode scalar values, where length matters.
    pub length: Option<usize>,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} must {}", self.field, self.rule)?;
        match self.length {
            Some(length) => write!(f, " (it has {length} characters)"),
            None => Ok(()),
        }
    }
}

/// A use case's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or not any more. Holds its noun.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The input breaks one or more rules; never empty.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    /// The caller is known and may not do this. Holds a sentence.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The caller must log in first. Holds a sentence.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The thing exists already. Holds a sentence.
    #[error("{0}")]
    Conflict(&'static str),
    /// It will be possible soon; nobody is at fault.
    #[error("{sentence}")]
    NotYet {
        /// What has to happen first.
        sentence: &'static str,
        /// When to come back.
        retry_after: Duration,
    },
    /// Too many calls; another one counts after this time.
    #[error("too many requests: try again in {} s", .0.as_secs() + 1)]
    RateLimited(Duration),
    /// Something that this needs is away; trying later makes sense.
    #[error("{what} is not available right now: {why}")]
    Unavailable {
        /// Which part: "the database", "the language model", …
        what: &'static str,
        /// For the log; may name hosts, so it is not shown to callers.
        why: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// A fault of ours.
    #[error("internal fault: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An [`Error::Internal`] from any other error or a sentence.
    pub fn internal(fault: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(fault.into())
    }

    /// What somebody else is told who waited for the same call.
    pub(crate) fn shared(&self) -> Self {
        match self {
            Self::Unavailable {
                what,
                why,
                retry_after,
            } => Self::Unavailable {
                what,
                why: why.clone(),
                retry_after: *retry_after,
            },
            other => Self::internal(other.to_string()),
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Invalid(vec![violation])
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let away = match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => true,
            // Classes 40 (a transaction given up for another one's sake, as in a deadlock), 57 (operator intervention:
            // shutting down, starting up) and 53 (out of resources, such as too many connections) pass by themselves.
            // <https://www.postgresql.org/docs/15/errcodes-appendix.html>
            sqlx::Error::Database(fault) => fault.code().is_some_and(|code| {
                ["40", "57P", "53"]
                    .iter()
                    .any(|class| code.starts_with(class))
            }),
            _ => false,
        };
        if away {
            Self::Unavailable {
                what: "the database",
                why: error.to_string(),
                retry_after: Duration::from_secs(2),
            }
        } else {
            Self::internal(error)
        }
    }
}

/// Whether `error` is the breach of the constraint or unique index called `name`.
pub(crate) fn breaches(error: &sqlx::Error, name: &str) -> bool {
    error
        .as_database_error()
        .is_some_and(|fault| fault.constraint() == Some(name))
}

/// What a use case returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
