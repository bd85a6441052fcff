//! The language model: loading it, reading the likelihood of its next token, letting it write. The only file that
//! names mistral.rs; everything else sees tokens, probabilities and text.
//!
//! Measured on CPU: one sequence at a time, because several share the same cores and only lengthen each answer; no
//! prefix cache, because on a CPU nothing is evicted from it (mistral.rs #1961).

use std::{
    collections::HashSet,
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mistralrs::{
    CompletionResponse, CustomLogitsProcessor, GgufModelBuilder, IsqType, ModelDType,
    NormalRequest, Request, RequestMessage, Response, SamplingParams, StopTokens, Tensor,
    TextModelBuilder,
    core::{AddModelConfig, Pipeline},
    model_builder_trait::{build_gguf_pipeline, build_model_from_pipeline, build_text_pipeline},
};

use crate::source::{ModelSource, SourceError};

/// The environment variable by which candle, mistral.rs' tensor library, turns quantized weights into f32 while it
/// loads them. Each of its threads reads it once, so it must be in the environment before the program starts.
pub const DENSE_VARIABLE: &str = "CANDLE_DEQUANTIZE_ALL";

/// Log directives that leave of the engine's own lines only the warnings.
pub const QUIET: &str = "mistralrs_core=warn,mistralrs_quant=warn";

/// The tokens that begin a text in the vocabularies of models that were trained with such a token. mistral.rs adds
/// it for a Hugging Face tokenizer but not for the tokenizer in a GGUF.
const BEGINNINGS: [&str; 2] = ["<|begin_of_text|>", "<s>"];

/// A loaded model.
pub struct Model {
    engine: mistralrs::Model,
    encode: Encode,
    decode: Decode,
    special: HashSet<u32>,
    beginning: Vec<u32>,
    about: About,
}

type Encode = Box<dyn Fn(&str) -> Result<Vec<u32>, ModelError> + Send + Sync>;
type Decode = Box<dyn Fn(&[u32]) -> Result<String, ModelError> + Send + Sync>;

/// What is said about a model when it starts.
#[derive(Clone, Debug)]
pub struct About {
    /// Short name, as in verdicts.
    pub name: String,
    /// Bytes of the file; unknown for a repository.
    pub bytes: Option<u64>,
    /// Whether the weights are f32 in memory.
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
    /// Everything else: a gated repository, an unknown architecture, too little memory.
    #[error("the model {name} cannot be loaded: {cause}")]
    Broken {
        /// Short name.
        name: String,
        /// mistral.rs' words.
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

/// What [`Model::read`] found.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The natural logits of the tokens asked about, in their order.
    pub logits: Vec<f32>,
    /// Tokens read.
    pub prompt_tokens: usize,
    /// Tokens taken: one, which is thrown away.
    pub completion_tokens: usize,
}

/// How the model chooses its words.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Always the likeliest: the same prompt gives the same text.
    Steady,
    /// At random, in proportion to likelihood: no two texts alike.
    Lively,
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

/// Whether the process was started with the environment that `dense` needs; otherwise it has to start itself anew
/// with [`DENSE_VARIABLE`] set to 1, or without it.
#[must_use]
pub fn environment_fits(dense: bool) -> bool {
    let set = std::env::var(DENSE_VARIABLE).is_ok_and(|value| !value.is_empty() && value != "0");
    set == dense
}

impl Model {
    /// Loads a model; seconds for a file, minutes for a download.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn load(source: &ModelSource, dense: bool) -> Result<Self, LoadError> {
        let start = Instant::now();
        let name = source.name();
        let broken = |cause: String| LoadError::Broken {
            name: name.clone(),
            cause,
        };
        let bytes = source.check().await?;
        let wanted = source.clone();
        let runtime = tokio::runtime::Handle::current();
        // mistral.rs blocks while it loads, and panics on some faults; a thread of its own takes both.
        let (engine, pipeline) =
            tokio::task::spawn_blocking(move || runtime.block_on(build(&wanted, dense)))
                .await
                .map_err(|panic| broken(panic.to_string()))?
                .map_err(|cause| broken(format!("{cause:#}")))?;
        let tokenizer = pipeline
            .lock()
            .await
            .tokenizer()
            .ok_or_else(|| broken("it has no tokenizer".to_owned()))?;
        let special = tokenizer
            .get_added_tokens_decoder()
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(&id, _)| id)
            .collect();
        let beginning = BEGINNINGS
            .iter()
            .find_map(|token| tokenizer.token_to_id(token))
            .into_iter()
            .collect();
        let (encoder, decoder) = (Arc::clone(&tokenizer), tokenizer);
        Ok(Self {
            engine,
            encode: Box::new(move |text| {
                let encoding = encoder
                    .encode_fast(text, false)
                    .map_err(|cause| ModelError::Tokenizer(cause.to_string()))?;
                Ok(encoding.get_ids().to_vec())
            }),
            decode: Box::new(move |tokens| {
                decoder
                    .decode(tokens, true)
                    .map_err(|cause| ModelError::Tokenizer(cause.to_string()))
            }),
            special,
            beginning,
            about: About {
                name,
                bytes,
                dense,
                load: start.elapsed(),
            },
        })
    }

    /// What there is to say about the model.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
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

    /// Reads how likely each of `tokens` is to come next. Nothing is drawn at random and no text is parsed.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn read(&self, prompt: Vec<u32>, tokens: &[u32]) -> Result<Reading, ModelError> {
        let sampling = SamplingParams {
            max_len: Some(1),
            ..SamplingParams::deterministic()
        };
        let reader = Arc::new(Reader {
            tokens: tokens.to_vec(),
            logits: Mutex::default(),
        });
        let answer = self.ask(prompt, sampling, Some(reader.clone())).await?;
        let logits =
            std::mem::take(&mut *reader.logits.lock().unwrap_or_else(PoisonError::into_inner));
        if logits.len() != tokens.len() {
            return Err(ModelError::Engine(
                "it went on without showing its logits".to_owned(),
            ));
        }
        Ok(Reading {
            logits,
            prompt_tokens: answer.usage.prompt_tokens,
            completion_tokens: answer.usage.completion_tokens,
        })
    }

    /// Lets the model write one line of at most `max_tokens` tokens.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn write(
        &self,
        prompt: Vec<u32>,
        manner: Manner,
        max_tokens: usize,
    ) -> Result<Written, ModelError> {
        let sampling = match manner {
            Manner::Steady => SamplingParams::deterministic(),
            Manner::Lively => SamplingParams {
                temperature: Some(0.8),
                top_p: Some(0.95),
                top_k: Some(64),
                // A small model falls into loops without it.
                frequency_penalty: Some(0.3),
                ..SamplingParams::neutral()
            },
        };
        let sampling = SamplingParams {
            max_len: Some(max_tokens),
            stop_toks: Some(StopTokens::Seqs(vec!["\n".to_owned()])),
            ..sampling
        };
        let answer = self.ask(prompt, sampling, None).await?;
        let usage = answer.usage;
        let choice = answer
            .choices
            .into_iter()
            .next()
            .ok_or_else(|| ModelError::Engine("it answered without a text".to_owned()))?;
        Ok(Written {
            finished: choice.finish_reason != "length",
            text: choice.text,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
        })
    }

    /// One request to the engine. It must not be dropped half-way: parts of mistral.rs panic when nobody listens.
    async fn ask(
        &self,
        prompt: Vec<u32>,
        sampling: SamplingParams,
        reader: Option<Arc<Reader>>,
    ) -> Result<CompletionResponse, ModelError> {
        let (sender, mut answers) = tokio::sync::mpsc::channel(1);
        let message = RequestMessage::CompletionTokens(prompt);
        let mut request = NormalRequest::new_simple(message, sampling, sender, 0, None, None);
        request.logits_processors =
            reader.map(|reader| vec![reader as Arc<dyn CustomLogitsProcessor>]);
        self.engine
            .inner()
            .get_sender(None)
            .map_err(|cause| ModelError::Engine(cause.to_string()))?
            .send(Request::Normal(Box::new(request)))
            .await
            .map_err(|cause| ModelError::Engine(cause.to_string()))?;
        match answers.recv().await {
            Some(Response::CompletionDone(answer)) => Ok(answer),
            Some(Response::InternalError(cause) | Response::ValidationError(cause)) => {
                Err(ModelError::Engine(cause.to_string()))
            }
            Some(Response::CompletionModelError(cause, _)) => Err(ModelError::Engine(cause)),
            Some(_) | None => Err(ModelError::Engine("it gave no completion".to_owned())),
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Model")
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

/// Sees the logits of the next token before one is drawn, and leaves them as they are.
struct Reader {
    tokens: Vec<u32>,
    logits: Mutex<Vec<f32>>,
}

impl CustomLogitsProcessor for Reader {
    fn apply(&self, logits: &Tensor, _context: &[u32]) -> mistralrs::Result<Tensor> {
        let all = logits.to_vec1::<f32>()?;
        let logit = |&token: &u32| {
            all.get(token as usize)
                .copied()
                .unwrap_or(f32::NEG_INFINITY)
        };
        *self.logits.lock().unwrap_or_else(PoisonError::into_inner) =
            self.tokens.iter().map(logit).collect();
        Ok(logits.clone())
    }
}

type Pipe = Arc<tokio::sync::Mutex<dyn Pipeline>>;

async fn build(source: &ModelSource, dense: bool) -> anyhow::Result<(mistralrs::Model, Pipe)> {
    let (pipeline, scheduler, config): (Pipe, _, AddModelConfig) = match source {
        ModelSource::File(path) => {
            let path = path.canonicalize()?;
            let folder = path.parent().unwrap_or(Path::new("/")).display();
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let builder = GgufModelBuilder::new(folder, vec![file])
                .with_force_cpu()
                .with_max_num_seqs(1)
                .with_prefix_cache_n(None);
            build_gguf_pipeline(builder).await?
        }
        ModelSource::Hub(id) => {
            let builder = TextModelBuilder::new(id)
                .with_force_cpu()
                .with_max_num_seqs(1)
                .with_prefix_cache_n(None);
            let builder = if dense {
                builder.with_dtype(ModelDType::F32)
            } else {
                builder.with_isq(IsqType::Q8_0)
            };
            build_text_pipeline(builder).await?
        }
    };
    let engine = build_model_from_pipeline(Arc::clone(&pipeline), scheduler, config).await;
    Ok((engine, pipeline))
}
