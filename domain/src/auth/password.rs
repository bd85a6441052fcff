//! Passwords: argon2id for ours, bcrypt for those that came from the Node service.

use std::{sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::{Error, Result, error::Violation};

/// How long a login waits for its turn to be hashed before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// A new password: 8 to 256 characters (Unicode scalar values).
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// # Errors
    /// When `raw` breaks the rule above; the value itself is never repeated.
    pub fn parse(raw: String) -> Result<Self, Violation> {
        let length = raw.chars().count();
        if (8..=256).contains(&length) {
            Ok(Self(raw.into()))
        } else {
            Err(Violation {
                field: "password",
                rule: "have 8 to 256 characters".into(),
                length: Some(length),
            })
        }
    }
}

/// What checking a password found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Wrong,
    Right,
    /// Right, but the hash is the Node service's and is due for ours.
    RightButOld,
}

/// Hashes passwords on threads of their own, a few at a time: a hash takes tens of milliseconds and 19 MiB, which
/// would stall the async threads, and a storm of logins would take all memory.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// A hash that no password matches, checked for names that do not exist, so that they take as long.
    decoy: Arc<str>,
}

impl Passwords {
    /// A hasher for this machine: one hash per core at a time.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let unguessable = uuid::Uuid::new_v4();
        Ok(Self {
            turns: Arc::new(Semaphore::new(cores)),
            decoy: hash(unguessable.as_bytes())
                .map_err(|error| anyhow::anyhow!("cannot hash a password: {error}"))?
                .into(),
        })
    }

    /// The argon2id hash of a new password, in PHC form, with the library's default cost (19 MiB, two passes, one
    /// lane: OWASP's first recommendation).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait.
    pub async fn hash(&self, password: &Password) -> Result<String> {
        self.rehash(password.0.clone()).await
    }

    /// The same for a password that was right before our rule for new ones.
    pub(super) async fn rehash(&self, password: SecretString) -> Result<String> {
        self.take_turn(move || {
            hash(password.expose_secret().as_bytes())
                .map_err(|error| Error::internal(error.to_string()))
        })
        .await?
    }

    /// Checks `password` against `hash`, or for as long against nothing.
    pub(super) async fn check(
        &self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<Check> {
        let (hash, known) = match hash {
            Some(hash) => (hash, true),
            None => (self.decoy.to_string(), false),
        };
        let found = self
            .take_turn(move || verify(password.expose_secret().as_bytes(), &hash))
            .await?;
        Ok(if known { found } else { Check::Wrong })
    }

    async fn take_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| Error::Unavailable {
                what: "login",
                why: "too many passwords are waiting to be hashed".into(),
                retry_after: PATIENCE,
            })?
            .map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(Error::internal)
    }
}

fn hash(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password)?.to_string())
}

fn verify(password: &[u8], hash: &str) -> Check {
    let (right, old) = if hash.starts_with("$2") {
        (bcrypt::verify(password, hash).unwrap_or(false), true)
    } else {
        let right = PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok());
        (right, false)
    };
    match (right, old) {
        (false, _) => Check::Wrong,
        (true, false) => Check::Right,
        (true, true) => Check::RightButOld,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_8_to_256_characters() {
        for (length, fits) in [(7, false), (8, true), (256, true), (257, false)] {
            assert_eq!(
                Password::parse("ü".repeat(length)).is_ok(),
                fits,
                "{length}"
            );
        }
    }

    #[test]
    fn hashes_of_both_kinds_are_checked() {
        let ours = hash(b"correct horse").unwrap();
        assert!(
            ours.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{ours}"
        );
        assert_eq!(verify(b"correct horse", &ours), Check::Right);
        assert_eq!(verify(b"wrong", &ours), Check::Wrong);
        let node = bcrypt::hash("correct horse", 4).unwrap();
        assert!(node.starts_with("$2b$"), "{node}");
        assert_eq!(verify(b"correct horse", &node), Check::RightButOld);
        assert_eq!(verify(b"wrong", &node), Check::Wrong);
        assert_eq!(verify(b"", ""), Check::Wrong);
    }
}
