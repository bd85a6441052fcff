//! What is measured in which order: size by size, reads before posts, then replicas at the largest size.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::Serialize;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::GrowthArgs;
use crate::{
    accounts::{self, Account},
    compare::{
        bars::{Middle, middle},
        cell::{self, Cell, MEGABYTE, Model, Side},
    },
    engine::{Pace, Target},
    progress::Clock,
    scenarios::Scenario,
    seed::{self, SeedArgs},
    stack::{self, cost::Parts, native::Native, processes},
};

const WARMUP: Duration = Duration::from_secs(2);
/// Users of the closed model while posts grow: few, so that it is the service that answers and no queue before it.
const FEW: usize = 8;
/// And while replicas grow: enough to keep all of them at work.
const MANY: usize = 64;
/// Whom each of those who read their home timeline follows.
const FOLLOWED: i64 = 100;
/// Of the open model at once.
const AT_ONCE: usize = 256;
/// Replicas while posts grow.
const REPLICAS: u32 = 2;
/// PostgreSQL and the worker have nothing to do when they take less than this of a core …
const IDLE: f64 = 0.1;
/// … so many seconds on end: longer than the worker's pause between two looks whether something is to be computed.
const QUIET_SECONDS: u32 = 12;
/// How long they are waited for.
const PATIENCE: Duration = Duration::from_secs(1_800);
const SCENARIOS: [&str; 4] = ["read-feed", "read-one", "home", "post"];

/// The medians of one scenario in one model.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    pub scenario: &'static str,
    pub model: Model,
    pub middle: Middle,
}

/// One size.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Size {
    pub posts: i64,
    /// How long it took to fill the database up to here.
    pub seeded_seconds: f64,
    pub figures: Vec<Figure>,
    /// The largest replica, megabytes.
    pub replica_mb: f64,
    /// PostgreSQL with all its processes, what they share counted once.
    pub postgres_mb: f64,
    pub redis_mb: f64,
    /// Tables and their indexes, megabytes, the largest first.
    pub tables: Vec<(String, f64)>,
}

/// One number of replicas.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Scale {
    pub replicas: u32,
    pub figures: Vec<Figure>,
}

/// What there is so far.
#[derive(Default)]
pub(super) struct Results {
    pub sizes: Vec<Size>,
    pub scales: Vec<Scale>,
    pub most_others: f64,
}

struct Lab<'a> {
    args: &'a GrowthArgs,
    native: &'a mut Native,
    cores: usize,
    target: Target,
    parts: Parts,
    people: Vec<Account>,
    ids: Vec<i64>,
    clock: Clock,
}

fn one(args: &GrowthArgs) -> Duration {
    WARMUP + Duration::from_secs(args.seconds)
}

fn total(args: &GrowthArgs) -> Duration {
    let rounds = u32::try_from(args.rounds).unwrap_or(1);
    let scenarios = u32::try_from(SCENARIOS.len()).unwrap_or(1);
    let sizes = u32::try_from(args.posts.len()).unwrap_or(1) * scenarios * 2;
    let scales = u32::try_from(args.replicas.len()).unwrap_or(1) * scenarios;
    one(args) * (sizes + scales) * rounds
        + args
            .posts
            .last()
            .map_or(Duration::ZERO, |posts| seeding(*posts))
}

/// About 20,000 posts a second with their indexes.
fn seeding(posts: i64) -> Duration {
    Duration::from_secs(posts.max(0).unsigned_abs() / 20_000)
}

/// Everything that is asked for, into `results`.
pub(super) async fn measure(
    args: &GrowthArgs,
    native: &mut Native,
    cores: usize,
    results: &mut Results,
) -> anyhow::Result<()> {
    if !args.posts.is_sorted() || args.posts.first().is_none_or(|first| *first < 1_000) {
        bail!("--posts must grow, from 1000 on: posts are added and none are taken away");
    }
    eprintln!("loadtest: starting PostgreSQL, Redis, NGINX, {REPLICAS} API replicas and a worker");
    native.up(REPLICAS, 1).await?;
    let url = native.superuser_url()?;
    let target = Target::parse(&native.url(), false)?;
    let parts = Parts {
        postgres: vec![native.pid("postgres").await?],
        redis: vec![native.pid("redis").await?],
        nginx: vec![native.pid("nginx").await?],
        worker: vec![native.pid("worker-00").await?],
        ..Parts::default()
    };
    let clock = Clock::new(total(args));
    let mut lab = Lab {
        args,
        native,
        cores,
        target,
        parts,
        people: Vec::new(),
        ids: Vec::new(),
        clock,
    };
    lab.find_replicas(REPLICAS).await?;
    for (place, posts) in args.posts.iter().enumerate() {
        lab.clock.says(&format!("{posts} posts: writing them"));
        let began = Instant::now();
        seed::run(&SeedArgs::new(url.clone(), args.people, *posts)).await?;
        let before = place.checked_sub(1).map_or(0, |before| args.posts[before]);
        lab.clock.done(seeding(posts - before));
        let seeded_seconds = began.elapsed().as_secs_f64();
        let mut db = PgConnection::connect(&url).await?;
        if place == 0 {
            lab.sign_up(&mut db).await?;
        }
        lab.ids = stack::some_posts(&mut db).await?;
        // What was written past the service is in no list and no cached page; all that Redis holds can be made again.
        lab.forget().await?;
        lab.settle().await?;
        let last = last_post(&mut db).await?;
        let figures = lab.at_size(*posts, results).await?;
        lab.clock.says(&format!(
            "{posts} posts: deleting those that were written by measuring"
        ));
        forget_posts(&mut db, last).await?;
        results.sizes.push(Size {
            posts: *posts,
            seeded_seconds,
            figures,
            replica_mb: lab.parts.largest() as f64 / MEGABYTE,
            postgres_mb: lab
                .parts
                .postgres
                .iter()
                .map(|pid| processes::proportional(*pid))
                .sum::<u64>() as f64
                / MEGABYTE,
            redis_mb: lab
                .parts
                .redis
                .iter()
                .map(|pid| processes::resident(*pid))
                .sum::<u64>() as f64
                / MEGABYTE,
            tables: tables(&mut db).await?,
        });
        db.close().await?;
    }
    for replicas in &args.replicas {
        lab.native.scale(*replicas).await?;
        lab.find_replicas(*replicas).await?;
        let mut figures = Vec::new();
        for scenario in SCENARIOS {
            let what = format!("{replicas} replicas, {scenario}");
            let pace = Pace::hold(MANY, Duration::from_secs(args.seconds));
            figures.push(
                lab.figure(scenario, Model::Closed, MANY, &pace, &what, results)
                    .await?,
            );
        }
        results.scales.push(Scale {
            replicas: *replicas,
            figures,
        });
    }
    Ok(())
}

impl Lab<'_> {
    async fn find_replicas(&mut self, count: u32) -> anyhow::Result<()> {
        self.parts.api.clear();
        for number in 0..count {
            self.parts
                .api
                .push(self.native.pid(&format!("api-{number:02}")).await?);
        }
        Ok(())
    }

    /// Those who act: each follows a hundred people, busy and quiet ones, and the large ones among them.
    async fn sign_up(&mut self, db: &mut PgConnection) -> anyhow::Result<()> {
        self.people = accounts::join(&self.target, FEW, None).await?;
        for (place, account) in self.people.iter().enumerate() {
            // By the service's own trigger, which counts.
            sqlx::query(
                "INSERT INTO follows (follower_id, followed_id)
                 SELECT $1, id FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS people
                                     FROM users WHERE username ~ '^seed[0-9]+$') u
                 WHERE (place + $2) % greatest(people / $3, 1) = 0 OR place < 2
                 ORDER BY place LIMIT $3",
            )
            .bind(account.id)
            .bind(i64::try_from(place)?)
            .bind(FOLLOWED)
            .execute(&mut *db)
            .await?;
        }
        db.execute("ANALYZE follows, user_counts").await?;
        Ok(())
    }

    /// Empties Redis.
    async fn forget(&self) -> anyhow::Result<()> {
        let addresses = self.native.environment().await?;
        let url = addresses
            .get("LINNET_REDIS_URL")
            .context("`linnet env` does not tell LINNET_REDIS_URL")?;
        let url = url::Url::parse(url).context("Redis' address is not understood")?;
        let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap_or(6379)))
            .context("Redis does not answer")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "AUTH {}\r\nFLUSHALL\r\nQUIT\r\n",
            url.password().unwrap_or_default()
        )?;
        let mut said = String::new();
        stream
            .read_to_string(&mut said)
            .context("Redis does not answer")?;
        if said != "+OK\r\n+OK\r\n+OK\r\n" {
            bail!("Redis cannot be emptied: {}", said.trim());
        }
        Ok(())
    }

    /// Waits until PostgreSQL and the worker are done with what follows from so many new posts, such as everybody's first
    /// insights: what is measured is a service of this size, not one that was just filled.
    async fn settle(&self) -> anyhow::Result<()> {
        let behind = [self.parts.postgres.as_slice(), &self.parts.worker].concat();
        let began = Instant::now();
        let mut quiet = 0;
        while quiet < QUIET_SECONDS {
            if began.elapsed() > PATIENCE {
                bail!(
                    "PostgreSQL and the worker still had work {} minutes after the posts were there",
                    PATIENCE.as_secs() / 60
                );
            }
            let before = processes::cpu_of(&behind);
            tokio::time::sleep(Duration::from_secs(1)).await;
            let busy = processes::cpu_of(&behind) - before;
            quiet = if busy < IDLE { quiet + 1 } else { 0 };
            if quiet == 0 {
                self.clock.says(&format!(
                    "waiting for PostgreSQL and the worker, {:.0} % of a core",
                    busy * 100.0
                ));
            }
        }
        Ok(())
    }

    async fn at_size(&mut self, posts: i64, results: &mut Results) -> anyhow::Result<Vec<Figure>> {
        let mut figures = Vec::new();
        let seconds = Duration::from_secs(self.args.seconds);
        for scenario in SCENARIOS {
            for model in [Model::Closed, Model::Open] {
                let pace = match model {
                    Model::Open => Pace::steady(f64::from(self.args.rate), seconds, AT_ONCE),
                    _ => Pace::hold(FEW, seconds),
                };
                let what = format!("{posts} posts, {scenario}, {model:?}").to_lowercase();
                figures.push(
                    self.figure(scenario, model, FEW, &pace, &what, results)
                        .await?,
                );
            }
        }
        Ok(figures)
    }

    /// The medians of all rounds.
    async fn figure(
        &mut self,
        name: &'static str,
        model: Model,
        users: usize,
        pace: &Pace,
        what: &str,
        results: &mut Results,
    ) -> anyhow::Result<Figure> {
        let scenario = match name {
            "read-feed" => Scenario::read_feed(),
            "read-one" => Scenario::read_one(self.ids.clone()),
            "home" => Scenario::home(&self.people),
            _ => Scenario::post(&self.people),
        };
        let mut cells = Vec::new();
        for round in 1..=usize::try_from(self.args.rounds)? {
            self.clock.says(&format!("{what}, round {round}"));
            let cell = Cell {
                scenario: name.to_owned(),
                model,
                round,
                wanted: users,
                connections: users,
                ..Cell::empty()
            };
            let cell = cell::take(cell, &self.target, &scenario, pace, WARMUP, &self.parts).await?;
            for failure in &cell.first_failures {
                eprintln!("loadtest:   {failure}");
            }
            self.clock.done(one(self.args));
            cells.push(cell);
        }
        let middle = middle(Side::Linnet, &cells.iter().collect::<Vec<_>>(), self.cores);
        eprintln!(
            "loadtest:   {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
            middle.rate, middle.p50_ms, middle.p99_ms
        );
        results.most_others = results.most_others.max(middle.others);
        Ok(Figure {
            scenario: name,
            model,
            middle,
        })
    }
}

async fn last_post(db: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM posts")
        .fetch_one(db)
        .await?)
}

/// Deletes what was written after the post `last`. Or the next size would begin with posts of this moment, have to date all
/// of its own after them, and so be a service that took millions of posts in a minute.
async fn forget_posts(db: &mut PgConnection, last: i64) -> anyhow::Result<()> {
    // The service never deletes the row of a post, so PostgreSQL has no index by which to find what refers to one, and
    // would read whole tables for each.
    db.execute("SET session_replication_role = replica").await?;
    for (table, column) in [
        ("post_analysis", "post_id"),
        ("post_tags", "post_id"),
        ("post_topics", "post_id"),
        ("post_counts", "post_id"),
        ("posts", "id"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "DELETE FROM {table} WHERE {column} > $1"
        )))
        .bind(last)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// What the tables take with their indexes, in megabytes; those below one are left out.
async fn tables(db: &mut PgConnection) -> anyhow::Result<Vec<(String, f64)>> {
    let sizes: Vec<(String, i64)> = sqlx::query_as(
        "SELECT relname::text, pg_total_relation_size(oid) FROM pg_class
         WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC LIMIT 12",
    )
    .fetch_all(db)
    .await?;
    let megabytes = sizes
        .into_iter()
        .map(|(name, bytes)| (name, bytes as f64 / MEGABYTE));
    Ok(megabytes
        .filter(|(_, megabytes)| *megabytes >= 1.0)
        .collect())
}
