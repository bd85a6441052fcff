//! Having old posts judged again: which ones, and the mark that says so. From there on they go the way of every post
//! (`mod.rs`), behind the new ones; what their first verdict says stays to be seen until the second replaces it.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{Safety, queries::reanalysis as queries};
use crate::Result;

/// Posts looked through in one transaction, so that none takes long however many posts there are.
const WINDOW: i64 = 2_000;

/// What a name recorded with a verdict must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// This one.
    Is(String),
    /// Any other, or none.
    IsNot(String),
}

/// What a verdict must be for its post to be judged again. Written as the options of `api reanalyze` are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `all`: anything.
    All,
    /// `model=NAME`, `model!=NAME`: by which model.
    Model(NameRule),
    /// `prompt_version=NAME`, `prompt_version!=NAME`: with which prompts.
    PromptVersion(NameRule),
    /// `before=TIME`: given before this time.
    Before(DateTime<Utc>),
    /// `safety=ok`, `safety=dangerous`.
    Safety(Safety),
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "all" {
            return Ok(Self::All);
        }
        let (name, value) = text.split_once('=').ok_or_else(|| not_known(text))?;
        let (name, negated) = match name.strip_suffix('!') {
            Some(name) => (name.trim(), true),
            None => (name.trim(), false),
        };
        let value = value.trim();
        if let Some(value) = value.strip_prefix('=') {
            return Err(format!("one = is enough: {name}={}", value.trim()));
        }
        let known = |value: &str| match (value, negated) {
            ("", _) => Err(format!("say which {name}, for example {name}=NAME")),
            (value, true) => Ok(NameRule::IsNot(value.to_owned())),
            (value, false) => Ok(NameRule::Is(value.to_owned())),
        };
        match (name, negated) {
            ("model", _) => known(value).map(Self::Model),
            ("prompt_version", _) => known(value).map(Self::PromptVersion),
            ("before", false) => DateTime::parse_from_rfc3339(value)
                .map(|time| Self::Before(time.to_utc()))
                .map_err(|error| {
                    format!(
                        "before= takes a time such as 2026-01-31T00:00:00Z, and {value:?} is none: {error}"
                    )
                }),
            ("safety", false) => match value {
                "ok" => Ok(Self::Safety(Safety::Ok)),
                "dangerous" => Ok(Self::Safety(Safety::Dangerous)),
                _ => Err("safety= takes ok or dangerous".into()),
            },
            ("before" | "safety", true) => Err(format!("{name} takes = and not !=")),
            _ => Err(not_known(text)),
        }
    }
}

fn not_known(text: &str) -> String {
    format!(
        "{text:?} is no condition; there are model=NAME, model!=NAME, prompt_version=NAME, prompt_version!=NAME, \
         before=TIME, safety=ok, safety=dangerous, and all"
    )
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |f: &mut fmt::Formatter<'_>, what, name: &NameRule| match name {
            NameRule::Is(name) => write!(f, "{what}={name}"),
            NameRule::IsNot(name) => write!(f, "{what}!={name}"),
        };
        match self {
            Self::All => f.write_str("all"),
            Self::Model(name) => named(f, "model", name),
            Self::PromptVersion(name) => named(f, "prompt_version", name),
            Self::Before(time) => write!(f, "before={}", time.to_rfc3339()),
            Self::Safety(safety) => write!(f, "safety={}", safety.as_str()),
        }
    }
}

/// Conditions as parameters of one statement: every name of the one list must be the verdict's, none of the other
/// may, and an empty list or no time is no condition.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub models: Vec<String>,
    pub other_models: Vec<String>,
    pub prompt_versions: Vec<String>,
    pub other_prompt_versions: Vec<String>,
    pub before: Option<DateTime<Utc>>,
    pub safeties: Vec<String>,
}

impl Filter {
    fn new(conditions: &[Condition]) -> Self {
        let mut filter = Self::default();
        for condition in conditions.iter().cloned() {
            match condition {
                Condition::All => {}
                Condition::Model(NameRule::Is(name)) => filter.models.push(name),
                Condition::Model(NameRule::IsNot(name)) => filter.other_models.push(name),
                Condition::PromptVersion(NameRule::Is(name)) => filter.prompt_versions.push(name),
                Condition::PromptVersion(NameRule::IsNot(name)) => {
                    filter.other_prompt_versions.push(name);
                }
                Condition::Before(time) => {
                    filter.before = Some(filter.before.map_or(time, |known| known.min(time)));
                }
                Condition::Safety(safety) => filter.safeties.push(safety.as_str().to_owned()),
            }
        }
        filter
    }
}

/// How far [`reanalyze`] is; in the end, what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reanalysis {
    /// Numbers of posts looked through.
    pub seen: i64,
    /// The same when it has ended: the newest post's number.
    pub of: i64,
    /// Posts whose verdict meets every condition.
    pub matched: u64,
    /// Of these, how many waited for another verdict already.
    pub waiting: u64,
    /// Of these, how many wait for one since this run.
    pub marked: u64,
}

/// Marks posts whose verdict meets every one of `conditions` as to be judged again, the newest first, at most `limit`
/// of them. Doing it twice is doing it once: a post that waits already is not marked again. `progress` hears of every
/// few thousand posts.
///
/// A post that is being changed in the same moment is passed over; a later run finds it if it still matches.
///
/// # Errors
/// When PostgreSQL is down; what was marked until then stays marked.
pub async fn reanalyze(
    db: &PgPool,
    conditions: &[Condition],
    limit: u64,
    mut progress: impl FnMut(&Reanalysis),
) -> Result<Reanalysis> {
    let filter = Filter::new(conditions);
    let newest = queries::newest(db).await?;
    let mut so_far = Reanalysis {
        of: newest,
        ..Reanalysis::default()
    };
    while so_far.seen < newest {
        let to = newest - so_far.seen;
        let from = (to - WINDOW).max(0);
        let matching = queries::count_matching(db, from, to, &filter).await?;
        let left = limit.saturating_sub(so_far.marked);
        let mut marked = 0;
        if left > 0 && matching.matched > matching.waiting {
            let left = i64::try_from(left).unwrap_or(i64::MAX);
            marked = queries::mark_stale(db, from, to, &filter, left).await?;
        }
        so_far.seen = newest - from;
        so_far.matched += matching.matched.unsigned_abs();
        so_far.waiting += matching.waiting.unsigned_abs();
        so_far.marked += marked;
        progress(&so_far);
    }
    Ok(so_far)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Condition {
        text.parse().unwrap()
    }

    #[test]
    fn a_condition_is_read_as_it_is_meant() {
        let name = |name: &str| name.to_owned();
        assert_eq!(parse("all"), Condition::All);
        assert_eq!(parse("model=a"), Condition::Model(NameRule::Is(name("a"))));
        assert_eq!(
            parse("model!=a"),
            Condition::Model(NameRule::IsNot(name("a")))
        );
        assert_eq!(
            parse(" model != meta/Llama 3.2 "),
            Condition::Model(NameRule::IsNot(name("meta/Llama 3.2")))
        );
        assert_eq!(
            parse("model=a!=b=c"),
            Condition::Model(NameRule::Is(name("a!=b=c")))
        );
        assert_eq!(
            parse("prompt_version=3"),
            Condition::PromptVersion(NameRule::Is(name("3")))
        );
        assert_eq!(
            parse("prompt_version!=3"),
            Condition::PromptVersion(NameRule::IsNot(name("3")))
        );
        assert_eq!(
            parse("before=2026-01-31T01:00:00+01:00"),
            parse("before=2026-01-31T00:00:00Z")
        );
        assert_eq!(
            parse("safety=dangerous"),
            Condition::Safety(Safety::Dangerous)
        );
        assert_eq!(parse("safety=ok"), Condition::Safety(Safety::Ok));
    }

    #[test]
    fn what_is_no_condition_is_refused_with_the_reason() {
        for (text, says) in [
            ("", "is no condition; there are model=NAME"),
            ("All", "is no condition"),
            ("all=1", "is no condition"),
            ("polarity=positive", "is no condition"),
            ("model", "is no condition"),
            ("model<>a", "is no condition"),
            ("=a", "is no condition"),
            ("1=1; DROP TABLE posts", "is no condition"),
            ("model=", "say which model"),
            ("model!= ", "say which model"),
            ("prompt_version=", "say which prompt_version"),
            ("model==a", "one = is enough: model=a"),
            ("before=yesterday", "takes a time such as"),
            ("before=2026-01-31", "takes a time such as"),
            ("before!=2026-01-31T00:00:00Z", "takes = and not !="),
            ("safety!=ok", "takes = and not !="),
            ("safety=OK", "takes ok or dangerous"),
        ] {
            let refusal = text.parse::<Condition>().unwrap_err();
            assert!(refusal.contains(says), "{text}: {refusal}");
        }
    }

    #[test]
    fn of_two_times_the_earlier_counts() {
        let [earlier, later] = ["before=2025-01-01T00:00:00Z", "before=2026-01-01T00:00:00Z"];
        for conditions in [[earlier, later], [later, earlier]] {
            let filter = Filter::new(&conditions.map(parse));
            assert_eq!(parse(earlier), Condition::Before(filter.before.unwrap()));
        }
    }

    fn any_condition() -> impl Strategy<Value = Condition> {
        let name = "[!-<>-~]([ -~]{0,30}[!-~])?";
        let named = (any::<bool>(), name).prop_map(|(is, name)| match is {
            true => NameRule::Is(name),
            false => NameRule::IsNot(name),
        });
        prop_oneof![
            Just(Condition::All),
            named.clone().prop_map(Condition::Model),
            named.prop_map(Condition::PromptVersion),
            (0_i64..4_000_000_000).prop_map(|seconds| Condition::Before(
                DateTime::from_timestamp(seconds, 0).unwrap()
            )),
            Just(Condition::Safety(Safety::Ok)),
            Just(Condition::Safety(Safety::Dangerous)),
        ]
    }

    proptest! {
        #[test]
        fn a_condition_is_read_as_it_is_written(condition in any_condition()) {
            prop_assert_eq!(condition.to_string().parse::<Condition>(), Ok(condition));
        }

        #[test]
        fn any_text_is_a_condition_or_refused_and_never_panics(text: String) {
            if let Ok(condition) = text.parse::<Condition>() {
                prop_assert_eq!(condition.to_string().parse::<Condition>(), Ok(condition));
            }
        }

        #[test]
        fn anything_after_a_known_name_is_a_name_or_refused_and_never_panics(value: String) {
            if let Ok(condition) = format!("model={value}").parse::<Condition>() {
                prop_assert_eq!(condition, Condition::Model(NameRule::Is(value.trim().to_owned())));
            }
        }
    }
}
