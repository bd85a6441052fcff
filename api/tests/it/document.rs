//! The OpenAPI document as the measure of every answer: its status and content type must be listed and its body must
//! fit the schema. The schema check is our own, because it is also to refuse fields that are not documented, and
//! keywords that it does not know.

use std::sync::LazyLock;

use serde_json::Value;

use crate::client::Answer;

/// The document, as `api openapi` prints it.
pub static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(api::openapi::document()).expect("a document"));

/// The template that a path belongs to: itself where it is documented, else one with parameters.
fn template(path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let fits = |template: &str| {
        let (path, template) = (path.split('/'), template.split('/'));
        path.clone().count() == template.clone().count()
            && path.zip(template).all(|(part, pattern)| {
                part == pattern || pattern.starts_with('{') && !part.is_empty()
            })
    };
    let with_parameters = || {
        paths
            .iter()
            .find(|(template, _)| fits(template))
            .map(|(_, item)| item)
    };
    paths.get(path).or_else(with_parameters)
}

/// Holds an answer against the document.
#[track_caller]
pub fn check(method: &str, path: &str, answer: &Answer) {
    let (what, status) = (&answer.what, answer.status);
    assert!(
        !answer.header("x-request-id").is_empty(),
        "{what}: no request id"
    );
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    if ["/docs", "/api-docs", "/metrics"]
        .iter()
        .any(|served| path.starts_with(served))
    {
        return;
    }
    if method == "HEAD" {
        assert!(answer.body.is_empty(), "{what}");
        return;
    }
    if status >= 400 && path != "/readyz" {
        problem(answer);
    }
    let Some(item) = template(path) else {
        assert!(
            matches!(status, 404 | 429),
            "{what} is not documented and answers {status}"
        );
        return;
    };
    let Some(operation) = item.get(method.to_lowercase()) else {
        assert!(
            matches!(status, 405 | 429),
            "{what} is not documented and answers {status}"
        );
        return;
    };
    // Said once for all calls, in the description of the whole.
    if status == 403 && answer.text().contains("another site asked for this") {
        return;
    }
    let Some(response) = operation["responses"].get(status.to_string()) else {
        panic!(
            "{what} answers {status}, which is not documented: {}",
            answer.text()
        );
    };
    if response.get("content").is_none() {
        assert_eq!(answer.wire, 0, "{what} answers {status} with a body");
        return;
    }
    let content_type = answer.header("content-type");
    let Some(content) = response["content"].get(content_type) else {
        panic!("{what} answers {status} with {content_type:?}, which is not documented");
    };
    if let Err(fault) = fits(&content["schema"], &answer.json(), "body") {
        panic!("{what} answers {status} with another shape than documented: {fault}");
    }
}

/// The one shape of errors.
#[track_caller]
fn problem(answer: &Answer) {
    let what = &answer.what;
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{what}"
    );
    let body = answer.json();
    let challenge = if answer.status == 401 { "Bearer" } else { "" };
    assert_eq!(answer.header("www-authenticate"), challenge, "{what}");
    for field in ["message", "type", "title", "detail"] {
        let text = body[field].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{what}: {field} is missing in {body}");
    }
    assert_eq!(body["status"], answer.status, "{what}");
    assert_eq!(body["detail"], body["message"], "{what}");
    assert_eq!(
        body["errors"].is_array(),
        answer.status == 422,
        "{what}: {body}"
    );
}

/// Whether `value` has the shape that `schema` describes; otherwise what is wrong, and where.
pub fn fits(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().expect("a schema") {
        match keyword.as_str() {
            "description" | "example" | "required" => {}
            "$ref" => {
                let pointer = rule.as_str().and_then(|text| text.strip_prefix('#'));
                let schema = DOCUMENT.pointer(pointer.expect("a reference"));
                fits(schema.expect("a schema that is there"), value, at)?;
            }
            "oneOf" => {
                let mut choices = rule.as_array().expect("choices").iter();
                if !choices.any(|choice| fits(choice, value, at).is_ok()) {
                    return Err(format!("{at} fits none of {rule}: {value}"));
                }
            }
            "type" => {
                let types = rule
                    .as_array()
                    .map_or(std::slice::from_ref(rule), Vec::as_slice);
                if !types
                    .iter()
                    .any(|name| is(name.as_str().expect("a type"), value))
                {
                    return Err(format!("{at} is no {rule}: {value}"));
                }
            }
            "format" => {
                let is_time = |text| {
                    chrono::DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z')
                };
                if rule == "date-time" && value.as_str().is_some_and(|text| !is_time(text)) {
                    return Err(format!("{at} is no time in UTC: {value}"));
                }
            }
            "minimum" => {
                if value.as_f64() < rule.as_f64() && value.is_number() {
                    return Err(format!("{at} is below {rule}: {value}"));
                }
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    fits(rule, item, &format!("{at}[{i}]"))?;
                }
            }
            "properties" => object(schema, rule, value, at)?,
            other => {
                return Err(format!(
                    "{at}: this check does not know the keyword {other}"
                ));
            }
        }
    }
    Ok(())
}

fn object(schema: &Value, properties: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(fields) = value.as_object() else {
        return Ok(());
    };
    for required in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(required.as_str().expect("a name")) {
            return Err(format!("{at} lacks {required}: {value}"));
        }
    }
    for (name, field) in fields {
        let schema = properties
            .get(name)
            .ok_or_else(|| format!("{at}.{name} is not documented"))?;
        fits(schema, field, &format!("{at}.{name}"))?;
    }
    Ok(())
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}

#[test]
fn the_check_refuses_what_is_not_documented() {
    let schema = &DOCUMENT["components"]["schemas"]["LoginStatus"];
    let fits = |value| fits(schema, &value, "body").map_err(|fault| fault.to_string());
    assert_eq!(fits(serde_json::json!({"isLoggedIn": false})), Ok(()));
    let user = |user| fits(serde_json::json!({"isLoggedIn": true, "user": user}));
    assert_eq!(
        user(serde_json::json!({"id": 1, "username": "ada"})),
        Ok(())
    );
    assert!(
        user(serde_json::json!({"id": 1})).is_err(),
        "a field is missing"
    );
    assert!(
        user(serde_json::json!({"id": "1", "username": "ada"})).is_err(),
        "a type is wrong"
    );
    let hash = serde_json::json!({"id": 1, "username": "ada", "password_hash": ""});
    assert!(user(hash).is_err(), "a field is not documented");
}
