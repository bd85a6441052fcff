//! Where a model comes from, and whether it can be had and run from there: what a setting names, and the sentences for
//! what stands in the way, said before the time and memory of loading are spent. Loading is `crate::model`'s work.
//!
//! | file in `source/` | what lives there |
//! |---|---|
//! | `fault.rs` | the sentences |
//! | `gguf.rs` | what the header of a GGUF file says, read by `gguf/reader.rs` |
//! | `folder.rs` | what a safetensors folder holds |
//! | `safetensors.rs` | the table at the beginning of a safetensors file |
//! | `hub.rs` | Hugging Face: what is downloaded, whether the hub answers, why it refused |
//! | `memory.rs` | how much memory there is, and whether it is enough |
//! | `checksum.rs` | SHA-256 of the weights |

mod checksum;
mod fault;
mod folder;
mod gguf;
mod hub;
mod memory;
mod safetensors;
#[cfg(test)]
mod scratch;

use std::path::{Path, PathBuf};

pub use checksum::Checksum;
pub use fault::SourceError;
pub use hub::{explain_hub_failure, token};

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A GGUF file on this machine; it brings its tokenizer.
    File(PathBuf),
    /// A folder on this machine as it comes from Hugging Face: config.json, tokenizer.json and safetensors files.
    Folder(PathBuf),
    /// A repository on the Hugging Face hub, as `owner/name`.
    Hub(String),
}

/// What a look at a model's weights found; sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Size of the files.
    pub bytes: u64,
    /// How many numbers the model is made of.
    pub parameters: u64,
    /// Memory to load and run it with the reading pass in f32, computed.
    pub dense: u64,
    /// Memory to load and run it without, computed.
    pub quantized: u64,
}

impl ModelSource {
    /// Reads a setting; `None` when it has none of the forms.
    ///
    /// - What ends in `.gguf` is a file.
    /// - What names an existing folder is a folder, even where it looks like a repository: `models/llama` in a place
    ///   that has this folder. mistral.rs holds it the same way.
    /// - What begins with `/`, `./` or `../` is a path; ending in `/` a folder, else a file.
    /// - `owner/name` is a repository.
    #[must_use]
    pub fn parse(setting: &str) -> Option<Self> {
        if setting.ends_with(".gguf") {
            return Some(Self::File(setting.into()));
        }
        if Path::new(setting).is_dir() {
            return Some(Self::Folder(setting.into()));
        }
        if ["/", "./", "../"]
            .iter()
            .any(|start| setting.starts_with(start))
        {
            return Some(if setting.ends_with('/') {
                Self::Folder(setting.into())
            } else {
                Self::File(setting.into())
            });
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

    /// The short name of the model, for verdicts, logs and metrics: the file's name without `.gguf`, the folder's
    /// name, or the id.
    #[must_use]
    pub fn name(&self) -> String {
        let last = |name: Option<&std::ffi::OsStr>, path: &Path| {
            name.map_or_else(
                || path.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            )
        };
        match self {
            Self::File(path) => last(path.file_stem(), path),
            Self::Folder(path) => {
                // `models/..` and `.` have a name only once they are resolved.
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                last(path.file_name(), &path)
            }
            Self::Hub(id) => id.clone(),
        }
    }

    /// Looks whether the model can be had and would fit into memory, before the time and memory of loading it are
    /// spent. `dense` is `LLM_DENSE`. Nothing is found for a repository that is yet to be downloaded.
    ///
    /// # Errors
    /// When it cannot; the sentence says why, and what to do.
    pub async fn check(&self, dense: bool) -> Result<Option<Found>, SourceError> {
        let found = match self {
            Self::Hub(id) if hub::snapshot(id).is_none() => {
                hub::reach(id).await?;
                None
            }
            _ => {
                let source = self.clone();
                // A header of 128,000 tokens takes some milliseconds, on a slow disk more.
                match tokio::task::spawn_blocking(move || source.look()).await {
                    Ok(found) => found?,
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                }
            }
        };
        // On a GPU the weights are not in this machine's memory.
        if let (Some(found), false) = (&found, cfg!(feature = "cuda")) {
            memory::enough(&self.name(), found, dense, memory::available())?;
        }
        Ok(found)
    }

    fn look(&self) -> Result<Option<Found>, SourceError> {
        match self {
            Self::File(path) => gguf::look(path).map(Some),
            Self::Folder(_) | Self::Hub(_) => {
                self.folder().map(|path| folder::look(&path)).transpose()
            }
        }
    }

    /// The folder with the model's files: a folder itself, of a repository the one that it was downloaded to. Nothing
    /// for a file and for what is yet to be downloaded.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::File(_) => None,
            Self::Folder(path) => Some(path.clone()),
            Self::Hub(id) => hub::snapshot(id),
        }
    }

    /// The SHA-256 of each file of weights, in the order of their names: of a GGUF file one, of a folder several, of
    /// a repository those that were downloaded. Reads all of them, so it takes seconds and blocks.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn checksums(&self) -> Result<Vec<Checksum>, SourceError> {
        let files = match (self, self.folder()) {
            (Self::File(path), _) => vec![path.clone()],
            (_, Some(folder)) => folder::weights(&folder)?,
            (_, None) => Vec::new(),
        };
        files.into_iter().map(Checksum::of).collect()
    }

    /// Computes the checksums in a thread of its own and logs them; the caller goes on at once.
    pub fn log_checksums(&self) {
        let source = self.clone();
        checksum::log_in_background(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_file_a_folder_or_a_repository() {
        let hub = |id: &str| Some(ModelSource::Hub(id.to_owned()));
        let file = |path: &str| Some(ModelSource::File(path.into()));
        let folder = |path: &str| Some(ModelSource::Folder(path.into()));
        for (setting, source) in [
            (
                "meta-llama/Llama-3.2-1B-Instruct",
                hub("meta-llama/Llama-3.2-1B-Instruct"),
            ),
            ("models/a.gguf", file("models/a.gguf")),
            ("./a", file("./a")),
            ("/nowhere/a", file("/nowhere/a")),
            ("/nowhere/a/", folder("/nowhere/a/")),
            // Tests run in the package's folder, which has a folder src and in it one called source.
            ("src/source", folder("src/source")),
            ("src", folder("src")),
            ("./src", folder("./src")),
            ("src/elsewhere", hub("src/elsewhere")),
            (
                env!("CARGO_MANIFEST_DIR"),
                folder(env!("CARGO_MANIFEST_DIR")),
            ),
        ] {
            assert_eq!(ModelSource::parse(setting), source, "{setting:?}");
        }
        for neither in ["", "llama", "a/b/c", "a/", "..b", "a b/c", "https://x/y"] {
            assert_eq!(ModelSource::parse(neither), None, "{neither:?}");
        }
    }

    #[test]
    fn a_name_is_short() {
        for (source, name) in [
            (ModelSource::File("/m/a.Q4_1.gguf".into()), "a.Q4_1"),
            (
                ModelSource::Folder("/m/Llama-3.2-1B/".into()),
                "Llama-3.2-1B",
            ),
            (ModelSource::Folder("src/source/..".into()), "src"),
            (ModelSource::Hub("a/b".into()), "a/b"),
        ] {
            assert_eq!(source.name(), name);
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_said() {
        for (setting, words) in [
            (
                "/nowhere/m.gguf",
                "the model /nowhere/m.gguf cannot be read: No such file",
            ),
            (
                "/nowhere/m/",
                "the model /nowhere/m cannot be read: No such file",
            ),
            (
                "Cargo.toml.gguf",
                "the model Cargo.toml.gguf cannot be read",
            ),
            ("./Cargo.toml", "./Cargo.toml is not a GGUF file"),
            ("src", "the model folder src lacks config.json"),
        ] {
            let said = ModelSource::parse(setting)
                .unwrap()
                .check(true)
                .await
                .unwrap_err()
                .to_string();
            assert!(said.starts_with(words), "{said}");
        }
    }
}
