//! People who are signed up and logged in before a run, over HTTP as anyone would. What was done is kept in a file, so
//! that the next run goes on from there.

use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hyper::{Method, StatusCode, header};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::engine::{Answer, Call, Connection, Keep, Options, Target};

/// Hashing a password is what takes the server time, so more at once would only wait longer.
const AT_ONCE: usize = 8;
/// So many are signed up between two writings of the file.
const BATCH: usize = 64;
/// Half of the 24 hours that a login counts: a soak that begins now still ends with it.
const RENEW_AFTER: chrono::TimeDelta = chrono::TimeDelta::hours(12);

/// Somebody who is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The account's number.
    pub id: i64,
    /// Its name.
    pub username: String,
    /// The value of the cookie `jwt`.
    pub token: String,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct State {
    /// The base URL that they are signed up at.
    base_url: String,
    /// What distinguishes their names from those of other runs.
    mark: String,
    /// Of all of them; made by chance, because the server may be reached by others.
    password: String,
    people: Vec<Person>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Person {
    #[serde(flatten)]
    account: Account,
    since: chrono::DateTime<chrono::Utc>,
}

impl State {
    fn new(target: &Target) -> Self {
        Self {
            base_url: target.url().to_owned(),
            mark: chance(6),
            password: chance(24),
            people: Vec::new(),
        }
    }

    fn read(path: &Path, target: &Target) -> Result<Self> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::new(target));
            }
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        };
        let state: Self = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} holds no accounts of this harness: name another file",
                path.display()
            )
        })?;
        // Another server has other people.
        Ok(if state.base_url == target.url() {
            state
        } else {
            Self::new(target)
        })
    }

    /// Whole or not at all, and for its owner only: there is a password in it.
    fn write(&self, path: &Path) -> Result<()> {
        let said = || format!("{} cannot be written", path.display());
        let new = path.with_extension("new");
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(said)?;
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .with_context(said)?;
        file.write_all(&serde_json::to_vec(self)?)
            .with_context(said)?;
        std::fs::rename(new, path).with_context(said)
    }

    fn credentials(&self, number: usize) -> (String, String) {
        let username = format!("lt-{}-{number}", self.mark);
        let body = format!(
            r#"{{"username":"{username}","password":"{}"}}"#,
            self.password
        );
        (username, body)
    }
}

/// Small letters and digits.
fn chance(length: usize) -> String {
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = rand::rng();
    (0..length)
        .map(|_| char::from(letters[random.random_range(0..letters.len())]))
        .collect()
}

/// Signs up and logs in until there are `count` people, and gives them. With a `state` file those of earlier runs are
/// taken first, logged in anew where their login is old or no longer holds; and a run that was ended in the middle has
/// lost nothing.
///
/// # Errors
/// When the server refuses; the sentence says what to do.
pub async fn join(target: &Target, count: usize, state: Option<&Path>) -> Result<Vec<Account>> {
    let mut all = match state {
        Some(path) => State::read(path, target)?,
        None => State::new(target),
    };
    if let Some(first) = all.people.first()
        && !holds(target, &first.account.token).await?
    {
        // The server was cleaned or has another secret. Who is still there is logged in, who is not is signed up.
        for person in &mut all.people {
            person.since = chrono::DateTime::UNIX_EPOCH;
        }
    }
    let now = now();
    let waiting: Vec<usize> = (0..count)
        .filter(|number| {
            all.people
                .get(*number)
                .is_none_or(|person| now - person.since > RENEW_AFTER)
        })
        .collect();
    for batch in waiting.chunks(BATCH) {
        let people: Vec<(usize, Account)> = stream::iter(batch)
            .map(|number| {
                let known = all.people.get(*number).map(|person| person.account.id);
                let (username, body) = all.credentials(*number);
                async move {
                    Ok::<_, anyhow::Error>((*number, enter(target, known, username, body).await?))
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for (number, account) in people {
            let person = Person {
                account,
                since: now,
            };
            match all.people.get_mut(number) {
                Some(place) => *place = person,
                None => all.people.push(person),
            }
        }
        if let Some(path) = state {
            all.write(path)?;
        }
    }
    Ok(all
        .people
        .into_iter()
        .take(count)
        .map(|person| person.account)
        .collect())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a harness has no clock to set; it ages its own file"
)]
fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

#[derive(Deserialize)]
struct LoginStatus {
    #[serde(rename = "isLoggedIn")]
    is_logged_in: bool,
}

/// Whether the server still takes this token.
async fn holds(target: &Target, token: &str) -> Result<bool> {
    let cookie = header::HeaderValue::try_from(format!("jwt={token}"));
    let call = Call::get(target.uri("/api/auth/loginstatus")?).by(cookie.as_ref().ok());
    let answer = ask(target, &mut connection(target), call).await?;
    let status: LoginStatus = serde_json::from_slice(&answer.body).with_context(|| {
        format!(
            "{} does not say whether one is logged in: is it Linnet?",
            target.url()
        )
    })?;
    Ok(status.is_logged_in)
}

fn connection(target: &Target) -> Connection {
    Connection::new(target.clone(), Options::default().timeout)
}

async fn ask(target: &Target, connection: &mut Connection, call: Call) -> Result<Answer> {
    let asked = connection.call(call, Keep::All).await;
    asked.with_context(|| {
        format!(
            "{} does not answer: start the stack first, with `make up`",
            target.url()
        )
    })
}

#[derive(Deserialize)]
struct SignedUp {
    #[serde(rename = "User created")]
    created: [Id; 1],
}

#[derive(Deserialize)]
struct Id {
    id: i64,
}

/// Logs somebody in who is `known`, or signs them up and then logs them in.
async fn enter(
    target: &Target,
    known: Option<i64>,
    username: String,
    body: String,
) -> Result<Account> {
    let mut connection = connection(target);
    if let Some(id) = known {
        let answer = log_in(target, &mut connection, &body).await?;
        if answer.status == StatusCode::OK {
            return Ok(Account {
                id,
                username,
                token: token(&answer)?,
            });
        }
        if answer.status != StatusCode::UNAUTHORIZED {
            return Err(refused("logging in", &answer));
        }
    }
    let call = Call::with(Method::POST, target.uri("/api/user/signup")?, body.clone());
    let answer = ask(target, &mut connection, call).await?;
    if answer.status != StatusCode::CREATED {
        return Err(refused("signing up", &answer));
    }
    let signed_up: SignedUp = serde_json::from_slice(&answer.body)
        .context("the answer to a sign-up names no account: is it Linnet?")?;
    let answer = log_in(target, &mut connection, &body).await?;
    if answer.status != StatusCode::OK {
        return Err(refused("logging in", &answer));
    }
    Ok(Account {
        id: signed_up.created[0].id,
        username,
        token: token(&answer)?,
    })
}

async fn log_in(target: &Target, connection: &mut Connection, body: &str) -> Result<Answer> {
    let call = Call::with(
        Method::POST,
        target.uri("/api/auth/login")?,
        body.to_owned(),
    );
    ask(target, connection, call).await
}

fn token(answer: &Answer) -> Result<String> {
    answer
        .headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|cookie| cookie.to_str().ok()?.strip_prefix("jwt="))
        .find_map(|rest| rest.split(';').next().filter(|token| !token.is_empty()))
        .map(str::to_owned)
        .context("the answer to a login has no cookie `jwt`: is it Linnet?")
}

fn refused(what: &str, answer: &Answer) -> anyhow::Error {
    let words = String::from_utf8_lossy(&answer.body);
    let words: String = words.chars().take(300).collect();
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        anyhow::anyhow!(
            "{what} was refused, because the server limits how often: start the stack with \
             `RATE_LIMITER=false make up` for a load test. Who is signed up already is kept"
        )
    } else {
        anyhow::anyhow!(
            "{what} was answered with status {}: {words}",
            answer.status.as_u16()
        )
    }
}

/// Has each of `people` follow the `each` who come after them in the list, so that their home timelines are not empty.
/// Doing it again changes nothing.
///
/// # Errors
/// When the server refuses.
pub async fn befriend(target: &Target, people: &[Account], each: usize) -> Result<()> {
    let each = each.min(people.len().saturating_sub(1));
    stream::iter(0..people.len())
        .map(|number| async move {
            let mut connection = connection(target);
            let cookie = header::HeaderValue::try_from(format!("jwt={}", people[number].token))?;
            for next in 1..=each {
                let other = &people[(number + next) % people.len()];
                let uri = target.uri(&format!("/api/user/{}/follow", other.id))?;
                let call = Call::with(Method::POST, uri, String::new()).by(Some(&cookie));
                let answer = ask(target, &mut connection, call).await?;
                if answer.status != StatusCode::OK {
                    return Err(refused("following", &answer));
                }
            }
            Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Waits until `target` answers at all.
///
/// # Errors
/// When it does not within `patience`.
pub async fn reach(target: &Target, patience: Duration) -> Result<()> {
    let mut connection = Connection::new(target.clone(), patience);
    let call = Call::get(target.uri("/api/auth/loginstatus")?);
    match connection.call(call, Keep::All).await {
        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => bail!(
            "{} refuses already the first request, because it limits how often: start the stack with \
             `RATE_LIMITER=false make up` for a load test",
            target.url()
        ),
        Ok(_) => Ok(()),
        Err(fault) => bail!(
            "nothing answers at {} ({}): {fault}. Start the stack with `make up`, or name another with --base-url",
            target.url(),
            target.address()
        ),
    }
}
