//! Where a model comes from, and whether it can be had from there: what a setting names, that a file is a GGUF, that
//! the hub answers. Loading it is `model.rs`' work.

use std::{
    fs::File,
    io::{Error, ErrorKind, Read as _},
    net::{TcpStream, ToSocketAddrs as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// How long the hub may take to accept a connection before it counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A GGUF file on this machine; it brings its tokenizer.
    File(PathBuf),
    /// A repository on the Hugging Face hub, as `owner/name`.
    Hub(String),
}

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No such file, or it may not be read.
    #[error("the model file {path} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: Error,
    },
    /// The file is something else.
    #[error("{0} is not a GGUF file: it does not begin with the four letters GGUF")]
    NotGguf(PathBuf),
    /// The hub does not answer.
    #[error(
        "the model {id} is not on this machine and {hub} cannot be reached ({cause}); \
         allow the connection, or name a .gguf file"
    )]
    HubUnreachable {
        /// The repository.
        id: String,
        /// Host and port that were tried.
        hub: String,
        /// The system's words.
        cause: String,
    },
}

impl ModelSource {
    /// Reads a setting; `None` when it has neither form. A relative path without `.gguf` and with one slash would
    /// look like a repository, so a file must either end in `.gguf` or begin with `/`, `./` or `../`.
    #[must_use]
    pub fn parse(setting: &str) -> Option<Self> {
        let is_path = setting.ends_with(".gguf")
            || ["/", "./", "../"]
                .iter()
                .any(|start| setting.starts_with(start));
        if is_path {
            return Some(Self::File(setting.into()));
        }
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        let (owner, name) = setting.split_once('/')?;
        (plain(owner) && plain(name)).then(|| Self::Hub(setting.to_owned()))
    }

    /// The short name of the model, for verdicts, logs and metrics: the file's name without `.gguf`, or the id.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.file_stem().map_or_else(
                || path.display().to_string(),
                |stem| stem.to_string_lossy().into_owned(),
            ),
            Self::Hub(id) => id.clone(),
        }
    }

    /// Looks whether the model can be had, before the time and memory of loading it are spent. The size of a file
    /// in bytes; nothing for a repository.
    ///
    /// # Errors
    /// When it cannot; the sentence says why.
    pub async fn check(&self) -> Result<Option<u64>, SourceError> {
        match self {
            Self::File(path) => check_file(path).map(Some),
            Self::Hub(id) => check_hub(id).await.map(|()| None),
        }
    }
}

/// The size of a GGUF file in bytes.
fn check_file(path: &Path) -> Result<u64, SourceError> {
    let unreadable = |cause| SourceError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    let mut magic = [0; 4];
    match file.read_exact(&mut magic) {
        Ok(()) if &magic == b"GGUF" => Ok(bytes),
        Err(cause) if cause.kind() != ErrorKind::UnexpectedEof => Err(unreadable(cause)),
        _ => Err(SourceError::NotGguf(path.to_owned())),
    }
}

/// Looks whether the hub answers, because the downloader waits long and then panics. Not asked when the repository
/// was downloaded before, nor when a proxy stands between: then only the downloader can tell.
async fn check_hub(id: &str) -> Result<(), SourceError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let cache = variable("HF_HUB_CACHE")
        .map(PathBuf::from)
        .or_else(|| variable("HF_HOME").map(|home| Path::new(&home).join("hub")))
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache/huggingface/hub")));
    let folder = format!("models--{}", id.replace('/', "--"));
    let downloaded = cache.is_some_and(|cache| cache.join(folder).join("snapshots").is_dir());
    let proxy = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    if downloaded || proxy.iter().any(|name| variable(name).is_some()) {
        return Ok(());
    }
    let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
    let hub = host_and_port(&endpoint);
    let unreachable = |cause: String| SourceError::HubUnreachable {
        id: id.to_owned(),
        hub: hub.clone(),
        cause,
    };
    let address = hub.clone();
    let connect = tokio::task::spawn_blocking(move || {
        let mut last = Error::other("the name has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(_) => return Ok(()),
                Err(cause) => last = cause,
            }
        }
        Err(last)
    });
    match tokio::time::timeout(PATIENCE * 2, connect).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(cause))) => Err(unreachable(cause.to_string())),
        Ok(Err(cause)) => Err(unreachable(cause.to_string())),
        Err(_) => Err(unreachable("no answer".to_owned())),
    }
}

/// `host:port` of an http(s) address.
fn host_and_port(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let host = rest.split('/').next().unwrap_or(rest);
    match host.rsplit_once(':') {
        Some(_) => host.to_owned(),
        None => format!("{host}:{}", if scheme == "http" { 80 } else { 443 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_file_or_a_repository() {
        let hub = |id: &str| Some(ModelSource::Hub(id.to_owned()));
        let file = |path: &str| Some(ModelSource::File(path.into()));
        assert_eq!(
            ModelSource::parse("meta-llama/Llama-3.2-1B-Instruct"),
            hub("meta-llama/Llama-3.2-1B-Instruct")
        );
        assert_eq!(ModelSource::parse("models/a.gguf"), file("models/a.gguf"));
        assert_eq!(ModelSource::parse("./a"), file("./a"));
        for neither in [
            "",
            "llama",
            "a/b/c",
            "a/",
            "/..b".trim_start_matches('/'),
            "a b/c",
            "https://x/y",
        ] {
            assert_eq!(ModelSource::parse(neither), None, "{neither:?}");
        }
        assert_eq!(ModelSource::File("/m/a.Q4_1.gguf".into()).name(), "a.Q4_1");
    }

    #[test]
    fn a_file_that_is_no_model_is_refused_with_a_sentence() {
        let missing = check_file(Path::new("/nowhere/m.gguf"))
            .unwrap_err()
            .to_string();
        assert!(
            missing.contains("/nowhere/m.gguf cannot be read"),
            "{missing}"
        );
        let other = check_file(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/Cargo.toml"
        )));
        assert!(
            other
                .unwrap_err()
                .to_string()
                .contains("is not a GGUF file")
        );
    }

    #[test]
    fn the_hub_is_asked_at_the_host_of_its_endpoint() {
        assert_eq!(
            host_and_port("https://huggingface.co"),
            "huggingface.co:443"
        );
        assert_eq!(host_and_port("http://mirror:8080/hf"), "mirror:8080");
        assert_eq!(host_and_port("http://mirror/hf"), "mirror:80");
    }
}
