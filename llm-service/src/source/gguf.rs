//! What the header of a GGUF file says: which kind of model it is, and where each tensor lies. The tensors themselves
//! are not read, so that a look takes milliseconds.
//!
//! The format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod reader;

use std::path::Path;

use super::{Found, SourceError, memory};
use reader::{Header, Reader};

/// The architectures that mistral.rs 0.8.1 loads from a GGUF: those that its `pipeline/gguf.rs` has a model for. Its
/// list of names (`gguf/mod.rs`) is longer.
const ARCHITECTURES: [&str; 8] = [
    "llama",
    "mistral3",
    "phi2",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3moe",
    "starcoder2",
];

/// Looks at the header and compares it with the file.
///
/// # Errors
/// When the file cannot be read, is no GGUF, is cut off, or holds what the engine cannot load.
pub fn look(path: &Path) -> Result<Found, SourceError> {
    let header = Reader::open(path)?.header()?;
    let architecture = header
        .architecture
        .clone()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if !ARCHITECTURES.contains(&architecture.as_str()) {
        return Err(SourceError::Architecture {
            model: path.display().to_string(),
            architecture,
            known: ARCHITECTURES.join(", "),
        });
    }
    if header.parts > 1 {
        return Err(SourceError::Split {
            path: path.to_owned(),
            parts: header.parts,
        });
    }
    if header.bytes < header.end {
        return Err(SourceError::Truncated {
            path: path.to_owned(),
            bytes: header.bytes,
            needed: header.end,
        });
    }
    Ok(weigh(&header, architecture == "llama"))
}

/// What the weights take in memory. mistral.rs 0.8.1 and candle hold the table of embeddings as f32, the same table a
/// second time as it is where there is no output matrix, everything else as it is; but as f32 what is not quantized.
/// The reading pass, which takes a Llama only, holds f32 but for the table and the output matrix.
fn weigh(header: &Header, llama: bool) -> Found {
    let tied = !header
        .tensors
        .iter()
        .any(|tensor| tensor.name == "output.weight");
    let (mut parameters, mut engine, mut pass, mut largest) = (0_u64, 0_u64, 0_u64, 0_u64);
    for tensor in &header.tensors {
        let as_f32 = tensor.numbers.saturating_mul(4);
        let as_is = if tensor.quantized {
            tensor.bytes
        } else {
            as_f32
        };
        let (in_engine, in_pass) = match tensor.name.as_str() {
            "token_embd.weight" if tied => (as_f32.saturating_add(as_is), tensor.bytes),
            "token_embd.weight" => (as_f32, tensor.bytes),
            "output.weight" => (as_is, tensor.bytes),
            _ => (as_is, tensor.numbers.saturating_mul(memory::PASS_NUMBER)),
        };
        parameters = parameters.saturating_add(tensor.numbers);
        engine = engine.saturating_add(in_engine);
        pass = pass.saturating_add(in_pass);
        largest = largest.max(tensor.bytes);
    }
    // While it is loaded, a tensor is there as it came from the file as well.
    let beside = [
        largest,
        memory::ENGINE,
        header.tokens.saturating_mul(memory::TOKEN),
    ];
    let quantized = beside.into_iter().fold(engine, u64::saturating_add);
    Found {
        bytes: header.bytes,
        parameters,
        dense: if llama {
            quantized.saturating_add(pass).saturating_add(memory::PASS)
        } else {
            quantized
        },
        quantized,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::scratch::Scratch;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    fn fact(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        [&text(key), &kind.to_le_bytes()[..], value].concat()
    }

    fn tensor(name: &str, shape: &[u64], kind: u32, offset: u64) -> Vec<u8> {
        let mut entry = text(name);
        entry.extend((shape.len() as u32).to_le_bytes());
        entry.extend(shape.iter().flat_map(|side| side.to_le_bytes()));
        entry.extend(kind.to_le_bytes());
        entry.extend(offset.to_le_bytes());
        entry
    }

    /// A file with room for all its tensors: a tied table of 64 × 4 in Q8_0 and a norm of 64 in F32.
    fn file(architecture: &str, more: &[Vec<u8>], kind: u32) -> Vec<u8> {
        let tokens = ["a", "bc"].map(text).concat();
        let list = [&8_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &tokens].concat();
        let nested = [
            &9_u32.to_le_bytes()[..],
            &1_u64.to_le_bytes(),
            &2_u32.to_le_bytes(),
            &3_u64.to_le_bytes(),
            &[0; 6],
        ];
        let mut facts = vec![
            fact("general.architecture", 8, &text(architecture)),
            fact("general.alignment", 4, &64_u32.to_le_bytes()),
            fact("tokenizer.ggml.tokens", 9, &list),
            fact("a.number", 10, &[0; 8]),
            fact("another", 6, &[0; 4]),
            fact("lists", 9, &nested.concat()),
        ];
        facts.extend_from_slice(more);
        let tensors = [
            tensor("token_embd.weight", &[64, 4], kind, 0),
            tensor("output_norm.weight", &[64], 0, 320),
        ];
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend((facts.len() as u64).to_le_bytes());
        bytes.extend(facts.concat());
        bytes.extend(tensors.concat());
        bytes.resize(bytes.len().div_ceil(64) * 64 + 320 + 256, 0);
        bytes
    }

    fn verdict(bytes: &[u8]) -> Result<Found, SourceError> {
        let scratch = Scratch::new();
        look(&scratch.write("m.gguf", bytes))
    }

    fn fault(bytes: &[u8]) -> String {
        verdict(bytes).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_file_is_weighed() {
        let whole = file("llama", &[], 8);
        // The table as f32 and again as the output, the norm, the table on its way.
        let engine = 4 * 256 + 272 + 4 * 64 + 272 + memory::ENGINE + 2 * memory::TOKEN;
        let found = Found {
            bytes: whole.len() as u64,
            parameters: 256 + 64,
            dense: engine + 272 + 5 * 64 + memory::PASS,
            quantized: engine,
        };
        let other = file("qwen2", &[], 8);
        assert_eq!(
            verdict(&other).unwrap().dense,
            engine,
            "the reading pass takes a Llama only"
        );
        assert_eq!(verdict(&whole).unwrap(), found);
    }

    #[test]
    fn a_file_cut_off_anywhere_is_truncated() {
        let whole = file("llama", &[], 8);
        for length in 0..whole.len() {
            match verdict(&whole[..length]) {
                Err(SourceError::NotGguf(_)) if length < 4 => {}
                Err(SourceError::Truncated { bytes, needed, .. }) => {
                    assert!(
                        bytes == length as u64 && bytes < needed && needed <= whole.len() as u64
                    );
                }
                other => panic!("{length} of {} bytes: {other:?}", whole.len()),
            }
        }
        let said = fault(&whole[..whole.len() - 1]);
        let size = whole.len();
        assert!(
            said.contains(&format!(
                "truncated: it has {} bytes and needs at least {size}",
                size - 1
            )),
            "{said}"
        );
    }

    #[test]
    fn what_cannot_be_loaded_is_told_apart() {
        let parts = [fact("split.count", 2, &3_u16.to_le_bytes())];
        for (bytes, words) in [
            (
                file("gpt2", &[], 8),
                "the architecture \"gpt2\", which is not supported; these are: llama, mistral3",
            ),
            (file("", &[], 8), "the architecture \"\""),
            (file("llama", &parts, 8), "is one of 3 parts of a model"),
            (
                file("llama", &[], 23),
                "weights of the type IQ4_XS, which is not supported; take a file with one of F32",
            ),
            (file("llama", &[], 77), "weights of the type 77"),
            (
                file(
                    "llama",
                    &[fact(
                        "x",
                        9,
                        &[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].repeat(9),
                    )],
                    8,
                ),
                "is damaged: it has a list",
            ),
            (
                file("llama", &[fact("x", 40, &[])], 8),
                "is damaged: it has a value of the type 40",
            ),
            (
                b"GGUF\0\0\0\x03 and so on, the other way round".to_vec(),
                "the version 50331648",
            ),
            (
                b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
                "run `git lfs pull`",
            ),
            (b"PK\x03\x04".to_vec(), "is not a GGUF file"),
        ] {
            let said = fault(&bytes);
            assert!(said.contains(words), "{words:?} in {said:?}");
        }
    }

    #[test]
    fn the_first_version_of_the_format_counts_in_32_bits() {
        let mut bytes = b"GGUF".to_vec();
        for number in [1_u32, 1, 1, 20] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(b"general.architecture");
        bytes.extend([8_u32, 5].map(u32::to_le_bytes).concat());
        bytes.extend(b"llama");
        bytes.extend(13_u32.to_le_bytes());
        bytes.extend(b"output.weight");
        bytes.extend([1_u32, 6, 0, 0, 0].map(u32::to_le_bytes).concat());
        bytes.resize(bytes.len().div_ceil(32) * 32 + 24, 0);
        assert_eq!(verdict(&bytes).unwrap().parameters, 6);
        assert!(fault(&bytes[..bytes.len() - 1]).contains("truncated"));
    }

    proptest! {
        #[test]
        fn no_header_is_too_broken_to_be_looked_at(changes in prop::collection::vec((4_usize..420, any::<u8>()), 1..6)) {
            let mut bytes = file("llama", &[], 8);
            for (place, byte) in changes {
                bytes[place] = byte;
            }
            // Neither a panic nor an allocation for what is not there.
            let _ = verdict(&bytes);
        }
    }
}
