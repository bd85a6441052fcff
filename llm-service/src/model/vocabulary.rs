//! Text ↔ tokens, and how a person's text is kept from becoming anything but text.

use std::{collections::HashSet, fmt};

use super::ModelError;

/// The tokens that begin a text in the vocabularies of models that were trained with such a token. mistral.rs adds
/// it for a Hugging Face tokenizer but not for the tokenizer in a GGUF.
const BEGINNINGS: [&str; 2] = ["<|begin_of_text|>", "<s>"];

type Encode = Box<dyn Fn(&str) -> Result<Vec<u32>, ModelError> + Send + Sync>;
type Decode = Box<dyn Fn(&[u32]) -> Result<String, ModelError> + Send + Sync>;

/// A model's tokens.
pub struct Vocabulary {
    encode: Encode,
    decode: Decode,
    special: HashSet<u32>,
    beginning: Vec<u32>,
    size: usize,
}

impl Vocabulary {
    pub(super) fn new(
        encode: Encode,
        decode: Decode,
        special: HashSet<u32>,
        size: usize,
        number: impl Fn(&str) -> Option<u32>,
    ) -> Self {
        let beginning = BEGINNINGS.iter().find_map(|token| number(token));
        Self {
            encode,
            decode,
            special,
            size,
            beginning: beginning.into_iter().collect(),
        }
    }

    /// The tokens that every prompt begins with: one, or none.
    #[must_use]
    pub fn beginning(&self) -> &[u32] {
        &self.beginning
    }

    /// The tokens of `text`, never a special one, whatever `text` holds.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let mut tokens = (self.encode)(text)?;
        tokens.retain(|token| !self.special.contains(token));
        Ok(tokens)
    }

    /// The text of `tokens`.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, ModelError> {
        (self.decode)(tokens)
    }

    /// `count` tokens spread evenly over the vocabulary; all of it when it is smaller.
    #[must_use]
    pub fn spread(&self, count: usize) -> Vec<u32> {
        let count = count.min(self.size);
        let places = (0..count).map(|place| (place * self.size + self.size / 2) / count);
        places
            .filter_map(|token| u32::try_from(token).ok())
            .collect()
    }

    /// The first token of `label` where it follows `before`, in this model's own vocabulary.
    ///
    /// # Errors
    /// When the vocabulary joins the two, so that there is no such token.
    pub fn label(&self, before: &str, label: &str) -> Result<u32, ModelError> {
        let alone = self.encode(before)?;
        let both = self.encode(&format!("{before}{label}"))?;
        match both.strip_prefix(alone.as_slice()) {
            Some([first, ..]) => Ok(*first),
            _ => Err(ModelError::Tokenizer(format!(
                "the label {label:?} does not begin with a token of its own after {before:?}"
            ))),
        }
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Vocabulary")
            .field("beginning", &self.beginning)
            .finish_non_exhaustive()
    }
}
