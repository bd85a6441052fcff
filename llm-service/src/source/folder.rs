//! What a safetensors folder holds: whether all its files are there and whole, and which kind of model they are. The
//! tensors themselves are not read.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Found, SourceError, memory, safetensors};

/// The architectures that mistral.rs 0.8.1 loads as a text model (`pipeline/loaders/normal_loaders.rs`).
const ARCHITECTURES: [&str; 21] = [
    "DeepseekV2ForCausalLM",
    "DeepseekV3ForCausalLM",
    "Gemma2ForCausalLM",
    "GemmaForCausalLM",
    "Glm4ForCausalLM",
    "Glm4MoeForCausalLM",
    "Glm4MoeLiteForCausalLM",
    "GptOssForCausalLM",
    "GraniteMoeHybridForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "Phi3ForCausalLM",
    "PhiForCausalLM",
    "PhiMoEForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
    "Qwen3NextForCausalLM",
    "SmolLM3ForCausalLM",
    "Starcoder2ForCausalLM",
];

/// Looks at the small files and at the tables of the large ones.
///
/// # Errors
/// When a file is missing, cut off or something else, or when the engine does not know such a model.
pub fn look(folder: &Path) -> Result<Found, SourceError> {
    let config = json(&folder.join("config.json"))?;
    let architecture = match config["architectures"].as_array().map(Vec::as_slice) {
        Some([one]) => one.as_str().unwrap_or_default(),
        _ => "",
    };
    if !ARCHITECTURES.contains(&architecture) {
        return Err(architecture_error(
            folder.display().to_string(),
            architecture,
        ));
    }
    // Mistral's own form of a tokenizer is the other one that mistral.rs reads.
    if !["tokenizer.json", "tekken.json"]
        .iter()
        .any(|name| folder.join(name).is_file())
    {
        return Err(lacking(folder, "tokenizer.json"));
    }
    let mut weights = Weights::default();
    for path in self::weights(folder)? {
        weights.add(&path)?;
    }
    let tied = config["tie_word_embeddings"].as_bool().unwrap_or(false);
    let tokens = config["vocab_size"].as_u64().unwrap_or(0);
    Ok(weights.weigh(tied, tokens, architecture == "LlamaForCausalLM"))
}

/// The sentence for an architecture that is not in the list.
pub fn architecture_error(model: String, architecture: &str) -> SourceError {
    SourceError::Architecture {
        model,
        architecture: architecture.to_owned(),
        known: ARCHITECTURES.join(", "),
    }
}

/// The files with the weights, in the order of their names.
///
/// # Errors
/// When there are none, or when one is missing of those that the folder's own list or the files' names promise.
pub fn weights(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let unreadable = |cause| SourceError::Unreadable {
        path: folder.to_owned(),
        cause,
    };
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry
            .map_err(unreadable)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if name == "model.safetensors"
            || (name.starts_with("model-") && name.ends_with(".safetensors"))
        {
            names.insert(name);
        }
    }
    let mut promised = BTreeSet::new();
    let list = folder.join("model.safetensors.index.json");
    if list.is_file() {
        let list = json(&list)?;
        let files = list["weight_map"]
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::values);
        promised.extend(files.filter_map(Value::as_str).map(str::to_owned));
    } else {
        promised.extend(names.iter().filter_map(|name| siblings(name)).flatten());
    }
    if promised.is_empty() && names.is_empty() {
        return Err(lacking(folder, "model.safetensors"));
    }
    if let Some(file) = promised.difference(&names).next() {
        return Err(lacking(folder, file));
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// The names of all parts, when this is the name of one: `model-00001-of-00002.safetensors`.
fn siblings(name: &str) -> Option<Vec<String>> {
    let (part, parts) = name
        .strip_prefix("model-")?
        .strip_suffix(".safetensors")?
        .split_once("-of-")?;
    let (_, number) = (part.parse::<u32>().ok()?, parts.parse::<u32>().ok()?);
    let width = part.len();
    // A name that promises more than any model has is just a name.
    (number <= 10_000).then(|| {
        (1..=number)
            .map(|part| format!("model-{part:0width$}-of-{parts}.safetensors"))
            .collect()
    })
}

fn lacking(folder: &Path, file: &str) -> SourceError {
    SourceError::Lacking {
        folder: folder.to_owned(),
        file: file.to_owned(),
    }
}

fn json(path: &Path) -> Result<Value, SourceError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|fault| SourceError::Damaged {
            path: path.to_owned(),
            what: format!("it is no JSON ({fault})"),
        }),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            if folder.is_dir() {
                let name = path.file_name().unwrap_or_default();
                return Err(lacking(folder, &name.to_string_lossy()));
            }
            Err(SourceError::Unreadable {
                path: folder.to_owned(),
                cause,
            })
        }
        Err(cause) => Err(SourceError::Unreadable {
            path: path.to_owned(),
            cause,
        }),
    }
}

/// Sums over the tensors of all files.
#[derive(Default)]
struct Weights {
    bytes: u64,
    parameters: u64,
    /// The numbers of the table of embeddings, of the output matrix, of all other matrices, and of the rest.
    table: u64,
    output: u64,
    matrices: u64,
    rest: u64,
}

impl Weights {
    fn add(&mut self, path: &Path) -> Result<(), SourceError> {
        let (bytes, table) = safetensors::table(path)?;
        self.bytes = self.bytes.saturating_add(bytes);
        for (name, tensor) in table.iter().filter(|(name, _)| *name != "__metadata__") {
            let shape = tensor["shape"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let numbers = shape
                .iter()
                .filter_map(Value::as_u64)
                .fold(1, u64::saturating_mul);
            let sum = match shape.len() {
                _ if name.contains("embed_tokens") => &mut self.table,
                _ if name.starts_with("lm_head") => &mut self.output,
                2.. => &mut self.matrices,
                _ => &mut self.rest,
            };
            *sum = sum.saturating_add(numbers);
            self.parameters = self.parameters.saturating_add(numbers);
        }
        Ok(())
    }

    /// What the weights take in memory. mistral.rs 0.8.1 holds matrices as Q8_0 (34 bytes for 32 numbers), the table of
    /// embeddings and the rest as f16, and a tied table as Q8_0 as well, for the output. The reading pass, which takes
    /// a Llama only, holds the tables as they are and all else as f32.
    fn weigh(&self, tied: bool, tokens: u64, llama: bool) -> Found {
        let times = |numbers: u64, bytes: u64| numbers.saturating_mul(bytes);
        let q8 = |numbers: u64| times(numbers.div_ceil(32), 34);
        let sum = |parts: &[u64]| parts.iter().copied().fold(0, u64::saturating_add);
        let quantized = sum(&[
            q8(self.matrices),
            q8(self.output),
            times(sum(&[self.table, self.rest]), 2),
            if tied { q8(self.table) } else { 0 },
            memory::ENGINE,
            times(tokens, memory::TOKEN),
        ]);
        let pass = [
            times(sum(&[self.table, self.output]), 2),
            times(sum(&[self.matrices, self.rest]), memory::PASS_NUMBER),
            memory::PASS,
        ];
        Found {
            bytes: self.bytes,
            parameters: self.parameters,
            dense: if llama {
                sum(&[quantized, sum(&pass)])
            } else {
                quantized
            },
            quantized,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::scratch::Scratch;

    const CONFIG: &str =
        r#"{"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": true, "vocab_size": 7}"#;

    fn tensors(table: &str, bytes: usize) -> Vec<u8> {
        let mut file = (table.len() as u64).to_le_bytes().to_vec();
        file.extend(table.as_bytes());
        file.resize(file.len() + bytes, 0);
        file
    }

    fn whole() -> Vec<u8> {
        let table = r#"{"__metadata__": {"format": "pt"},
            "model.embed_tokens.weight": {"dtype": "BF16", "shape": [64, 2], "data_offsets": [0, 256]},
            "a.weight": {"dtype": "BF16", "shape": [32, 2], "data_offsets": [256, 384]},
            "norm.weight": {"dtype": "BF16", "shape": [32], "data_offsets": [384, 448]}}"#;
        tensors(table, 448)
    }

    fn folder(config: &str, files: &[(&str, &[u8])]) -> Scratch {
        let scratch = Scratch::new();
        scratch.write("m/config.json", config);
        scratch.write("m/tokenizer.json", "{}");
        for (name, bytes) in files {
            scratch.write(&format!("m/{name}"), bytes);
        }
        scratch
    }

    fn verdict(scratch: &Scratch) -> Result<Found, SourceError> {
        look(&scratch.path("m"))
    }

    #[test]
    fn a_whole_folder_is_weighed() {
        let folder = folder(
            CONFIG,
            &[
                ("model.safetensors", &whole()),
                ("adapter.safetensors", b""),
            ],
        );
        // The matrix and the tied table as Q8_0, the table and the norm as f16.
        let engine = 2 * 34 + 4 * 34 + 2 * 160 + memory::ENGINE + 7 * memory::TOKEN;
        let found = Found {
            bytes: whole().len() as u64,
            parameters: 128 + 64 + 32,
            dense: engine + 2 * 128 + 5 * 96 + memory::PASS,
            quantized: engine,
        };
        assert_eq!(verdict(&folder).unwrap(), found);
    }

    #[test]
    fn weights_cut_off_anywhere_are_truncated() {
        let whole = whole();
        for length in 0..whole.len() {
            match verdict(&folder(CONFIG, &[("model.safetensors", &whole[..length])])) {
                Err(SourceError::Truncated { bytes, needed, .. }) => {
                    assert!(
                        bytes == length as u64 && bytes < needed && needed <= whole.len() as u64
                    );
                }
                other => panic!("{length} of {} bytes: {other:?}", whole.len()),
            }
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let (one, two) = (
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        );
        let list = format!(r#"{{"weight_map": {{"a": "{one}", "b": "{two}"}}}}"#);
        let whole = whole();
        for (files, missing) in [
            (vec![], "model.safetensors"),
            (vec![(one, &whole[..])], two),
            (vec![(two, &whole[..])], one),
            (
                vec![
                    ("model.safetensors.index.json", list.as_bytes()),
                    (two, &whole[..]),
                ],
                one,
            ),
            (vec![("model.safetensors.index.json", list.as_bytes())], one),
        ] {
            let said = verdict(&folder(CONFIG, &files)).unwrap_err().to_string();
            assert!(
                said.ends_with(&format!(" lacks {missing}")),
                "{missing} in {said:?}"
            );
        }
        let both = folder(CONFIG, &[(one, &whole), (two, &whole)]);
        assert_eq!(verdict(&both).unwrap().parameters, 2 * 224);

        for file in ["config.json", "tokenizer.json"] {
            let scratch = folder(CONFIG, &[("model.safetensors", &whole)]);
            fs::remove_file(scratch.path("m").join(file)).unwrap();
            let said = verdict(&scratch).unwrap_err().to_string();
            assert!(said.ends_with(&format!(" lacks {file}")), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_loaded_is_told_apart() {
        let bert = r#"{"architectures": ["BertForMaskedLM"]}"#;
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
        let garbage = tensors("{\"a\": nonsense}", 8);
        for (config, weights, words) in [
            (
                bert,
                &whole()[..],
                "the architecture \"BertForMaskedLM\", which is not supported; these are: Deep",
            ),
            ("{}", &whole()[..], "the architecture \"\""),
            ("[]", &whole()[..], "the architecture \"\""),
            ("so", &whole()[..], "config.json is damaged: it is no JSON"),
            (CONFIG, pointer, "run `git lfs pull`"),
            (
                CONFIG,
                b"PK\x03\x04 and the rest of a zip",
                "is not a safetensors file",
            ),
            (CONFIG, &garbage, "is not a safetensors file"),
        ] {
            let said = verdict(&folder(config, &[("model.safetensors", weights)]))
                .unwrap_err()
                .to_string();
            assert!(said.contains(words), "{words:?} in {said:?}");
        }
    }
}
