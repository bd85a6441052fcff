//! The table at the beginning of a safetensors file. The tensors themselves are not read.
//!
//! The format: <https://huggingface.co/docs/safetensors>.

use std::{collections::HashMap, fs::File, io::Read as _, path::Path};

use serde_json::Value;

use super::SourceError;

/// The longest table that the format allows.
const LONGEST_TABLE: u64 = 100_000_000;

/// The size of a safetensors file, and its table by the tensors' names: eight bytes that say how long it is, then JSON.
///
/// # Errors
/// When the file cannot be read, is something else, or ends before its last tensor does.
pub fn table(path: &Path) -> Result<(u64, HashMap<String, Value>), SourceError> {
    let unreadable = |cause| SourceError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    let truncated = |needed| SourceError::Truncated {
        path: path.to_owned(),
        bytes,
        needed,
    };

    let mut head = Vec::new();
    file.by_ref()
        .take(9)
        .read_to_end(&mut head)
        .map_err(unreadable)?;
    if head.starts_with(b"version ") {
        return Err(SourceError::Pointer(path.to_owned()));
    }
    let Some((length, first @ [_])) = head.split_first_chunk::<8>() else {
        return Err(truncated(9));
    };
    let length = u64::from_le_bytes(*length);
    if first != b"{" || length > LONGEST_TABLE {
        return Err(SourceError::NotSafetensors(path.to_owned()));
    }
    let begin = 8 + length;
    if bytes < begin {
        return Err(truncated(begin));
    }
    let mut text = head.split_off(8);
    file.take(length - 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    let table: HashMap<String, Value> =
        serde_json::from_slice(&text).map_err(|_| SourceError::NotSafetensors(path.to_owned()))?;
    let end = table
        .values()
        .filter_map(|tensor| tensor["data_offsets"][1].as_u64())
        .max()
        .unwrap_or(0);
    let needed = begin.saturating_add(end);
    if bytes < needed {
        Err(truncated(needed))
    } else {
        Ok((bytes, table))
    }
}
