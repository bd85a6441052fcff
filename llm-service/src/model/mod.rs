//! The language model: how likely its next token is, what it writes. Two parts share one set of weights on disk:
//! the engine (mistral.rs, `engine.rs`) writes, and answers everything where the second part cannot; the reading pass
//! (`crate::llama`) answers the questions of verdicts, many texts at once.

mod conversation;
mod engine;
mod vocabulary;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::spawn_blocking};

use crate::{
    llama::{self, Llama, Unfit},
    source::{ModelSource, SourceError, explain_hub_failure},
};
use engine::{Engine, ON_CPU};

pub use conversation::{Chat, Piece};
pub use engine::QUIET;
pub use vocabulary::Vocabulary;

/// A loaded model.
pub struct Model {
    engine: Engine,
    reader: Option<Arc<Llama>>,
    vocabulary: Vocabulary,
    about: About,
}

/// What is said about a model when it starts.
#[derive(Clone, Debug)]
pub struct About {
    /// Where it came from.
    pub source: ModelSource,
    /// Short name, as in verdicts.
    pub name: String,
    /// Bytes of the file; unknown for a repository.
    pub bytes: Option<u64>,
    /// Whether questions are answered by the reading pass, from f32 weights; otherwise by the engine.
    pub dense: bool,
    /// How long loading took.
    pub load: Duration,
}

/// Why a model cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Everything else that the engine stumbles over.
    #[error("the model {name} cannot be loaded: {cause}")]
    Broken {
        /// Short name.
        name: String,
        /// The engine's words.
        cause: String,
    },
}

/// Why a loaded model did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The tokenizer failed, or lacks what the prompts need.
    #[error("the model's tokenizer: {0}")]
    Tokenizer(String),
    /// The engine refused or failed.
    #[error("the model's engine: {0}")]
    Engine(String),
}

impl From<candle_core::Error> for ModelError {
    fn from(error: candle_core::Error) -> Self {
        Self::Engine(error.to_string())
    }
}

/// The beginning that the prompts of some questions share, read once where the model can keep it.
#[derive(Debug)]
pub struct Head {
    tokens: Vec<u32>,
    read: Option<llama::Head>,
}

/// What comes next, of a few: their tokens.
#[derive(Debug)]
pub struct Labels {
    tokens: Vec<u32>,
    read: Option<llama::Labels>,
}

/// A text after a head, and the questions about it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The beginning.
    pub head: Arc<Head>,
    /// The text. Not empty.
    pub text: Vec<u32>,
    /// What follows the text, a question each, and the labels of which one comes next.
    pub questions: Vec<(Arc<[u32]>, Arc<Labels>)>,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// For each question, the natural logit of each label.
    pub logits: Vec<Vec<f32>>,
    /// Tokens that went through the model for it.
    pub tokens: usize,
}

/// How the model chooses its words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drawing {
    /// Always the likeliest: the same prompt gives the same text.
    Likeliest,
    /// At random, in proportion to likelihood.
    AtRandom {
        /// Above 1 more at random, towards 0 less.
        temperature: f64,
        /// Only among the likeliest tokens that together have this share of the likelihood.
        top_p: f64,
    },
}

/// What the model wrote.
#[derive(Clone, Debug)]
pub struct Written {
    /// The text after the prompt, without it.
    pub text: String,
    /// Whether the text came to an end by itself, rather than by the limit.
    pub finished: bool,
    /// Tokens read.
    pub prompt_tokens: usize,
    /// Tokens written.
    pub completion_tokens: usize,
}

/// The wish that the model end what it is writing.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Wishes it. The text ends with the next token.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_due(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Model {
    /// Loads a model; seconds for a file, minutes for a download. `dense` loads the reading pass too, where the model
    /// is a Llama: four bytes of memory per parameter.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn load(source: &ModelSource, dense: bool) -> Result<Self, LoadError> {
        let (start, dense) = (Instant::now(), dense && ON_CPU);
        let name = source.name();
        let broken = |cause: String| LoadError::Broken {
            name: name.clone(),
            cause,
        };
        let bytes = source.check(dense).await?.map(|found| found.bytes);
        let runtime = tokio::runtime::Handle::current();
        let wanted = source.clone();
        // Both block while they load, and mistral.rs panics on some faults; threads of their own take it.
        let engine = spawn_blocking(move || runtime.block_on(Engine::load(&wanted)));
        let reader = match source {
            // What is downloaded is there only when the engine has it.
            ModelSource::Hub(_) => None,
            ModelSource::File(_) | ModelSource::Folder(_) => {
                dense.then(|| spawn_reader(source)).flatten()
            }
        };
        let (engine, vocabulary) = engine
            .await
            .map_err(|panic| broken(panic.to_string()))?
            .map_err(|cause| {
                let words = format!("{cause:#}");
                let explained = match source {
                    ModelSource::Hub(id) => explain_hub_failure(id, &words),
                    ModelSource::File(_) | ModelSource::Folder(_) => None,
                };
                explained.map_or_else(|| broken(words), LoadError::Source)
            })?;
        let reader = match reader.or_else(|| dense.then(|| spawn_reader(source)).flatten()) {
            None => None,
            Some(reader) => match reader.await.map_err(|panic| broken(panic.to_string()))? {
                Ok(reader) => Some(Arc::new(reader)),
                Err(Unfit::Architecture(what)) => {
                    tracing::warn!("the engine answers the questions too, which is slower: {what}");
                    None
                }
                Err(Unfit::Broken(cause)) => return Err(broken(cause)),
            },
        };
        let about = About {
            source: source.clone(),
            name,
            bytes,
            dense: reader.is_some(),
            load: start.elapsed(),
        };
        Ok(Self {
            engine,
            reader,
            vocabulary,
            about,
        })
    }

    /// What there is to say about the model.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Its tokens.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Reads a beginning, to be kept for as long as its questions are asked.
    ///
    /// # Errors
    /// When the model fails.
    pub async fn head(&self, tokens: Vec<u32>) -> Result<Head, ModelError> {
        let Some(reader) = self.reader.clone() else {
            return Ok(Head { tokens, read: None });
        };
        blocking(move || {
            let read = reader.head(&tokens)?;
            Ok(Head {
                tokens,
                read: Some(read),
            })
        })
        .await
    }

    /// Prepares labels.
    ///
    /// # Errors
    /// When a token is not of the model's vocabulary.
    pub fn labels(&self, tokens: Vec<u32>) -> Result<Labels, ModelError> {
        let reader = self.reader.as_ref();
        let read = reader.map(|reader| reader.labels(&tokens)).transpose()?;
        Ok(Labels { tokens, read })
    }

    /// The likelihoods of the labels of each question of each ask, in their order. All go through the model together
    /// where it can do that.
    ///
    /// # Errors
    /// When the model fails.
    pub async fn read(&self, asks: Vec<Ask>) -> Result<Vec<Reading>, ModelError> {
        if let Some(reader) = self.reader.clone() {
            return blocking(move || read_together(&reader, &asks)).await;
        }
        let mut readings = Vec::with_capacity(asks.len());
        for ask in asks {
            let mut reading = Reading {
                logits: Vec::new(),
                tokens: 0,
            };
            for (continuation, labels) in &ask.questions {
                let prompt = [&ask.head.tokens, &ask.text, &**continuation].concat();
                let answer = self.engine.read(prompt, &labels.tokens).await?;
                reading.logits.extend(answer.logits);
                reading.tokens += answer.tokens;
            }
            readings.push(reading);
        }
        Ok(readings)
    }

    /// Lets the model write one line of at most `max_tokens` tokens.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn write(
        &self,
        prompt: Vec<u32>,
        drawing: Drawing,
        max_tokens: usize,
        stop: &Stop,
    ) -> Result<Written, ModelError> {
        self.engine.write(prompt, drawing, max_tokens, stop).await
    }

    /// Continues a conversation; the answer goes to `pieces`, whose receiver may be dropped at any time.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn chat(
        &self,
        chat: Chat,
        stop: &Stop,
        pieces: &mpsc::Sender<Piece>,
    ) -> Result<(), ModelError> {
        let vocabulary = &self.vocabulary;
        self.engine.chat(chat, vocabulary, stop, pieces).await
    }
}

type Loading = tokio::task::JoinHandle<Result<Llama, Unfit>>;

/// Loads the reading pass beside the engine; nothing where the weights are not on this machine.
fn spawn_reader(source: &ModelSource) -> Option<Loading> {
    if let ModelSource::File(path) = source.clone() {
        return Some(spawn_blocking(move || Llama::from_gguf(&path)));
    }
    let folder = source.folder()?;
    Some(spawn_blocking(move || Llama::from_folder(&folder)))
}

/// Runs a computation of the reading pass where it may take its time.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ModelError> + Send + 'static,
) -> Result<T, ModelError> {
    let outcome = spawn_blocking(work).await;
    outcome.map_err(|panic| ModelError::Engine(panic.to_string()))?
}

fn read_together(reader: &Llama, asks: &[Ask]) -> Result<Vec<Reading>, ModelError> {
    let unread = || ModelError::Engine("a head or label of another model".to_owned());
    let mut sequences = Vec::with_capacity(asks.len());
    for ask in asks {
        let mut questions = Vec::with_capacity(ask.questions.len());
        for (continuation, labels) in &ask.questions {
            questions.push((&**continuation, labels.read.as_ref().ok_or_else(unread)?));
        }
        sequences.push(llama::Sequence {
            head: ask.head.read.as_ref().ok_or_else(unread)?,
            tokens: &ask.text,
            questions,
        });
    }
    let tokens = sequences.iter().map(llama::Sequence::len);
    let readings = tokens.zip(reader.read(&sequences)?);
    Ok(readings
        .map(|(tokens, logits)| Reading { logits, tokens })
        .collect())
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Model")
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}
