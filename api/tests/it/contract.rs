//! The native contract, call by call, shapes exactly as clients of the Node service know them.

mod accounts;
mod people;
mod posts;

use insta::internals::{Content, ContentPath};

/// Hides an id, after a look at it.
fn id(value: Content, _: ContentPath<'_>) -> &'static str {
    assert!(value.as_i64().is_some_and(|id| id > 0), "{value:?}");
    "[id]"
}

/// Hides a time, after a look at it.
fn time(value: Content, _: ContentPath<'_>) -> &'static str {
    let text = value.as_str().unwrap_or_default();
    let time = chrono::DateTime::parse_from_rfc3339(text).expect("a time");
    let age = domain::clock::Clock::System.now() - time.to_utc();
    assert!(age.num_minutes().abs() < 5, "{text}");
    "[time]"
}

/// The same where there may be none.
fn deletion(value: Content, path: ContentPath<'_>) -> Content {
    match value {
        Content::None | Content::Unit => value,
        _ => time(value, path).into(),
    }
}

macro_rules! shape {
    ($value:expr, @$snapshot:literal) => {
        insta::assert_json_snapshot!($value, {
            ".**.id" => insta::dynamic_redaction($crate::contract::id),
            ".**.userId" => insta::dynamic_redaction($crate::contract::id),
            ".**.created_at" => insta::dynamic_redaction($crate::contract::time),
            ".**.deleted_at" => insta::dynamic_redaction($crate::contract::deletion),
            ".**.updated_at" => insta::dynamic_redaction($crate::contract::time),
        }, @$snapshot)
    };
}

use shape;
