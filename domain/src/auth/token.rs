//! Tokens: JWT, HS256, 24 hours. A token only names a session; whether that still counts is in the database.

use chrono::{DateTime, Duration, Utc};
use clap::{Args, ValueEnum};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, crypto};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Session;
use crate::ids::UserId;

/// How long a login lasts.
pub const LIFETIME: Duration = Duration::hours(24);
/// Anybody can read this one, so it signs nothing outside development.
const DEVELOPMENT_SECRET: &str = "linnet development only, known to all";
/// HS256 wants a key as long as its hash (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;

/// Where the program runs, which decides how strict it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AppEnv {
    /// On somebody's desk: a known JWT_SECRET is good enough.
    Development,
    /// Anywhere else.
    Production,
}

/// The options of logging in.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logging in")]
pub struct AuthConfig {
    /// Signs the tokens; the same on every replica. At least 32 characters of chance, e.g. `openssl rand -base64 48`.
    #[arg(long, env, hide_env_values = true)]
    pub jwt_secret: Option<SecretString>,
    /// A second secret, whose tokens are believed as well while JWT_SECRET is changed; it signs nothing. How: docs/operations.md.
    #[arg(long, env, hide_env_values = true)]
    pub jwt_secret_previous: Option<SecretString>,
    /// Production refuses a missing JWT_SECRET, and any secret that is short or well known.
    #[arg(long, env, value_enum, default_value_t = AppEnv::Production)]
    pub app_env: AppEnv,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    sid: Uuid,
    iat: i64,
    exp: i64,
}

/// What a sound token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub user: UserId,
    pub session: Uuid,
}

/// Signs and reads tokens.
#[derive(Clone)]
pub struct Tokens {
    /// Signs, and is tried first when something is read.
    current: Keys,
    /// Reads what was signed with the other secret while one follows the other.
    previous: Option<Keys>,
    validation: Validation,
}

/// What one secret is good for.
#[derive(Clone)]
struct Keys {
    tokens: KeyPair,
    /// For what forms carry. Keys of their own, derived from the secret, so that nothing that a form holds could ever
    /// pass for a token.
    forms: KeyPair,
}

#[derive(Clone)]
struct KeyPair {
    signing: EncodingKey,
    reading: DecodingKey,
}

impl KeyPair {
    fn new(secret: &[u8]) -> Self {
        Self {
            signing: EncodingKey::from_secret(secret),
            reading: DecodingKey::from_secret(secret),
        }
    }
}

impl Keys {
    fn new(secret: &str) -> Result<Self, jsonwebtoken::errors::Error> {
        let tokens = KeyPair::new(secret.as_bytes());
        let forms = crypto::sign(b"linnet: forms", &tokens.signing, Algorithm::HS256)?;
        Ok(Self {
            tokens,
            forms: KeyPair::new(forms.as_bytes()),
        })
    }
}

impl Tokens {
    /// # Errors
    /// A sentence that names `JWT_SECRET` or `JWT_SECRET_PREVIOUS` when it is missing or weak outside development, or
    /// when both are the same.
    pub fn new(config: &AuthConfig) -> anyhow::Result<Self> {
        let development = config.app_env == AppEnv::Development;
        // Compose files pass on what is not set as an empty text.
        let previous = config.jwt_secret_previous.as_ref();
        let previous = previous
            .map(|secret| secret.expose_secret())
            .filter(|secret| !secret.is_empty());
        let secret = match &config.jwt_secret {
            Some(secret) => secret.expose_secret(),
            None if development => DEVELOPMENT_SECRET,
            None => anyhow::bail!(
                "JWT_SECRET is missing: set at least {SHORTEST_SECRET} characters of chance, e.g. from \
                 `openssl rand -base64 48`, the same on every replica"
            ),
        };
        demand_strength("JWT_SECRET", secret, development)?;
        if let Some(previous) = previous {
            demand_strength("JWT_SECRET_PREVIOUS", previous, development)?;
            anyhow::ensure!(
                previous != secret,
                "JWT_SECRET_PREVIOUS is the same as JWT_SECRET: set it to the other secret of the change, or leave it out"
            );
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Ok(Self {
            current: Keys::new(secret)?,
            previous: previous.map(Keys::new).transpose()?,
            validation,
        })
    }

    /// The keys that may have signed what is to be read. Each signature is compared in constant time; which key fits is
    /// no secret.
    fn keys(&self) -> impl Iterator<Item = &Keys> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// What a form of this session must carry to be believed: another site can neither read nor guess it. Another one at
    /// each call, so that its letters cannot be found out by how well pages that repeat it compress.
    ///
    /// # Errors
    /// Never, with a key of this kind.
    pub fn csrf(&self, session: &Session) -> crate::Result<String> {
        let nonce = Uuid::new_v4().simple().to_string();
        let message = form_message(&nonce, session);
        let mac = crypto::sign(&message, &self.current.forms.signing, Algorithm::HS256);
        Ok(format!("{nonce}.{}", mac.map_err(crate::Error::internal)?))
    }

    /// Whether a form's token was made for this session, compared in constant time.
    #[must_use]
    pub fn csrf_fits(&self, session: &Session, token: &str) -> bool {
        let Some((nonce, mac)) = token.split_once('.') else {
            return false;
        };
        let message = form_message(nonce, session);
        self.keys().any(|keys| {
            let key = &keys.forms.reading;
            crypto::verify(mac, &message, key, Algorithm::HS256).unwrap_or(false)
        })
    }

    pub(super) fn sign(
        &self,
        ticket: Ticket,
        now: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            sub: ticket.user.to_string(),
            sid: ticket.session,
            iat: now.timestamp(),
            exp: (now + LIFETIME).timestamp(),
        };
        let key = &self.current.tokens.signing;
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key)
    }

    /// What the token says if we signed it and it has not expired.
    pub(super) fn read(&self, token: &str) -> Option<Ticket> {
        let claims = self.keys().find_map(|keys| {
            jsonwebtoken::decode::<Claims>(token, &keys.tokens.reading, &self.validation).ok()
        })?;
        let claims = claims.claims;
        Some(Ticket {
            user: UserId(claims.sub.parse().ok()?),
            session: claims.sid,
        })
    }

    /// Whose token this is, by its signature alone and without asking whether its session still counts: good
    /// enough to tell callers apart, never to let one in.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Option<UserId> {
        self.read(token).map(|ticket| ticket.user)
    }
}

fn form_message(nonce: &str, session: &Session) -> Vec<u8> {
    format!("{nonce}.{}", session.id.simple()).into_bytes()
}

/// Refuses a weak secret outside development, where it only warns.
fn demand_strength(name: &str, secret: &str, development: bool) -> anyhow::Result<()> {
    if let Some(fault) = weakness(secret) {
        anyhow::ensure!(
            development,
            "{name} {fault}: set at least {SHORTEST_SECRET} characters of chance, e.g. from \
             `openssl rand -base64 48` (APP_ENV=development would let it pass)"
        );
        tracing::warn!("{name} {fault}; this is let pass in development only");
    }
    Ok(())
}

/// What is wrong with a secret, as the end of the sentence "JWT_SECRET …".
fn weakness(secret: &str) -> Option<&'static str> {
    const KNOWN: [&str; 8] = [
        "secret",
        "changeme",
        "change-me",
        "change_me",
        "default",
        "password",
        "example",
        "development",
    ];
    let distinct = secret
        .bytes()
        .collect::<std::collections::HashSet<_>>()
        .len();
    let lower = secret.to_ascii_lowercase();
    if secret.len() < SHORTEST_SECRET {
        Some("is too short")
    } else if KNOWN.iter().any(|word| lower.contains(word)) {
        Some("looks like a default")
    } else if distinct < 12 {
        Some("repeats itself")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config(secret: Option<&str>, app_env: AppEnv) -> AuthConfig {
        AuthConfig {
            jwt_secret: secret.map(Into::into),
            jwt_secret_previous: None,
            app_env,
        }
    }

    const GOOD: &str = "q8Zt1vXw93LkYb7Rj2Nf5Hs0Pd6Gm4Ca";
    const ANOTHER: &str = "Zt1vXw93LkYb7Rj2Nf5Hs0Pd6Gm4Ca9q";

    /// A replica in the middle of a change of secrets.
    fn changing(secret: &str, previous: &str) -> anyhow::Result<Tokens> {
        Tokens::new(&AuthConfig {
            jwt_secret_previous: Some(previous.into()),
            ..config(Some(secret), AppEnv::Production)
        })
    }

    fn session(id: Uuid) -> Session {
        let user = crate::users::User {
            id: UserId(7),
            username: "ada".into(),
        };
        Session { user, id }
    }

    fn now() -> DateTime<Utc> {
        crate::clock::Clock::System.now()
    }

    #[test]
    fn outside_development_a_weak_secret_stops_the_program_with_its_name() {
        let weak = [
            None,
            Some(""),
            Some("brief"),
            Some("my-super-secret-key-that-is-long-enough-0123456789"),
            Some("changeme-changeme-changeme-changeme-changeme"),
            Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            Some(DEVELOPMENT_SECRET),
        ];
        for secret in weak {
            let refusal = Tokens::new(&config(secret, AppEnv::Production))
                .err()
                .unwrap();
            assert!(refusal.to_string().starts_with("JWT_SECRET "), "{refusal}");
            assert!(secret.is_none_or(|s| s.is_empty() || !refusal.to_string().contains(s)));
            assert!(Tokens::new(&config(secret, AppEnv::Development)).is_ok());
        }
        assert!(Tokens::new(&config(Some(GOOD), AppEnv::Production)).is_ok());
    }

    #[test]
    fn a_token_is_read_back_until_it_expires_and_only_under_its_secret() {
        let tokens = Tokens::new(&config(Some(GOOD), AppEnv::Production)).unwrap();
        let ticket = Ticket {
            user: UserId(7),
            session: Uuid::new_v4(),
        };
        let token = tokens.sign(ticket, now()).unwrap();
        assert_eq!(tokens.read(&token), Some(ticket));
        let old = tokens
            .sign(ticket, now() - LIFETIME - Duration::seconds(2))
            .unwrap();
        assert_eq!(tokens.read(&old), None);
        let other = Tokens::new(&config(None, AppEnv::Development)).unwrap();
        assert_eq!(other.read(&token), None);
        // The algorithm is ours to choose: {"alg":"none"} with the same claims and no signature.
        let claims = token.split('.').nth(1).unwrap();
        assert_eq!(tokens.read(&format!("eyJhbGciOiJub25lIn0.{claims}.")), None);
    }

    #[test]
    fn a_form_is_believed_in_its_own_session_only() {
        let tokens = Tokens::new(&config(Some(GOOD), AppEnv::Production)).unwrap();
        let (mine, other) = (session(Uuid::new_v4()), session(Uuid::new_v4()));
        let token = tokens.csrf(&mine).unwrap();
        assert!(tokens.csrf_fits(&mine, &token));
        assert!(!tokens.csrf_fits(&other, &token));
        assert_ne!(tokens.csrf(&mine).unwrap(), token, "each has its own nonce");
        for wrong in ["", ".", "x", "x.y", &token[1..], &token[..token.len() - 1]] {
            assert!(!tokens.csrf_fits(&mine, wrong), "{wrong:?}");
        }
        let another = Tokens::new(&config(None, AppEnv::Development)).unwrap();
        assert!(!another.csrf_fits(&mine, &token));
    }

    #[test]
    fn while_secrets_change_both_are_believed_and_the_first_signs() {
        let (old, new) = (
            Tokens::new(&config(Some(GOOD), AppEnv::Production)).unwrap(),
            Tokens::new(&config(Some(ANOTHER), AppEnv::Production)).unwrap(),
        );
        let ticket = Ticket {
            user: UserId(7),
            session: Uuid::new_v4(),
        };
        let session = session(ticket.session);
        // The steps of a change: the new secret is believed everywhere before anybody signs with it.
        for (signer, replica) in [
            (&old, changing(GOOD, ANOTHER).unwrap()),
            (&new, changing(ANOTHER, GOOD).unwrap()),
        ] {
            for side in [&old, &new] {
                let token = side.sign(ticket, now()).unwrap();
                assert_eq!(replica.read(&token), Some(ticket));
                assert_eq!(replica.bearer(&token), Some(UserId(7)));
                assert!(replica.csrf_fits(&session, &side.csrf(&session).unwrap()));
            }
            let token = replica.sign(ticket, now()).unwrap();
            let form = replica.csrf(&session).unwrap();
            assert_eq!(signer.read(&token), Some(ticket));
            assert!(signer.csrf_fits(&session, &form));
            let other = if std::ptr::eq(signer, &old) {
                &new
            } else {
                &old
            };
            assert_eq!(other.read(&token), None);
            assert!(!other.csrf_fits(&session, &form));
            let expired = other.sign(ticket, now() - LIFETIME - Duration::seconds(2));
            assert_eq!(replica.read(&expired.unwrap()), None);
            let stranger = Tokens::new(&config(None, AppEnv::Development)).unwrap();
            let token = stranger.sign(ticket, now()).unwrap();
            assert_eq!(replica.read(&token), None);
        }
    }

    #[test]
    fn the_secret_before_is_held_to_the_same_rules() {
        for weak in ["brief", DEVELOPMENT_SECRET] {
            let refusal = changing(GOOD, weak).err().unwrap().to_string();
            assert!(refusal.starts_with("JWT_SECRET_PREVIOUS "), "{refusal}");
            assert!(!refusal.contains(weak), "{refusal}");
        }
        let refusal = changing(GOOD, GOOD).err().unwrap().to_string();
        assert!(refusal.contains("the same as JWT_SECRET"), "{refusal}");
        assert!(changing(GOOD, "").is_ok(), "empty is none");
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_none_and_never_a_panic(text: String) {
            let tokens = Tokens::new(&config(Some(GOOD), AppEnv::Production)).unwrap();
            prop_assert_eq!(tokens.read(&text), None);
        }
    }
}
