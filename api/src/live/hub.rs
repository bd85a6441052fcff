//! The one place of a replica that hears events and passes them on. It runs on the program's own runtime, beside the
//! threads that serve; these share it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{
    Ctx,
    clock::Clock,
    ids::{PostId, UserId},
    live::{self, Event, Feed, Mark, Viewer},
};
use prometheus::Registry as Figures;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    batch::Batch,
    message::{Message, Name},
    metrics::{Metrics, Transport},
    queue::End,
    registry::{Refusal, Registry, Stream, Tally},
};

/// The pace of what is done regularly. New posts of the public feed are told at most once in it.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two heartbeats of a stream. Each tick has its share of the streams.
const HEARTBEAT: u64 = 15;
/// Ticks between two looks at the number of the newest post. A mark names the look before the last, so that a post which
/// was written before another one and told after it is still told to whoever comes back in between.
const LOOK: u64 = 5;
/// Events taken at once; those on the same post then cost one message.
const BATCH: usize = 512;
/// People whose audiences are read at once.
const PEOPLE: usize = 100;
/// The most new posts that one public event names.
const PUBLIC: usize = 20;
/// How long PostgreSQL may keep everybody waiting.
const PATIENCE: Duration = Duration::from_secs(2);
/// Authors of posts that are remembered.
const AUTHORS: usize = 10_000;

/// How many streams there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub streams: usize,
    /// Of one caller: a person, or an address when not logged in.
    pub per_caller: usize,
}

/// What all threads of a replica know of its streams.
pub struct Hub {
    registry: Mutex<Registry>,
    marks: Mutex<Marks>,
    pub(super) metrics: Metrics,
    limits: Limits,
    clock: Clock,
}

struct Marks {
    last_look: PostId,
    look_before: PostId,
    /// Where hearing broke off, until everybody has been told to refresh.
    broken_off: Option<Mark>,
}

/// What only the running hub knows.
#[derive(Default)]
struct Running {
    ticks: u64,
    public: Vec<PostId>,
    authors: HashMap<PostId, UserId>,
    /// Streams up to this number are told to refresh, each at its next heartbeat, in so many ticks.
    refresh: Option<(u64, u64)>,
}

/// A stream's place in the hub; dropped, the stream is forgotten.
pub(super) struct Opened {
    pub(super) hub: Arc<Hub>,
    pub(super) stream: Arc<Stream>,
    transport: Transport,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.hub.registry().remove(&self.stream);
        self.hub.metrics.open(self.transport).dec();
    }
}

/// What PostgreSQL answers, if it does in time.
async fn asked<T>(what: &str, question: impl Future<Output = domain::Result<T>>) -> Option<T> {
    match timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(error)) => tracing::warn!(%error, "live streams go without {what}"),
        Err(_) => tracing::warn!("live streams go without {what}: PostgreSQL does not answer"),
    }
    None
}

impl Hub {
    /// A hub without streams, which hears nothing before [`Self::run`].
    ///
    /// # Errors
    /// When the registry holds the metrics of live streams already.
    pub fn new(limits: Limits, clock: Clock, figures: &Figures) -> anyhow::Result<Self> {
        Ok(Self {
            registry: Mutex::default(),
            marks: Mutex::new(Marks {
                last_look: PostId(0),
                look_before: PostId(0),
                broken_off: None,
            }),
            metrics: Metrics::new(figures)?,
            limits,
            clock,
        })
    }

    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This moment, or the last before which nothing was missed.
    pub(super) fn mark(&self) -> Mark {
        let marks = self.marks();
        marks.broken_off.unwrap_or(Mark {
            post: marks.look_before,
            millis: self.clock.now().timestamp_millis(),
        })
    }

    /// Lets a stream in, if there is room.
    pub(super) fn open(
        self: &Arc<Self>,
        viewer: Option<Viewer>,
        feed: Feed,
        caller: &str,
        transport: Transport,
    ) -> Result<Opened, Refusal> {
        let limits = (self.limits.streams, self.limits.per_caller);
        let admitted = self.registry().admit(viewer, feed, caller, limits);
        let stream = admitted.inspect_err(|refusal| {
            let reason = match refusal {
                Refusal::Full => "full",
                Refusal::Caller => "caller",
                Refusal::Stopping => "stopping",
            };
            self.metrics.refused.with_label_values(&[reason]).inc();
        })?;
        self.metrics.open(transport).inc();
        Ok(Opened {
            hub: Arc::clone(self),
            stream,
            transport,
        })
    }

    /// Ends every stream and lets no more in. Their readers come back at another replica.
    pub fn stop(&self) {
        self.registry().stop();
    }

    /// Hears and passes on for ever.
    pub async fn run(self: Arc<Self>, ctx: Ctx) {
        let mut running = Running::default();
        let mut heard = live::listen(&ctx);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = Vec::new();
        loop {
            tokio::select! {
                count = heard.recv_many(&mut events, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    let batch = events.drain(..).collect();
                    self.pass_on(&ctx, &mut running, batch).await;
                }
                _ = ticks.tick() => self.tick(&ctx, &mut running).await,
            }
        }
    }

    /// Takes note that hearing begins, or ends.
    fn turn(&self, running: &mut Running, hears: bool) {
        self.metrics.hearing.set(i64::from(hears));
        running.refresh = None;
        let registry = self.registry();
        if !hears {
            let mark = self.mark();
            self.marks().broken_off = Some(mark);
        } else if registry.is_empty() {
            self.marks().broken_off = None;
        } else {
            running.refresh = Some((registry.last(), HEARTBEAT));
        }
    }

    async fn pass_on(&self, ctx: &Ctx, running: &mut Running, batch: Batch) {
        for hears in &batch.turns {
            self.turn(running, *hears);
        }
        running.public.extend(batch.posts.values().flatten());
        if self.registry().is_empty() {
            return;
        }
        // Before anything else: what comes now must not reach whom it has just been taken from.
        if batch.turns.contains(&true) {
            self.reload(ctx, None).await;
        } else if !batch.relations.is_empty() {
            self.reload(ctx, Some(&batch.relations)).await;
        }
        let mark = self.mark();
        for (circle, posts) in batch.posts {
            let registry = self.registry();
            if registry.has_readers(circle.author) {
                let author = circle.author;
                let posts: Vec<_> = posts.into_iter().map(|post| (post, author)).collect();
                let message = Arc::new(Message::posts(mark, &posts));
                self.count(Name::Post, registry.tell_readers(circle, &message));
            }
        }
        for (user, (id, unread)) in batch.notifications {
            let message = Arc::new(Message::notification(mark, id, unread));
            self.count(
                Name::Notification,
                self.registry().tell_person(user, &message),
            );
        }
        self.tell_counts(ctx, running, mark, batch.counts).await;
        self.tell_verdicts(ctx, mark, batch.analyses).await;
    }

    async fn tell_counts(
        &self,
        ctx: &Ctx,
        running: &mut Running,
        mark: Mark,
        counts: HashMap<PostId, Event>,
    ) {
        let unknown: Vec<PostId> = {
            let registry = self.registry();
            let known = |post: &PostId| {
                registry.author(*post).is_some() || running.authors.contains_key(post)
            };
            // Nobody's own posts are looked for when nobody is logged in.
            let posts = counts.keys().filter(|_| registry.has_people());
            posts.filter(|post| !known(post)).copied().collect()
        };
        if running.authors.len() + unknown.len() > AUTHORS {
            running.authors.clear();
        }
        if !unknown.is_empty()
            && let Some(found) = asked("authors", live::authors(ctx, &unknown)).await
        {
            running.authors.extend(found);
        }
        for (post, event) in &counts {
            let registry = self.registry();
            let author = registry
                .author(*post)
                .or_else(|| running.authors.get(post).copied());
            let concerns = author.is_some_and(|author| registry.concerns(*post, author));
            if concerns && let Some(message) = Message::counts(mark, event) {
                let tally = registry.tell_concerned(*post, author, &Arc::new(message));
                self.count(Name::Counts, tally);
            }
        }
    }

    async fn tell_verdicts(&self, ctx: &Ctx, mark: Mark, analyses: HashMap<PostId, UserId>) {
        let wanted: Vec<PostId> = {
            let registry = self.registry();
            let analyses = analyses.iter();
            let wanted = analyses.filter(|(post, author)| registry.concerns(**post, **author));
            wanted.map(|(post, _)| *post).collect()
        };
        if wanted.is_empty() {
            return;
        }
        let verdicts = asked("verdicts", live::verdicts(ctx, &wanted)).await;
        for verdict in verdicts.unwrap_or_default() {
            let message = Arc::new(Message::verdict(mark, &verdict));
            let registry = self.registry();
            let tally = registry.tell_concerned(verdict.post, Some(verdict.author), &message);
            self.count(Name::Analysis, tally);
        }
    }

    /// Reads anew what decides who hears of whom.
    async fn reload(&self, ctx: &Ctx, users: Option<&HashSet<UserId>>) {
        let versions = self.registry().outdate(users);
        let users: Vec<UserId> = versions.keys().copied().collect();
        for some in users.chunks(PEOPLE) {
            let audiences = asked("who may hear what", live::audiences(ctx, some)).await;
            let mut registry = self.registry();
            let Some(audiences) = audiences else {
                // They may have been blocked.
                some.iter().for_each(|user| registry.end_person(*user));
                continue;
            };
            for audience in audiences {
                let version = versions[&audience.viewer];
                registry.know(audience, version);
            }
        }
    }

    fn count(&self, name: Name, tally: Tally) {
        if tally.sent > 0 {
            self.metrics.sent(name, tally.sent);
        }
        if tally.dropped > 0 {
            self.metrics.dropped(tally.dropped);
        }
    }

    async fn tick(&self, ctx: &Ctx, running: &mut Running) {
        let slot = running.ticks % HEARTBEAT;
        if running.ticks.is_multiple_of(LOOK)
            && let Some(newest) = asked("the newest post", live::newest(ctx)).await
        {
            let mut marks = self.marks();
            let first = running.ticks == 0;
            marks.look_before = if first { newest } else { marks.last_look };
            marks.last_look = newest;
        }
        running.ticks += 1;
        let mark = self.mark();
        if let Some((last, left)) = running.refresh {
            let message = Arc::new(Message::refresh(mark));
            let tally = self.registry().tell_some(HEARTBEAT, slot, last, &message);
            self.count(Name::Refresh, tally);
            running.refresh = (left > 1).then_some((last, left - 1));
            if running.refresh.is_none() {
                self.marks().broken_off = None;
            }
        }
        let heartbeat = Arc::new(Message::heartbeat(mark));
        let tally = self
            .registry()
            .tell_some(HEARTBEAT, slot, u64::MAX, &heartbeat);
        self.count(Name::Heartbeat, tally);
        self.tell_public(ctx, mark, &mut running.public).await;
        self.end_logged_out(ctx, slot).await;
    }

    async fn tell_public(&self, ctx: &Ctx, mark: Mark, posts: &mut Vec<PostId>) {
        let mut posts = std::mem::take(posts);
        if posts.is_empty() || !self.registry().has_public() {
            return;
        }
        posts.sort_unstable_by(|a, b| b.cmp(a));
        // Some more than are told, since not all may be in the public feed.
        posts.truncate(PUBLIC * 2);
        let Some(mut posts) = asked("public posts", live::public(ctx, &posts)).await else {
            return;
        };
        posts.truncate(PUBLIC);
        if posts.is_empty() {
            return;
        }
        let render = |posts: &[_]| Arc::new(Message::posts(mark, posts));
        let tally = self.registry().tell_public(&posts, render);
        self.count(Name::Post, tally);
    }

    async fn end_logged_out(&self, ctx: &Ctx, slot: u64) {
        let streams = self.registry().logins(HEARTBEAT, slot);
        let sessions = streams.iter().filter_map(|stream| stream.viewer);
        let sessions: Vec<_> = sessions.map(|viewer| viewer.session).collect();
        if sessions.is_empty() {
            return;
        }
        let Some(lasting) = asked("sessions", live::lasting(ctx, &sessions)).await else {
            return;
        };
        let lasting: HashSet<_> = lasting.into_iter().collect();
        for stream in streams {
            let lasts = |viewer: Viewer| lasting.contains(&viewer.session);
            if !stream.viewer.is_some_and(lasts) {
                stream.queue.end(End::LoggedOut);
            }
        }
    }
}
