//! What answers must look like: every member that the contract names, called so and being so. More are allowed.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// The token in the cookie that a login sets, which must be out of scripts' reach and last a day.
pub fn token_in(headers: &HeaderMap) -> String {
    let cookie = headers["set-cookie"].to_str().unwrap();
    let parts: Vec<&str> = cookie.split(';').map(str::trim).collect();
    for wanted in ["HttpOnly", "Max-Age=86400", "Path=/", "SameSite=Lax"] {
        let mut attributes = parts.iter();
        assert!(
            attributes.any(|part| part.eq_ignore_ascii_case(wanted)),
            "no {wanted} in {cookie}"
        );
    }
    let token = parts[0].strip_prefix("jwt=").unwrap();
    assert_eq!(token.split('.').count(), 3, "a JWT: {token}");
    token.to_owned()
}

/// The address of the next page, from the header Link.
pub fn next(headers: &HeaderMap) -> Option<String> {
    let link = headers.get("link")?.to_str().unwrap();
    let (address, relation) = link.split_once('>').unwrap();
    assert_eq!(relation, "; rel=\"next\"");
    let address = address.strip_prefix('<').unwrap();
    assert!(address.starts_with("/api/"), "{link}");
    Some(address.to_owned())
}

/// 2026-01-31T12:00:00.123Z, with any number of digits behind the point.
pub fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or("");
    text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z')
}

fn is_number(value: &Value) -> bool {
    value.as_i64().is_some_and(|number| number > 0)
}

fn is_one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|text| words.contains(&text))
}

fn is_within(value: &Value, least: f64) -> bool {
    let figure = value.as_f64();
    figure.is_some_and(|figure| (least..=1.0).contains(&figure))
}

/// A member's name, and what it must be.
type Member<'a> = (&'a str, &'a dyn Fn(&Value) -> bool);

/// Checks members by name.
fn check(what: &Value, members: &[Member<'_>]) {
    for (name, is_sound) in members {
        let member = what.get(name);
        assert!(member.is_some_and(is_sound), "{name} in {what:#}");
    }
}

/// Checks a post.
pub fn is_post(post: &Value) {
    check(
        post,
        &[
            ("id", &is_number),
            ("content", &Value::is_string),
            ("sentiment", &|s| is_one_of(s, &["", "ok", "dangerous"])),
            ("correction", &|correction| {
                let text = correction.as_str();
                text.is_some_and(|text| text.chars().count() <= 200)
            }),
            ("userId", &is_number),
            ("created_at", &is_time),
            ("updated_at", &is_time),
            ("deleted_at", &|at| at.is_null() || is_time(at)),
            ("username", &Value::is_string),
            // Only what was deleted before it was judged has none.
            ("analysis", &|analysis| {
                analysis.is_object() || (analysis.is_null() && !post["deleted_at"].is_null())
            }),
        ],
    );
    let analysis = &post["analysis"];
    assert_eq!(
        post["sentiment"],
        analysis["safety"].as_str().unwrap_or(""),
        "{post:#}"
    );
    if analysis.is_object() {
        is_analysis(analysis);
    }
}

fn is_analysis(analysis: &Value) {
    let is_done = analysis["status"] == "done";
    let told = |is_sound: &dyn Fn(&Value) -> bool, value: &Value| {
        if is_done {
            is_sound(value)
        } else {
            value.is_null()
        }
    };
    let polarities = ["positive", "neutral", "negative"];
    check(
        analysis,
        &[
            ("status", &|status| {
                is_one_of(status, &["pending", "done", "dead"])
            }),
            ("polarity", &|value| {
                told(&|polarity| is_one_of(polarity, &polarities), value)
            }),
            ("score", &|value| {
                told(&|score| is_within(score, -1.0), value)
            }),
            ("confidence", &|value| {
                told(&|confidence| is_within(confidence, 0.0), value)
            }),
            ("safety", &|value| {
                told(&|safety| is_one_of(safety, &["ok", "dangerous"]), value)
            }),
            ("topics", &|topics| {
                let topics = topics.as_array();
                topics.is_some_and(|topics| topics.iter().all(Value::is_string))
            }),
            ("explanation", &|value| told(&Value::is_string, value)),
            ("model", &|value| told(&Value::is_string, value)),
        ],
    );
}
