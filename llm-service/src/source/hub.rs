//! Hugging Face: what was downloaded before, whether the hub answers, and why it refused. Downloading is done by
//! mistral.rs.

use std::{
    env, fs,
    io::{self, Error},
    net::{TcpStream, ToSocketAddrs as _},
    path::{Path, PathBuf},
    time::Duration,
};

use telemetry::secrets::{SecretError, secret};

use super::{SourceError, folder};

/// mistral.rs 0.8.1 always downloads from here; `HF_ENDPOINT` means nothing to it.
const HUB: &str = "huggingface.co:443";

/// How long the hub may take to accept a connection before it counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks whether the hub answers, because the downloader waits long for one that does not. Not asked where a proxy
/// stands between: then only the downloader can tell.
pub async fn reach(id: &str) -> Result<(), SourceError> {
    let proxies = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    if proxies.iter().any(|name| variable(name).is_some()) {
        return Ok(());
    }
    connect(HUB).await.map_err(|cause| unreachable(id, cause))
}

async fn connect(address: &'static str) -> Result<(), String> {
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
        Ok(Ok(answer)) => answer.map_err(|cause: io::Error| cause.to_string()),
        Ok(Err(cause)) => Err(cause.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

fn unreachable(id: &str, cause: String) -> SourceError {
    SourceError::HubUnreachable {
        id: id.to_owned(),
        hub: HUB.to_owned(),
        cause,
    }
}

/// The folder of a repository that was downloaded completely. The downloader fills up what is not complete.
pub fn snapshot(id: &str) -> Option<PathBuf> {
    snapshot_in(&cache()?, id)
}

fn snapshot_in(cache: &Path, id: &str) -> Option<PathBuf> {
    // Without its own list of the files mistral.rs asks the hub for one.
    let list = cache.join(format!("{}_repo_list.json", id.replace('/', "-")));
    let repository = cache.join(format!("models--{}", id.replace('/', "--")));
    let revision = fs::read_to_string(repository.join("refs/main")).ok()?;
    let folder = repository.join("snapshots").join(revision.trim());
    let complete = list.is_file()
        && folder.join("config.json").is_file()
        && folder.join("tokenizer.json").is_file()
        && folder::weights(&folder).is_ok();
    complete.then_some(folder)
}

/// Where mistral.rs keeps what it downloads.
fn cache() -> Option<PathBuf> {
    variable("HF_HUB_CACHE")
        .map(PathBuf::from)
        .or_else(|| home().map(|home| home.join("hub")))
}

fn home() -> Option<PathBuf> {
    variable("HF_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache/huggingface")))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The token to send: HF_TOKEN or what is in the file HF_TOKEN_FILE. Without it mistral.rs looks where Hugging Face's own
/// programs keep one.
///
/// # Errors
/// When both are set or the file cannot be read.
pub fn token() -> Result<Option<String>, SecretError> {
    secret("HF_TOKEN")
}

/// Whether there is a token to send.
fn has_token() -> bool {
    token().is_ok_and(|token| token.is_some())
        || variable("HF_HUB_TOKEN").is_some()
        || home().is_some_and(|home| home.join("token").is_file())
}

/// What stands behind the words with which mistral.rs gives up loading a repository; nothing when they are not about
/// the hub or the kind of model.
#[must_use]
pub fn explain_hub_failure(id: &str, words: &str) -> Option<SourceError> {
    explain(id, words, has_token())
}

fn explain(id: &str, words: &str, token: bool) -> Option<SourceError> {
    if let Some((_, rest)) = words.split_once("CausalLM model class `") {
        let architecture = rest.split('`').next().unwrap_or(rest);
        return Some(folder::architecture_error(id.to_owned(), architecture));
    }
    if !words.contains("Hugging Face") && !words.contains("huggingface.co") {
        return None;
    }
    let status = ["HTTP ", "status code "].iter().find_map(|mark| {
        let (_, rest) = words.split_once(mark)?;
        rest.get(..3)?.parse::<u16>().ok()
    });
    Some(match status {
        Some(401 | 403) => SourceError::Gated {
            id: id.to_owned(),
            token,
        },
        Some(404) => SourceError::Unknown(id.to_owned()),
        // The address of the file stands before the cause and helps nobody.
        _ => unreachable(
            id,
            words
                .rsplit_once(": ")
                .map_or(words, |(_, cause)| cause)
                .to_owned(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::scratch::Scratch;

    #[test]
    fn a_repository_is_on_this_machine_once_all_of_it_is() {
        let scratch = Scratch::new();
        let cache = scratch.path("hub");
        let here = || snapshot_in(&cache, "some/model");
        for (file, text) in [
            ("some-model_repo_list.json", "{}"),
            ("models--some--model/refs/main", "c0ffee\n"),
            ("models--some--model/snapshots/c0ffee/config.json", "{}"),
            ("models--some--model/snapshots/c0ffee/tokenizer.json", "{}"),
            ("models--some--model/snapshots/c0ffee/model.safetensors", ""),
        ] {
            assert_eq!(here(), None, "before {file}");
            scratch.write(&format!("hub/{file}"), text);
        }
        assert_eq!(
            here(),
            Some(cache.join("models--some--model/snapshots/c0ffee"))
        );
        assert_eq!(snapshot_in(&cache, "some/other"), None);
    }

    #[tokio::test]
    async fn a_host_that_does_not_answer_is_unreachable() {
        let cause = connect("127.0.0.1:1").await.unwrap_err();
        assert!(cause.contains("refused"), "{cause}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        connect(address.leak()).await.unwrap();
    }

    #[test]
    fn the_downloaders_words_are_explained() {
        // As mistral.rs 0.8.1 (pipeline/hf.rs) and hf-hub 0.4 put them.
        let refused = |code| {
            format!(
                "Could not access `a/b` on Hugging Face (HTTP {code}) while fetching `config.json`. \
                 You may need to run `mistralrs login` or set HF_TOKEN."
            )
        };
        let failed = "Failed to access `a/b` on Hugging Face while fetching `tokenizer.json`: request error: \
                      https://huggingface.co/a/b/resolve/main/tokenizer.json: Network Error: Connection refused";
        let missing = "Model `a/b` was not found or is not accessible on Hugging Face (HTTP 404). Check the model ID";
        let foreign = "Unsupported Hugging Face Transformers -CausalLM model class `Bert`. Please raise an issue.";
        let page = "https://huggingface.co/a/b";
        for (words, token, parts) in [
            (
                refused(401),
                false,
                vec!["to known people only", page, "set HF_TOKEN"],
            ),
            (
                refused(403),
                true,
                vec!["refuses the token", page, "whose token is in HF_TOKEN"],
            ),
            (missing.to_owned(), false, vec!["the hub has no model a/b"]),
            (
                failed.to_owned(),
                false,
                vec!["huggingface.co:443 cannot be reached (Connection refused)"],
            ),
            (
                foreign.to_owned(),
                false,
                vec!["the model a/b has the architecture \"Bert\""],
            ),
        ] {
            let said = explain("a/b", &words, token).expect(&words).to_string();
            for part in parts {
                assert!(said.contains(part), "{part:?} in {said:?}");
            }
        }
        assert!(explain("a/b", "cannot find tensor model.norm.weight", false).is_none());
    }
}
