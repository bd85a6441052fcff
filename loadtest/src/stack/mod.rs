//! A native stack of the harness's own (the one behind `make up`, with its settings), and what its parts cost.
//!
//! # Layout
//!
//! - [`native`] starting it, scaling it, ending it
//! - [`front`] its NGINX, told whom to hand requests to
//! - [`child`] programs that the harness starts beside it
//! - [`processes`], [`cost`] CPU and memory as the kernel counts them, by part
//! - [`machine`] what is measured on

pub mod child;
pub mod cost;
pub mod front;
pub mod machine;
pub mod native;
pub mod processes;

use std::path::Path;

use anyhow::Context as _;

/// What a stack keeps in its data folder, as far as the harness needs it.
pub(crate) struct Kept {
    pub port: u16,
    superuser: String,
    pub jwt: String,
}

impl Kept {
    pub(crate) fn read(data: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| -> anyhow::Result<serde_json::Value> {
            let path = data.join(name);
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
        };
        let (settings, secrets) = (read("settings.json")?, read("secrets.json")?);
        let secret = |name: &str| {
            let value = secrets[name].as_str().map(str::to_owned);
            value.with_context(|| format!("secrets.json has no `{name}`"))
        };
        let port = settings["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok());
        Ok(Self {
            port: port.context("settings.json names no port")?,
            superuser: secret("superuser")?,
            jwt: secret("jwt")?,
        })
    }

    pub(crate) fn postgres_port(&self) -> u16 {
        self.port + 3
    }

    pub(crate) fn superuser_url(&self) -> String {
        let port = self.postgres_port();
        format!(
            "postgres://postgres:{}@127.0.0.1:{port}/linnet?sslmode=disable",
            self.superuser
        )
    }
}

/// The address of the database of the stack in this data folder, as its superuser.
///
/// # Errors
/// When there is no stack's data.
pub fn database_url(data: &Path) -> anyhow::Result<String> {
    Ok(Kept::read(data)?.superuser_url())
}

/// A thousand posts from all over the table, for single reads.
///
/// # Errors
/// Those of the database, or when there are no posts.
pub async fn some_posts(db: &mut sqlx::PgConnection) -> anyhow::Result<Vec<i64>> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT p.id FROM (SELECT DISTINCT lowest + floor(random() * (highest - lowest + 1))::bigint AS id
                           FROM (SELECT min(id) AS lowest, max(id) AS highest FROM posts) e, generate_series(1, 2000)) drawn
         JOIN posts p ON p.id = drawn.id AND p.deleted_at IS NULL AND p.repost_of IS NULL LIMIT 1000",
    )
    .fetch_all(db)
    .await?;
    anyhow::ensure!(!ids.is_empty(), "there are no posts to read");
    Ok(ids)
}

/// Returns when somebody wants this program to end.
///
/// # Errors
/// Always: that is what it is for.
pub(crate) async fn interrupted() -> anyhow::Result<()> {
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = ended.recv() => {}
    }
    anyhow::bail!("interrupted")
}
