//! A question to the model: a prompt that ends where a label would come next, and classes of words of which each
//! could be that label. How likely a class is is the mean over its words, which is steadier than any one word: a
//! small model has habits about single words that have nothing to do with the text.

use std::{collections::HashSet, sync::Arc};

use crate::{
    model::{Ask, Head, Labels, Model, ModelError, Reading},
    prompt::Prompt,
};

/// A prompt and its classes of labels, ready for one model.
#[derive(Debug)]
pub struct Question {
    prompt: Prompt,
    head: Arc<Head>,
    labels: Arc<Labels>,
    /// How many labels each class has.
    sizes: Vec<usize>,
}

impl Question {
    /// Prepares a prompt file and its classes of words. A word counts by its first token; one that begins like a word
    /// of another class is left out.
    ///
    /// # Errors
    /// When a class is left without words in this model's vocabulary, or the model fails.
    pub async fn new<W: AsRef<str>>(
        model: &Model,
        file: &str,
        classes: &[Vec<W>],
    ) -> Result<Self, ModelError> {
        let vocabulary = model.vocabulary();
        let prompt = Prompt::new(vocabulary, file)?;
        let labels = classes.iter().map(|words| {
            let words = words.iter().map(|word| format!(" {}", word.as_ref()));
            let labels = words.map(|word| vocabulary.label(prompt.tail(), &word));
            labels.collect::<Result<HashSet<u32>, _>>()
        });
        let labels = labels.collect::<Result<Vec<_>, _>>()?;
        let (mut tokens, mut sizes) = (Vec::new(), Vec::new());
        for (place, (class, words)) in labels.iter().zip(classes).enumerate() {
            let is_own = |label: &&u32| {
                let mut others = labels.iter().enumerate();
                !others.any(|(other, class)| other != place && class.contains(*label))
            };
            let before = tokens.len();
            tokens.extend(class.iter().filter(is_own));
            // A set has no order; what is computed should not depend on one.
            tokens[before..].sort_unstable();
            sizes.push(tokens.len() - before);
            if tokens.len() == before {
                let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
                return Err(ModelError::Tokenizer(format!(
                    "the words {words:?} begin like those of another label, so they cannot be told apart"
                )));
            }
        }
        let head = model.head(prompt.head().to_vec()).await?;
        Ok(Self {
            head: Arc::new(head),
            labels: Arc::new(model.labels(tokens)?),
            prompt,
            sizes,
        })
    }

    /// Prepares a prompt file that asks for everything: `count` words spread evenly over the vocabulary.
    ///
    /// # Errors
    /// When the model fails.
    pub async fn open(model: &Model, file: &str, count: usize) -> Result<Self, ModelError> {
        let prompt = Prompt::new(model.vocabulary(), file)?;
        let tokens: Vec<u32> = model.vocabulary().spread(count);
        let sizes = vec![1; tokens.len()];
        let head = model.head(prompt.head().to_vec()).await?;
        Ok(Self {
            head: Arc::new(head),
            labels: Arc::new(model.labels(tokens)?),
            prompt,
            sizes,
        })
    }

    /// The question about one text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn about(&self, model: &Model, text: &str) -> Result<Ask, ModelError> {
        let mut text = self.prompt.rest(model.vocabulary(), text)?;
        // The last token of the tail is where the answer is read; the model wants it by itself.
        let last = text.pop().into_iter().collect();
        Ok(Ask {
            head: Arc::clone(&self.head),
            text,
            questions: vec![(last, Arc::clone(&self.labels))],
        })
    }

    /// For each class, the mean logit of its words.
    ///
    /// # Errors
    /// When a logit is missing or no number.
    pub fn means(&self, reading: &Reading) -> Result<Vec<f32>, ModelError> {
        let logits = reading.logits.first().map_or(&[] as &[f32], Vec::as_slice);
        let mut rest = logits;
        let means = self.sizes.iter().map(|&size| {
            let (class, others) = rest.split_at_checked(size)?;
            rest = others;
            let mean = class.iter().sum::<f32>() / size as f32;
            mean.is_finite().then_some(mean)
        });
        let means: Option<Vec<f32>> = means.collect();
        means.ok_or_else(|| ModelError::Engine("it gave no logits for the labels".to_owned()))
    }
}

/// Reads a labels file: a class a line, its name, a colon, its words.
#[must_use]
pub fn classes(file: &'static str) -> Vec<Vec<&'static str>> {
    let lines = file.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(_, words)| words.split_whitespace().collect())
        .collect()
}
