//! The SHA-256 of weights, to be compared with what their publisher says.

use std::{fmt, fs::File, io, path::PathBuf, time::Instant};

use sha2::{Digest as _, Sha256};

use super::{ModelSource, SourceError};

/// The SHA-256 of a file. It is shown as `sha256sum` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// The file.
    pub path: PathBuf,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

impl Checksum {
    pub(super) fn of(path: PathBuf) -> Result<Self, SourceError> {
        let read = || {
            let mut digest = Sha256::new();
            io::copy(&mut File::open(&path)?, &mut digest)?;
            Ok(format!("{:x}", digest.finalize()))
        };
        match read() {
            Ok(sha256) => Ok(Self { path, sha256 }),
            Err(cause) => Err(SourceError::Unreadable { path, cause }),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}  {}", self.sha256, self.path.display())
    }
}

/// A thread rather than a task: reading gigabytes would hold up a runtime's workers, and nobody waits for it at a stop.
pub(super) fn log_in_background(source: ModelSource) {
    let log = move || {
        let start = Instant::now();
        match source.checksums() {
            Ok(checksums) => {
                for sum in checksums {
                    tracing::info!(
                        llm.model = source.name(),
                        llm.sha256 = sum.sha256,
                        llm.seconds = start.elapsed().as_secs_f64(),
                        "sha256 {sum}"
                    );
                }
            }
            Err(fault) => tracing::warn!("no checksum: {fault}"),
        }
    };
    if let Err(fault) = std::thread::Builder::new()
        .name("checksum".to_owned())
        .spawn(log)
    {
        tracing::warn!("no checksum: {fault}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::scratch::Scratch;

    #[test]
    fn checksums_are_those_of_the_standard() {
        let scratch = Scratch::new();
        // FIPS 180-2, appendix B.
        scratch.write("m/model.safetensors", "abc");
        scratch.write("m/config.json", "{}");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let path = scratch.path("m/model.safetensors");
        let sum = Checksum {
            path: path.clone(),
            sha256: abc.to_owned(),
        };
        for source in [
            ModelSource::File(path.clone()),
            ModelSource::Folder(scratch.path("m")),
        ] {
            assert_eq!(source.checksums().unwrap(), std::slice::from_ref(&sum));
        }
        assert_eq!(sum.to_string(), format!("{abc}  {}", path.display()));
        let gone = ModelSource::File("/nowhere/m.gguf".into())
            .checksums()
            .unwrap_err();
        assert!(
            gone.to_string().contains("/nowhere/m.gguf cannot be read"),
            "{gone}"
        );
    }
}
