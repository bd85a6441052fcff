//! One verdict for texts that are alike: kept in Redis for a day under the text's hash and the name of who judged it,
//! and within a process two that come at the same moment ask once. Redis failing never fails a verdict.

use std::{fmt::Write as _, time::Duration};

use deadpool_redis::redis;
use moka::future::Cache;
use prometheus::{IntCounterVec, Opts, Registry};
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

use super::{Explain, Identity, LlmError};
use crate::{
    analysis::Verdict,
    redis::{Redis, RedisDown},
};

/// A verdict leaves the process' own memory as soon as it is there, since Redis has it then; this is for the case that
/// the one who asked for it is gone at that moment.
const LEFT_BEHIND: Duration = Duration::from_secs(10);

/// What became of a look for a verdict on a text of the same words.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// It was there, or somebody was asking for it.
    Hit,
    /// The model was asked.
    Miss,
    /// LLM_SHARE_SECONDS is 0.
    Off,
    /// Redis did not answer, or the model did not say who it is; the model was asked.
    Error,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Off => "off",
            Self::Error => "error",
        }
    }
}

/// The SHA-256 of who judges and what; the text itself does not go to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key([u8; 32]);

impl Key {
    fn new(identity: &Identity, text: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [&identity.model, &identity.prompt_version] {
            // With its length, or the end of one could be the beginning of the next.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(normalise(text));
        Self(hash.finalize().into())
    }

    fn name(self) -> String {
        let mut name = String::from("llm:verdict:");
        for byte in self.0 {
            let _a_string_takes_everything = write!(name, "{byte:02x}");
        }
        name
    }
}

/// The text up to what no reader sees: composed characters, single spaces. Capitals stay, they carry mood.
fn normalise(text: &str) -> String {
    let composed: String = text.nfc().collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// See the module.
pub(super) struct Shared {
    redis: Redis,
    seconds: u64,
    under_way: Cache<(Key, Explain), Verdict>,
    verdicts: IntCounterVec,
}

impl Shared {
    /// Keeps verdicts for so many seconds; 0 keeps none.
    pub fn new(redis: Redis, seconds: u64, registry: &Registry) -> anyhow::Result<Self> {
        let verdicts = IntCounterVec::new(
            Opts::new(
                "llm_shared_verdicts_total",
                "Verdicts by where they came from: hit (shared by an equal text), miss, off or error (the model)",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(verdicts.clone()))?;
        for outcome in [Outcome::Hit, Outcome::Miss, Outcome::Off, Outcome::Error] {
            verdicts.with_label_values(&[outcome.as_str()]);
        }
        Ok(Self {
            redis,
            seconds,
            under_way: Cache::builder().time_to_live(LEFT_BEHIND).build(),
            verdicts,
        })
    }

    /// Whether anything is shared at all.
    pub fn is_on(&self) -> bool {
        self.seconds > 0
    }

    /// The verdict of `identity` on `text`: one that is there, or what `ask` brings. Without an identity there is
    /// none to be found. A verdict that was found cost no tokens and says so.
    pub async fn verdict(
        &self,
        identity: Option<&Identity>,
        text: &str,
        explain: Explain,
        ask: impl Future<Output = Result<Verdict, LlmError>>,
    ) -> Result<Verdict, LlmError> {
        let Some(identity) = identity else {
            self.count(if self.is_on() {
                Outcome::Error
            } else {
                Outcome::Off
            });
            return ask.await;
        };
        let key = (Key::new(identity, text), explain);
        // If the one who asks goes away meanwhile, the next in line asks instead.
        let entry = self
            .under_way
            .entry(key)
            .or_try_insert_with(self.find_or_ask(identity, text, explain, ask))
            .await
            .map_err(|error| LlmError::clone(&error))?;
        if entry.is_fresh() {
            self.under_way.invalidate(&key).await;
            return Ok(entry.into_value());
        }
        self.count(Outcome::Hit);
        Ok(free(entry.into_value()))
    }

    async fn find_or_ask(
        &self,
        identity: &Identity,
        text: &str,
        explain: Explain,
        ask: impl Future<Output = Result<Verdict, LlmError>>,
    ) -> Result<Verdict, LlmError> {
        match self.find(Key::new(identity, text)).await {
            Ok(Some(verdict)) if serves(&verdict, identity, explain) => {
                self.count(Outcome::Hit);
                return Ok(free(verdict));
            }
            Ok(_) => self.count(Outcome::Miss),
            Err(_) => self.count(Outcome::Error),
        }
        let verdict = ask.await?;
        let _not_worth_failing = self.keep(text, &verdict, explain).await;
        Ok(verdict)
    }

    async fn find(&self, key: Key) -> Result<Option<Verdict>, RedisDown> {
        let name = self.redis.key(&key.name());
        let stored: Option<Vec<u8>> = self
            .redis
            .optional(|mut connection| async move {
                redis::cmd("GET")
                    .arg(name)
                    .query_async(&mut connection)
                    .await
            })
            .await?;
        // What an older version wrote and this one cannot read is as good as nothing.
        Ok(stored.and_then(|bytes| {
            serde_json::from_slice::<Verdict>(&bytes)
                .ok()?
                .checked()
                .ok()
        }))
    }

    async fn keep(&self, text: &str, verdict: &Verdict, explain: Explain) -> Result<(), RedisDown> {
        // Under the name of who did judge: another model may have come since it was asked who would.
        let key = Key::new(&Identity::of(verdict), text);
        let Ok(value) = serde_json::to_vec(verdict) else {
            return Ok(());
        };
        let mut set = redis::cmd("SET");
        set.arg(self.redis.key(&key.name()))
            .arg(value)
            .arg("EX")
            .arg(self.seconds);
        if explain == Explain::Danger {
            // One with an explanation, written meanwhile, is the better one.
            set.arg("NX");
        }
        self.redis
            .optional(|mut connection| async move { set.exec_async(&mut connection).await })
            .await
    }

    fn count(&self, outcome: Outcome) {
        self.verdicts.with_label_values(&[outcome.as_str()]).inc();
    }
}

/// Whether a verdict that was found is what was asked for.
fn serves(verdict: &Verdict, identity: &Identity, explain: Explain) -> bool {
    let explained = explain == Explain::Danger || !verdict.explanation.is_empty();
    explained && Identity::of(verdict) == *identity
}

/// The verdict for somebody it cost nothing, so that sums of tokens stay true.
fn free(verdict: Verdict) -> Verdict {
    Verdict {
        tokens: 0,
        ..verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(model: &str, prompt_version: &str) -> Identity {
        Identity {
            model: model.into(),
            prompt_version: prompt_version.into(),
        }
    }

    #[test]
    fn texts_that_read_the_same_have_one_key_and_others_have_not() {
        let key = |text| Key::new(&identity("m", "1"), text);
        assert_eq!(
            key("caf\u{e9} au lait"),
            key(" cafe\u{301}\tau \n lait\u{a0}")
        );
        for other in ["Café au lait", "café aulait", "cafe au lait", ""] {
            assert_ne!(key("café au lait"), key(other), "{other}");
        }
    }

    #[test]
    fn another_model_or_other_prompts_have_another_key() {
        let key = |model, prompts| Key::new(&identity(model, prompts), "text");
        assert_ne!(key("m", "1"), key("m", "2"));
        assert_ne!(key("m", "1"), key("n", "1"));
        assert_ne!(key("m1", "2"), key("m", "12"));
        let name = key("m", "1").name();
        assert_eq!(name.len(), "llm:verdict:".len() + 64, "{name}");
    }
}
