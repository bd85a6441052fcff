//! The table of bad inputs: each with its status, what the message says, and the rule that `errors` names. That they
//! all have the one error shape and that the document lists them is checked in `document.rs`.

mod addresses;
mod bodies;
mod credentials;

use serde_json::Value;

/// The one rule that was broken: field, rule, length.
#[track_caller]
fn rule(problem: &Value) -> (&str, &str, Option<u64>) {
    let errors = problem["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), 1, "{problem}");
    let text = |name: &str| errors[0][name].as_str().expect("a text");
    (text("field"), text("rule"), errors[0]["length"].as_u64())
}
