//! The stack behind `make up`, started for a measurement in a data folder and on ports of its own.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use super::{Kept, child, front::Front};

/// The first port that is tried; below those that the kernel gives to clients.
const FIRST_PORT: u16 = 21_000;
/// How many ports a stack takes from its first one on.
const PORTS: u16 = 66;

/// How a stack is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its data folder; `None` makes one that is deleted at the end.
    pub data: Option<PathBuf>,
    /// The folder of the binaries `api` and `worker`.
    pub binaries: PathBuf,
}

impl Wanted {
    /// As the options `--data` and `--binaries` say; by default the binaries are those beside this program.
    ///
    /// # Errors
    /// When it cannot be found out where this program is.
    pub fn new(data: Option<&PathBuf>, binaries: Option<&PathBuf>) -> anyhow::Result<Self> {
        Ok(Self {
            data: data.cloned(),
            binaries: binaries.cloned().map_or_else(own_folder, Ok)?,
        })
    }
}

/// A running stack.
pub struct Native {
    root: PathBuf,
    binaries: PathBuf,
    /// Where its data, logs and configuration are.
    pub data: PathBuf,
    is_temporary: bool,
    port: u16,
    kept: Option<Kept>,
}

impl Native {
    /// Chooses folder and ports. Nothing runs yet, but from here on `end` must be called.
    ///
    /// # Errors
    /// When this is not Linnet's repository, or there is no room for the stack.
    pub fn plan(wanted: &Wanted) -> anyhow::Result<Self> {
        let root = root()?;
        for program in ["api", "worker"] {
            if !wanted.binaries.join(program).is_file() {
                bail!(
                    "{} has no {program}. Build it: cargo build --profile server --locked -p api -p worker -p loadtest; or name \
                     the folder with --binaries",
                    wanted.binaries.display()
                );
            }
        }
        let (data, is_temporary) = match &wanted.data {
            Some(data) => (std::path::absolute(data)?, false),
            None => (temporary()?, true),
        };
        let port = match Kept::read(&data) {
            Ok(kept) => kept.port,
            Err(_) => free_ports()?,
        };
        Ok(Self {
            root,
            binaries: wanted.binaries.clone(),
            data,
            is_temporary,
            port,
            kept: None,
        })
    }

    /// Starts it.
    ///
    /// # Errors
    /// With what `make up` would have said.
    pub async fn up(&mut self, api: u32, worker: u32) -> anyhow::Result<()> {
        // What somebody else has started is not ours to change and to end.
        if child::run("asking for the state", self.linnet(&["status"]))
            .await
            .is_ok()
        {
            bail!(
                "a stack runs in {}; name another folder with --data",
                self.data.display()
            );
        }
        let counts = [
            format!("api={api}"),
            format!("worker={worker}"),
            "llm=0".into(),
        ];
        let words = ["up", &counts[0], &counts[1], &counts[2]];
        child::run("starting the stack", self.linnet(&words)).await?;
        self.kept = Some(Kept::read(&self.data)?);
        Ok(())
    }

    /// Changes how many API replicas run.
    ///
    /// # Errors
    /// With what `make scale` would have said.
    pub async fn scale(&self, api: u32) -> anyhow::Result<()> {
        let count = format!("api={api}");
        child::run("scaling the stack", self.linnet(&["scale", &count])).await?;
        Ok(())
    }

    /// The process id of a program, for example `api-00`.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pid(&self, name: &str) -> anyhow::Result<u32> {
        let said = child::run("asking for a process id", self.linnet(&["pid", name])).await?;
        said.trim()
            .parse()
            .with_context(|| format!("`linnet pid {name}` said {said}"))
    }

    /// Its NGINX.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn front(&self) -> anyhow::Result<Front> {
        Ok(Front::new(&self.data, self.pid("nginx").await?))
    }

    /// How to reach its parts: LINNET_URL, LINNET_DATABASE_URL, …
    ///
    /// # Errors
    /// When it does not run.
    pub async fn environment(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let said = child::run("asking for the stack's addresses", self.linnet(&["env"])).await?;
        Ok(said.lines().filter_map(assignment).collect())
    }

    /// The public address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port of API replica number `number`.
    #[must_use]
    pub fn api_port(&self, number: u32) -> u16 {
        // As native/stack/layout.py has it; there are sixteen at most.
        self.port + 10 + u16::try_from(number).unwrap_or(0)
    }

    /// The database as its superuser.
    ///
    /// # Errors
    /// When the stack was not started.
    pub fn superuser_url(&self) -> anyhow::Result<String> {
        Ok(self.kept()?.superuser_url())
    }

    /// What tokens are signed with.
    ///
    /// # Errors
    /// When the stack was not started.
    pub fn jwt_secret(&self) -> anyhow::Result<&str> {
        Ok(&self.kept()?.jwt)
    }

    /// The repository.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn kept(&self) -> anyhow::Result<&Kept> {
        self.kept.as_ref().context("the stack was not started")
    }

    /// Stops it; a temporary one is deleted. What fails here is told and no reason to stop ending the rest.
    pub async fn end(&mut self) {
        if let Err(error) = child::run("stopping the stack", self.linnet(&["down"])).await {
            eprintln!("loadtest: {error:#}");
        }
        if self.is_temporary {
            if let Err(error) = child::run("deleting the stack", self.linnet(&["clean"])).await {
                eprintln!("loadtest: {error:#}");
            }
            // What is left when the start failed early.
            let _ = fs::remove_dir_all(&self.data);
        }
    }

    fn linnet(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.root.join("native/linnet"));
        command.args(words).env("YES", "1");
        for (name, value) in env::vars() {
            // Settings of the terminal that would make it another stack than the one that operators have.
            let is_setting = [
                "API_",
                "WORKER_",
                "RATE_LIMIT",
                "TIMELINE_",
                "LLM_",
                "LOG_",
                "CACHE_",
                "DATABASE_",
            ]
            .iter()
            .any(|prefix| name.starts_with(prefix));
            if is_setting && !value.is_empty() {
                command.env_remove(name);
            }
        }
        command
            .env("LINNET_DATA", &self.data)
            .env("LINNET_BIN_DIR", &self.binaries)
            .env("PORT", self.port.to_string())
            // Everybody comes from one address.
            .env("RATE_LIMITER", "false");
        command
    }
}

/// The folder of the repository: the one that this is called in, or a folder above it or above the program.
fn root() -> anyhow::Result<PathBuf> {
    let starts = [env::current_dir().ok(), env::current_exe().ok()];
    starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .find(|folder| folder.join("native/linnet").is_file())
        .map(Path::to_owned)
        .context("this is not Linnet's repository: call it there, for example with `make compare`")
}

/// The folder of this program, where cargo puts the others too.
///
/// # Errors
/// When the system does not say where the program is.
fn own_folder() -> anyhow::Result<PathBuf> {
    let own =
        env::current_exe().context("where this program is cannot be found out; name --binaries")?;
    Ok(own.parent().map(Path::to_owned).unwrap_or_default())
}

/// Not in a person's home, where PostgreSQL's own account may not go, and not in memory as /tmp may be.
fn temporary() -> anyhow::Result<PathBuf> {
    let folder = tempfile::Builder::new()
        .prefix("linnet-loadtest-")
        .tempdir_in("/var/tmp")
        .context("no folder can be made in /var/tmp; name one with --data")?
        .keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
    Ok(folder)
}

/// A run of free ports for a whole stack.
fn free_ports() -> anyhow::Result<u16> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    (0..150)
        .map(|place| FIRST_PORT + place * (PORTS + 4))
        .find(|first| (*first..first + PORTS).all(is_free))
        .context("there are no 66 free ports in a row above 21000; end other stacks first")
}

/// `NAME=value` or `NAME='value'`, as a shell reads it; the values have no quotes in them.
fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    Some((name.to_owned(), value.trim_matches('\'').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_stack_says_of_itself_is_read() {
        let (name, value) =
            assignment("LINNET_DATABASE_URL='postgres://a:b@127.0.0.1/l?sslmode=disable'").unwrap();
        assert_eq!(name, "LINNET_DATABASE_URL");
        assert_eq!(value, "postgres://a:b@127.0.0.1/l?sslmode=disable");
        assert_eq!(assignment("LINNET_LLM_URLS=''").unwrap().1, "");
        assert!(assignment("words").is_none());
    }

    #[test]
    fn ports_that_somebody_holds_are_not_chosen() {
        let first = free_ports().unwrap();
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, first + 40));
        let second = free_ports().unwrap();
        // Another test of this machine may have been faster; then it is not ours to hold.
        assert!(held.is_err() || second != first);
    }
}
