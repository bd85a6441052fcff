//! The sentences for what stands between a setting and a model that runs: what is the matter, and what to do.

use std::{io, path::PathBuf};

/// Why a model cannot be had. Sizes are in bytes.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No such file or folder, or it may not be read.
    #[error("the model {path} cannot be read: {cause}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// The file is something else.
    #[error("{0} is not a GGUF file: it does not begin with the four letters GGUF")]
    NotGguf(PathBuf),
    /// The file is something else.
    #[error("{0} is not a safetensors file: it does not begin with a table of tensors")]
    NotSafetensors(PathBuf),
    /// Git cloned the repository without its large files.
    #[error(
        "{0} only names the weights, which Git LFS keeps elsewhere: run `git lfs pull` in its folder"
    )]
    Pointer(PathBuf),
    /// The end is missing.
    #[error(
        "{path} is truncated: it has {bytes} bytes and needs at least {needed}; download or copy it again"
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The size that its own table asks for.
        needed: u64,
    },
    /// What it says of itself makes no sense.
    #[error("{path} is damaged: {what}; download or copy it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What makes no sense.
        what: String,
    },
    /// One file of several.
    #[error(
        "{path} is one of {parts} parts of a model; join them with llama.cpp's `llama-gguf-split --merge`"
    )]
    Split {
        /// The file.
        path: PathBuf,
        /// How many there are.
        parts: u64,
    },
    /// A kind of model that the engine does not know.
    #[error(
        "the model {model} has the architecture {architecture:?}, which is not supported; these are: {known}"
    )]
    Architecture {
        /// The file, folder or repository.
        model: String,
        /// What it says it is.
        architecture: String,
        /// What the engine knows, with commas.
        known: String,
    },
    /// Weights in a form that the engine does not know.
    #[error(
        "{path} holds weights of the type {kind}, which is not supported; take a file with one of {known}"
    )]
    Quantization {
        /// The file.
        path: PathBuf,
        /// The type's name or number.
        kind: String,
        /// What the engine knows, with commas.
        known: String,
    },
    /// A folder without something that it needs.
    #[error("the model folder {folder} lacks {file}")]
    Lacking {
        /// The folder.
        folder: PathBuf,
        /// What is not there.
        file: String,
    },
    /// It would be killed half-way, or drive something else out.
    #[error("the model {name} needs about {} of memory and {} are free: {}", gigabytes(*needed),
        gigabytes(*available), way_out(*quantized))]
    Memory {
        /// Short name.
        name: String,
        /// What loading and running it take.
        needed: u64,
        /// What may still be taken.
        available: u64,
        /// What it would take with `LLM_DENSE=false`, where that fits.
        quantized: Option<u64>,
    },
    /// The hub wants to know who asks, and that the licence was accepted.
    #[error("{}", gate(id, *token))]
    Gated {
        /// The repository.
        id: String,
        /// Whether a token was there to send.
        token: bool,
    },
    /// The hub knows of no such repository, or hides it.
    #[error("the hub has no model {0}: check the id, and for a private one the token in HF_TOKEN")]
    Unknown(String),
    /// The hub does not answer.
    #[error(
        "the model {id} is not on this machine and {hub} cannot be reached ({cause}); \
         allow the connection, or name a .gguf file or a model folder"
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

/// Decimal gigabytes, with one digit after the point.
fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

fn way_out(quantized: Option<u64>) -> String {
    match quantized {
        Some(bytes) => format!(
            "set LLM_DENSE=false, with which it needs about {}, or name a smaller model",
            gigabytes(bytes)
        ),
        None => "name a smaller model, or free memory".to_owned(),
    }
}

fn gate(id: &str, token: bool) -> String {
    let licence = format!("accept its licence at https://huggingface.co/{id}");
    if token {
        format!(
            "the hub refuses the token for the model {id}: {licence} with the account whose token is in HF_TOKEN; \
             or the id is wrong"
        )
    } else {
        format!(
            "the hub gives out the model {id} to known people only: {licence}, make a token at \
             https://huggingface.co/settings/tokens and set HF_TOKEN to it; or the id is wrong"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_is_said_with_a_way_out() {
        let said = |quantized| {
            let name = "m".to_owned();
            SourceError::Memory {
                name,
                needed: 6_040_000_000,
                available: 3_100_000_000,
                quantized,
            }
            .to_string()
        };
        assert_eq!(
            said(Some(2_300_000_000)),
            "the model m needs about 6.0 GB of memory and 3.1 GB are free: set LLM_DENSE=false, with which it needs \
             about 2.3 GB, or name a smaller model"
        );
        assert!(said(None).ends_with("name a smaller model, or free memory"));
    }
}
