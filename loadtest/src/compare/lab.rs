//! What runs while something is compared: the stack, the Node baseline, the NGINX with fixed bytes. Whatever has been
//! started is known here, so that it is ended whatever happens in between.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};

use super::{
    cell::{MEGABYTE, Side},
    sides::{self, REPLICAS, Running},
};
use crate::{
    accounts::{self, Account},
    engine::Target,
    seed::{self, SeedArgs},
    stack::{
        cost::Parts,
        front::Front,
        native::{Native, Wanted},
        processes,
    },
};

/// How many people act; more connections share them.
const ACTORS: usize = 64;
/// How many people are seeded beside them.
const PEOPLE: i64 = 2_000;

pub(super) struct Lab {
    native: Native,
    front: Option<Front>,
    node: Option<Running>,
    fixed: Option<Running>,
    /// Process ids of the stack's parts, without what stands behind NGINX.
    parts: Parts,
    linnet: Vec<u32>,
    addresses: BTreeMap<String, String>,
    target: Option<Target>,
    accounts: BTreeMap<Side, Vec<Account>>,
    /// Memory of the largest replica before anything was asked, in megabytes.
    pub idle_mb: BTreeMap<Side, f64>,
}

impl Lab {
    pub(super) fn plan(wanted: &Wanted) -> anyhow::Result<Self> {
        Ok(Self {
            native: Native::plan(wanted)?,
            front: None,
            node: None,
            fixed: None,
            parts: Parts::default(),
            linnet: Vec::new(),
            addresses: BTreeMap::new(),
            target: None,
            accounts: BTreeMap::new(),
            idle_mb: BTreeMap::new(),
        })
    }

    pub(super) fn root(&self) -> &Path {
        self.native.root()
    }

    pub(super) fn data(&self) -> &Path {
        &self.native.data
    }

    /// Starts everything and fills it.
    pub(super) async fn up(&mut self, posts: i64, sides: &[Side]) -> anyhow::Result<()> {
        eprintln!("loadtest: starting PostgreSQL, Redis, NGINX and {REPLICAS} API replicas");
        self.native.up(2, 0).await?;
        self.addresses = self.native.environment().await?;
        self.parts = Parts {
            postgres: vec![self.native.pid("postgres").await?],
            redis: vec![self.native.pid("redis").await?],
            nginx: vec![self.native.pid("nginx").await?],
            ..Parts::default()
        };
        self.front = Some(self.native.front().await?);
        self.target = Some(Target::parse(&self.native.url(), false)?);
        for number in 0..REPLICAS {
            self.linnet
                .push(self.native.pid(&format!("api-{number:02}")).await?);
        }
        self.note_idle(Side::Linnet, &self.linnet.clone());
        eprintln!("loadtest: writing {posts} posts");
        seed::run(&SeedArgs::new(self.native.superuser_url()?, PEOPLE, posts)).await?;
        if sides.contains(&Side::Node) {
            let folder = sides::prepare_node(self.native.root()).await?;
            let (database, redis) = (
                self.address("LINNET_DATABASE_URL")?,
                self.address("LINNET_REDIS_URL")?,
            );
            let running = sides::start_node(&self.native, &folder, &database, &redis).await?;
            self.note_idle(Side::Node, &running.pids());
            self.node = Some(running);
        }
        for side in sides {
            if *side != Side::Bare {
                self.hand_to(*side).await?;
                eprintln!("loadtest: signing {ACTORS} people up at {}", side.name(""));
                let people = accounts::join(self.target()?, ACTORS, None).await?;
                self.accounts.insert(*side, people);
            }
        }
        Ok(())
    }

    fn note_idle(&mut self, side: Side, pids: &[u32]) {
        let most = pids
            .iter()
            .map(|pid| processes::resident(*pid))
            .max()
            .unwrap_or(0);
        self.idle_mb.insert(side, most as f64 / MEGABYTE);
    }

    fn address(&self, name: &str) -> anyhow::Result<String> {
        self.addresses
            .get(name)
            .cloned()
            .with_context(|| format!("`linnet env` does not tell {name}"))
    }

    pub(super) fn target(&self) -> anyhow::Result<&Target> {
        self.target.as_ref().context("the stack was not started")
    }

    /// The people of a side; a token of one service is none of the other.
    pub(super) fn people(&self, side: Side) -> &[Account] {
        self.accounts.get(&side).map_or(&[], Vec::as_slice)
    }

    /// NGINX hands requests to this side from now on.
    pub(super) async fn hand_to(&mut self, side: Side) -> anyhow::Result<()> {
        let ports = match side {
            Side::Linnet => vec![self.native.api_port(0), self.native.api_port(1)],
            Side::Node => self
                .node
                .as_ref()
                .map(|running| running.ports.clone())
                .unwrap_or_default(),
            Side::Bare => self
                .fixed
                .as_ref()
                .map(|running| running.ports.clone())
                .unwrap_or_default(),
        };
        self.front
            .as_mut()
            .context("the stack was not started")?
            .serve(&ports)
            .await
    }

    /// Bytes of the size of Linnet's answer to `path` as it is now are the bare limit from now on.
    pub(super) async fn fix(&mut self, path: &str) -> anyhow::Result<()> {
        let replica = format!("http://127.0.0.1:{}", self.native.api_port(0));
        let shape = sides::shape(&Target::parse(&replica, false)?, path).await?;
        // The old one may still be the front's; it is told of the new one before the next measurement.
        let old = self
            .fixed
            .replace(sides::start_fixed(&self.native, &shape).await?);
        self.hand_to(Side::Bare).await?;
        if let Some(mut old) = old {
            old.end().await;
        }
        Ok(())
    }

    /// The processes that a measurement of this side costs.
    pub(super) fn parts(&self, side: Side) -> Parts {
        let api = match side {
            Side::Linnet => self.linnet.clone(),
            Side::Node => self.node.as_ref().map(Running::pids).unwrap_or_default(),
            Side::Bare => self.fixed.as_ref().map(Running::pids).unwrap_or_default(),
        };
        Parts {
            api,
            ..self.parts.clone()
        }
    }

    /// Without anything behind NGINX, for what goes to PostgreSQL itself.
    pub(super) fn database_parts(&self) -> Parts {
        self.parts.clone()
    }

    /// The database as the service reaches it.
    pub(super) fn database_url(&self) -> anyhow::Result<String> {
        self.address("LINNET_DATABASE_URL")
    }

    /// As its superuser.
    pub(super) async fn database(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(&self.native.superuser_url()?).await?)
    }

    /// The folder of PostgreSQL's programs that the stack uses.
    pub(super) fn postgres_programs(&self) -> anyhow::Result<PathBuf> {
        let path = self.native.data.join("settings.json");
        let settings: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        Ok(settings["postgres_bin"]
            .as_str()
            .unwrap_or("/usr/bin")
            .into())
    }

    /// Ends everything that was started, the front's backs first.
    pub(super) async fn end(&mut self) {
        for running in [self.node.take(), self.fixed.take()].iter_mut().flatten() {
            running.end().await;
        }
        self.native.end().await;
    }
}
