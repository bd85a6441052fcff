//! What a simulated user does. One turn of a user is one act, chosen by its share.

mod live;
mod words;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use hyper::{Method, StatusCode, header::HeaderValue};
use rand::{RngExt as _, seq::IndexedRandom as _};
use serde::Deserialize;

use self::live::Live;
pub use self::live::follow_first;
use crate::{
    accounts::Account,
    engine::{Call, Connection, Keep, Measured, Options, Target, User},
};

/// One of the things a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Feed,
    One,
    Home,
    Post,
    Edit,
    Like,
    Follow,
    SignUp,
    Live,
}

/// Who acts.
struct Actor {
    id: i64,
    cookie: HeaderValue,
}

/// What users do, by whom and with which posts. Cheap to clone.
#[derive(Clone)]
pub struct Scenario {
    name: &'static str,
    /// Each act with the sum of the shares up to and including it.
    acts: Arc<[(u32, Act)]>,
    actors: Arc<[Actor]>,
    ids: Arc<[i64]>,
    signed_up: Arc<AtomicU64>,
    live: Arc<Live>,
}

impl Scenario {
    fn new(name: &'static str, acts: &[(u32, Act)], accounts: &[Account], ids: Vec<i64>) -> Self {
        let mut sum = 0;
        let acts = acts.iter().map(|(share, act)| {
            sum += share;
            (sum, *act)
        });
        Self {
            name,
            acts: acts.collect(),
            actors: accounts
                .iter()
                .filter_map(|account| {
                    // A token is letters, digits, dots and dashes; one that is not would be refused anyway.
                    let cookie = HeaderValue::try_from(format!("jwt={}", account.token)).ok()?;
                    Some(Actor {
                        id: account.id,
                        cookie,
                    })
                })
                .collect(),
            ids: ids.into(),
            signed_up: Arc::default(),
            live: Arc::default(),
        }
    }

    /// The first page of the feed, by people who are not logged in: `GET /api/posts`.
    #[must_use]
    pub fn read_feed() -> Self {
        Self::new("read-feed", &[(1, Act::Feed)], &[], Vec::new())
    }

    /// One of these posts at random, by people who are not logged in: `GET /api/posts/:id`.
    #[must_use]
    pub fn read_one(ids: Vec<i64>) -> Self {
        Self::new("read-one", &[(1, Act::One)], &[], ids)
    }

    /// Writing: `POST /api/posts`.
    #[must_use]
    pub fn post(accounts: &[Account]) -> Self {
        Self::new("post", &[(1, Act::Post)], accounts, Vec::new())
    }

    /// A day on a microblog: 90 % reads (home, the feed, single posts), 8 % posts, 1 % likes, 1 % follows.
    #[must_use]
    pub fn mixed(accounts: &[Account], ids: Vec<i64>) -> Self {
        let acts = [
            (45, Act::Home),
            (30, Act::Feed),
            (15, Act::One),
            (8, Act::Post),
            (1, Act::Like),
            (1, Act::Follow),
        ];
        Self::new("mixed", &acts, accounts, ids)
    }

    /// The same with only the calls that the Node service has too: 90 % reads (the feed, single posts), 8 % posts, 2 %
    /// changes of an own post.
    #[must_use]
    pub fn mixed_contract(accounts: &[Account], ids: Vec<i64>) -> Self {
        let acts = [
            (60, Act::Feed),
            (30, Act::One),
            (8, Act::Post),
            (2, Act::Edit),
        ];
        Self::new("mixed-contract", &acts, accounts, ids)
    }

    /// The home timelines of these people: `GET /api/home`.
    #[must_use]
    pub fn home(accounts: &[Account]) -> Self {
        Self::new("home", &[(1, Act::Home)], accounts, Vec::new())
    }

    /// New people: each turn signs somebody up and logs them in.
    #[must_use]
    pub fn signup_storm() -> Self {
        Self::new("signup-storm", &[(1, Act::SignUp)], &[], Vec::new())
    }

    /// Streams of events: user 0 writes a post each second, the others listen, [`live::STREAMS_EACH`] by an account.
    /// The accounts follow the first of them (see [`follow_first`]).
    #[must_use]
    pub fn live(accounts: &[Account]) -> Self {
        Self::new("live", &[(1, Act::Live)], accounts, Vec::new())
    }

    /// How many accounts [`Scenario::live`] needs for so many listeners.
    #[must_use]
    pub fn accounts_for_live(listeners: usize) -> usize {
        Live::accounts_for(listeners)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its acts have what they need.
    ///
    /// # Errors
    /// When there are no accounts or posts and there should be.
    pub fn check(&self) -> Result<()> {
        for (_, act) in self.acts.iter() {
            if self.actors.is_empty()
                && matches!(
                    act,
                    Act::Home | Act::Post | Act::Edit | Act::Like | Act::Follow | Act::Live
                )
            {
                bail!(
                    "the scenario {} needs accounts and was given none",
                    self.name
                );
            }
            if self.ids.is_empty() && matches!(act, Act::One | Act::Like) {
                bail!(
                    "the scenario {} needs posts to read and was given none",
                    self.name
                );
            }
        }
        Ok(())
    }

    /// One turn of `user`. A turn that has no end of its own ends at `until`.
    pub(crate) async fn iterate(&self, user: &mut User, until: Option<Instant>) {
        let sum = self.acts.last().map_or(0, |(sum, _)| *sum);
        let drawn = if self.acts.len() > 1 {
            user.random.random_range(0..sum)
        } else {
            0
        };
        let act = self.acts.iter().find(|(sum, _)| drawn < *sum);
        let Some((_, act)) = act else { return };
        match act {
            Act::Feed => {
                let call = Call::get(user.paths.posts.clone());
                user.call("feed", call, StatusCode::OK, false).await;
            }
            Act::One => self.read_post(user).await,
            Act::Home => {
                let call = Call::get(user.paths.home.clone()).by(self.cookie(user));
                user.call("home", call, StatusCode::OK, false).await;
            }
            Act::Post => self.write(user).await,
            Act::Edit => self.edit(user).await,
            Act::Like => {
                let Some(id) = self.ids.choose(&mut user.random) else {
                    return;
                };
                self.send(
                    user,
                    "like",
                    Method::POST,
                    &format!("/api/posts/{id}/like"),
                    String::new(),
                )
                .await;
            }
            Act::Follow => self.follow(user).await,
            Act::SignUp => self.sign_up(user).await,
            Act::Live => {
                let actor = self.actors.get(Live::account_of(user.number));
                let cookie = actor.map(|actor| &actor.cookie);
                if user.number == 0 {
                    self.live.write(user, cookie, until).await;
                } else {
                    self.live.listen(user, cookie, until).await;
                }
            }
        }
    }

    /// What is to be added to the figures at the end.
    pub(crate) fn conclude(&self, measured: &mut Measured) {
        self.live.conclude(measured);
    }

    fn actor(&self, user: &User) -> Option<&Actor> {
        // Without actors there is nobody to be; `check` has said so.
        self.actors.get(user.number.checked_rem(self.actors.len())?)
    }

    fn cookie(&self, user: &User) -> Option<&HeaderValue> {
        self.actor(user).map(|actor| &actor.cookie)
    }

    /// Asks as this user's account, and says whether the answer was 200.
    async fn send(
        &self,
        user: &mut User,
        step: &'static str,
        method: Method,
        path: &str,
        body: String,
    ) -> bool {
        let Ok(uri) = user.paths.target.uri(path) else {
            return false;
        };
        let call = Call::with(method, uri, body).by(self.cookie(user));
        user.call(step, call, StatusCode::OK, false).await.is_some()
    }

    async fn read_post(&self, user: &mut User) {
        let Some(id) = self.ids.choose(&mut user.random) else {
            return;
        };
        let Ok(uri) = user.paths.target.uri(&format!("/api/posts/{id}")) else {
            return;
        };
        user.call("read one", Call::get(uri), StatusCode::OK, false)
            .await;
    }

    async fn write(&self, user: &mut User) {
        let body = content(user);
        let call = Call::with(Method::POST, user.paths.posts.clone(), body).by(self.cookie(user));
        // Only who changes posts has to know which are theirs.
        let keep = self.acts.iter().any(|(_, act)| *act == Act::Edit);
        if let Some(answer) = user.call("post", call, StatusCode::CREATED, keep).await
            && keep
        {
            user.own = id_of(&answer.body);
        }
    }

    async fn edit(&self, user: &mut User) {
        match user.own {
            // Who has written nothing yet writes first; that is a post and counts as one.
            None => self.write(user).await,
            Some(id) => {
                let body = content(user);
                if !self
                    .send(user, "edit", Method::PUT, &format!("/api/posts/{id}"), body)
                    .await
                {
                    user.own = None;
                }
            }
        }
    }

    async fn follow(&self, user: &mut User) {
        let own = self.actor(user).map(|actor| actor.id);
        let Some(other) = self.actors.choose(&mut user.random).map(|actor| actor.id) else {
            return;
        };
        if Some(other) != own {
            self.send(
                user,
                "follow",
                Method::POST,
                &format!("/api/user/{other}/follow"),
                String::new(),
            )
            .await;
        }
    }

    async fn sign_up(&self, user: &mut User) {
        let number = self.signed_up.fetch_add(1, Ordering::Relaxed);
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let body = format!(
            r#"{{"username":"storm-{:x}-{number:x}","password":"a long enough password"}}"#,
            since.as_micros() & 0xffff_ffff_ffff,
        );
        let call = Call::with(Method::POST, user.paths.sign_up.clone(), body.clone());
        if user
            .call("sign up", call, StatusCode::CREATED, false)
            .await
            .is_some()
        {
            let call = Call::with(Method::POST, user.paths.login.clone(), body);
            user.call("log in", call, StatusCode::OK, false).await;
        }
    }
}

fn content(user: &mut User) -> String {
    format!(r#"{{"content":"{}"}}"#, words::post(&mut user.random))
}

#[derive(Deserialize)]
struct Numbered {
    id: i64,
}

/// The number of the one post in `body`, a list of one.
fn id_of(body: &[u8]) -> Option<i64> {
    let posts: Vec<Numbered> = serde_json::from_slice(body).ok()?;
    posts.first().map(|post| post.id)
}

/// The numbers of up to `count` of the newest posts.
///
/// # Errors
/// When the feed cannot be read.
pub async fn recent_posts(target: &Target, count: usize) -> Result<Vec<i64>> {
    let mut connection = Connection::new(target.clone(), Options::default().timeout);
    let mut ids: Vec<i64> = Vec::new();
    while ids.len() < count {
        let before = ids
            .last()
            .map(|id| format!("&before={id}"))
            .unwrap_or_default();
        let uri = target.uri(&format!("/api/posts?limit=100{before}"))?;
        let answer = connection.call(Call::get(uri), Keep::All).await;
        let answer =
            answer.with_context(|| format!("the feed of {} cannot be read", target.url()))?;
        if answer.status != StatusCode::OK {
            bail!(
                "reading the feed of {} was answered with status {}",
                target.url(),
                answer.status
            );
        }
        let page: Vec<Numbered> =
            serde_json::from_slice(&answer.body).context("the feed is no list of posts")?;
        let known = ids.len();
        // Only what is older than the last page: a server that does not know `before` would go round in circles.
        let last = ids.last().copied().unwrap_or(i64::MAX);
        ids.extend(page.iter().map(|post| post.id).filter(|id| *id < last));
        if ids.len() == known {
            break;
        }
    }
    ids.truncate(count);
    Ok(ids)
}
