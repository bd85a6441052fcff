//! The engine, mistral.rs: loading a model, the tokens of a text, letting it write. The only file that names
//! `mistralrs`; what the rest sees are tokens, logits, text and JSON.
//!
//! One sequence at a time, because on a CPU several share the same cores and only lengthen each answer; no prefix
//! cache, because on a CPU nothing is ever evicted from it (mistral.rs #1961).

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use mistralrs::{
    Constraint, CustomLogitsProcessor, GgufModelBuilder, IsqType, MessageContent, NormalRequest,
    Request, RequestMessage, Response, SamplingParams, StopTokens, Tensor, TextModelBuilder,
    TokenSource,
    core::{AddModelConfig, Pipeline},
    model_builder_trait::{build_gguf_pipeline, build_model_from_pipeline, build_text_pipeline},
};
use tokio::sync::mpsc;

use super::{Chat, Drawing, ModelError, Piece, Reading, Stop, Written, vocabulary::Vocabulary};
use crate::source::{self, ModelSource};

/// Log directives that leave of the engine's own lines only the warnings.
pub const QUIET: &str = "mistralrs_core=warn,mistralrs_quant=warn";

/// Whether the program was built for machines without a GPU.
pub(super) const ON_CPU: bool = !cfg!(feature = "cuda");

/// A loaded model.
pub(super) struct Engine {
    inner: mistralrs::Model,
    ends: Vec<u32>,
}

type Pipe = Arc<tokio::sync::Mutex<dyn Pipeline>>;

impl Engine {
    /// Loads a model. To be called on a thread that may block: mistral.rs does.
    pub(super) async fn load(source: &ModelSource) -> anyhow::Result<(Self, Vocabulary)> {
        let (pipeline, scheduler, config) = build(source).await?;
        let (tokenizer, ends) = {
            let pipeline = pipeline.lock().await;
            (
                pipeline.tokenizer(),
                pipeline.get_metadata().eos_tok.clone(),
            )
        };
        let tokenizer = tokenizer.ok_or_else(|| anyhow::anyhow!("it has no tokenizer"))?;
        let added = tokenizer.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| token.special);
        let special = special.map(|(&id, _)| id).collect();
        let size = tokenizer.get_vocab_size(true);
        let (encoder, decoder, names) = (Arc::clone(&tokenizer), Arc::clone(&tokenizer), tokenizer);
        let vocabulary = Vocabulary::new(
            Box::new(move |text| {
                let encoding = encoder.encode_fast(text, false);
                let encoding =
                    encoding.map_err(|cause| ModelError::Tokenizer(cause.to_string()))?;
                Ok(encoding.get_ids().to_vec())
            }),
            Box::new(move |tokens| {
                let text = decoder.decode(tokens, true);
                text.map_err(|cause| ModelError::Tokenizer(cause.to_string()))
            }),
            special,
            size,
            |token| names.token_to_id(token),
        );
        let inner = build_model_from_pipeline(pipeline, scheduler, config).await;
        Ok((Self { inner, ends }, vocabulary))
    }

    /// The logits of `tokens` as the next one after `prompt`. Nothing is drawn at random and no text is parsed.
    pub(super) async fn read(
        &self,
        prompt: Vec<u32>,
        tokens: &[u32],
    ) -> Result<Reading, ModelError> {
        let reader = Arc::new(Reader {
            tokens: tokens.to_vec(),
            logits: Mutex::default(),
        });
        let sampling = SamplingParams {
            max_len: Some(1),
            ..SamplingParams::deterministic()
        };
        let message = RequestMessage::CompletionTokens(prompt);
        let answer = self.complete(message, sampling, reader.clone()).await?;
        let logits =
            std::mem::take(&mut *reader.logits.lock().unwrap_or_else(PoisonError::into_inner));
        if logits.len() != tokens.len() {
            let why = "it went on without showing its logits";
            return Err(ModelError::Engine(why.to_owned()));
        }
        Ok(Reading {
            logits: vec![logits],
            tokens: answer.prompt_tokens + answer.completion_tokens,
        })
    }

    /// Lets the model write one line of at most `max_tokens` tokens; fewer when `stop` says so.
    pub(super) async fn write(
        &self,
        prompt: Vec<u32>,
        drawing: Drawing,
        max_tokens: usize,
        stop: &Stop,
    ) -> Result<Written, ModelError> {
        let sampling = SamplingParams {
            max_len: Some(max_tokens),
            stop_toks: Some(StopTokens::Seqs(vec!["\n".to_owned()])),
            ..sampling(drawing)
        };
        let message = RequestMessage::CompletionTokens(prompt);
        self.complete(message, sampling, self.ender(stop)).await
    }

    /// Answers a conversation in OpenAI's own JSON, piece by piece when it is to be streamed. The receiver may be
    /// dropped at any time.
    pub(super) async fn chat(
        &self,
        chat: Chat,
        vocabulary: &Vocabulary,
        stop: &Stop,
        pieces: &mpsc::Sender<Piece>,
    ) -> Result<(), ModelError> {
        let (sender, mut answers) = mpsc::channel(64);
        let messages = chat.messages.into_iter().map(|(role, content)| {
            [("role".to_owned(), role), ("content".to_owned(), content)]
                .map(|(name, value)| (name, MessageContent::Left(value)))
                .into_iter()
                .collect()
        });
        let message = RequestMessage::Chat {
            messages: messages.collect(),
            enable_thinking: None,
            reasoning_effort: None,
        };
        let sampling = SamplingParams {
            max_len: Some(chat.max_tokens),
            stop_toks: (!chat.stop.is_empty()).then_some(StopTokens::Seqs(chat.stop)),
            ..sampling(chat.drawing)
        };
        let mut request = NormalRequest::new_simple(message, sampling, sender, 0, None, None);
        request.is_streaming = chat.stream;
        request.return_logprobs = chat.top_logprobs.is_some();
        if let Some(schema) = chat.schema {
            request.constraint = Constraint::JsonSchema(schema);
        }
        let watcher = Arc::new(Watcher {
            most: chat.top_logprobs.unwrap_or(0),
            seen: Mutex::default(),
        });
        // The watcher before the ender, whose logits say nothing.
        let ender: Arc<dyn CustomLogitsProcessor> = self.ender(stop);
        request.logits_processors = Some(vec![watcher.clone(), ender]);
        self.send(request).await?;
        // Heard to the end even when nobody reads any more: parts of mistral.rs panic when nobody listens.
        while let Some(answer) = answers.recv().await {
            let (piece, last) = match answer {
                Response::Done(done) => (Piece::whole(&done, vocabulary, || watcher.next())?, true),
                Response::Chunk(chunk) => {
                    let last = chunk
                        .choices
                        .iter()
                        .all(|choice| choice.finish_reason.is_some());
                    (Piece::part(&chunk, vocabulary, || watcher.next())?, last)
                }
                other => return Err(failure(other)),
            };
            if pieces.send(piece).await.is_err() {
                stop.now();
            }
            if last {
                break;
            }
        }
        Ok(())
    }

    /// One request for a completion. It must not be dropped half-way: parts of mistral.rs panic when nobody listens.
    async fn complete(
        &self,
        message: RequestMessage,
        sampling: SamplingParams,
        processor: Arc<dyn CustomLogitsProcessor>,
    ) -> Result<Written, ModelError> {
        let (sender, mut answers) = mpsc::channel(1);
        let mut request = NormalRequest::new_simple(message, sampling, sender, 0, None, None);
        request.logits_processors = Some(vec![processor]);
        self.send(request).await?;
        match answers.recv().await {
            Some(Response::CompletionDone(answer)) => {
                let choice = answer.choices.into_iter().next();
                let choice = choice
                    .ok_or_else(|| ModelError::Engine("it answered without a text".to_owned()))?;
                Ok(Written {
                    finished: choice.finish_reason != "length",
                    text: choice.text,
                    prompt_tokens: answer.usage.prompt_tokens,
                    completion_tokens: answer.usage.completion_tokens,
                })
            }
            Some(other) => Err(failure(other)),
            None => Err(ModelError::Engine("it gave no answer".to_owned())),
        }
    }

    async fn send(&self, request: NormalRequest) -> Result<(), ModelError> {
        let engine = self.inner.inner().get_sender(None);
        let engine = engine.map_err(|cause| ModelError::Engine(cause.to_string()))?;
        let request = Request::Normal(Box::new(request));
        let sent = engine.send(request).await;
        sent.map_err(|cause| ModelError::Engine(cause.to_string()))
    }

    fn ender(&self, stop: &Stop) -> Arc<Ender> {
        Arc::new(Ender {
            ends: self.ends.clone(),
            stop: stop.clone(),
        })
    }
}

fn failure(response: Response) -> ModelError {
    ModelError::Engine(match response {
        Response::InternalError(cause) | Response::ValidationError(cause) => cause.to_string(),
        Response::CompletionModelError(cause, _) | Response::ModelError(cause, _) => cause,
        _ => "it answered something else than was asked".to_owned(),
    })
}

fn sampling(drawing: Drawing) -> SamplingParams {
    match drawing {
        Drawing::Likeliest => SamplingParams::deterministic(),
        Drawing::AtRandom { temperature, top_p } => SamplingParams {
            temperature: Some(temperature),
            top_p: Some(top_p),
            top_k: Some(64),
            // A small model falls into loops without it.
            frequency_penalty: Some(0.3),
            ..SamplingParams::neutral()
        },
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
            let logit = all.get(token as usize).copied();
            logit.unwrap_or(f32::NEG_INFINITY)
        };
        *self.logits.lock().unwrap_or_else(PoisonError::into_inner) =
            self.tokens.iter().map(logit).collect();
        Ok(logits.clone())
    }
}

/// Keeps the likeliest tokens of each step. mistral.rs tells likelihoods too, but of what its own choice has left over:
/// nothing but one token, when the likeliest is to be taken.
struct Watcher {
    most: usize,
    seen: Mutex<VecDeque<Vec<(u32, f32)>>>,
}

impl Watcher {
    /// Number and natural logarithm of the probability of the likeliest tokens of the next step not yet told of.
    fn next(&self) -> Vec<(u32, f32)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.pop_front().unwrap_or_default()
    }
}

impl CustomLogitsProcessor for Watcher {
    fn apply(&self, logits: &Tensor, _context: &[u32]) -> mistralrs::Result<Tensor> {
        if self.most > 0 {
            let all = logits.to_vec1::<f32>()?;
            let highest = all.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total = all.iter().map(|logit| (logit - highest).exp()).sum::<f32>();
            let norm = highest + total.ln();
            let mut likely: Vec<(u32, f32)> = (0..).zip(all).collect();
            let place = self.most.min(likely.len().saturating_sub(1));
            likely.select_nth_unstable_by(place, |a, b| b.1.total_cmp(&a.1));
            likely.truncate(self.most);
            likely.sort_by(|a, b| b.1.total_cmp(&a.1));
            likely.iter_mut().for_each(|(_, logit)| *logit -= norm);
            self.seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_back(likely);
        }
        Ok(logits.clone())
    }
}

/// Leaves the model nothing but to end its text once nobody waits for it.
struct Ender {
    ends: Vec<u32>,
    stop: Stop,
}

impl CustomLogitsProcessor for Ender {
    fn apply(&self, logits: &Tensor, _context: &[u32]) -> mistralrs::Result<Tensor> {
        if !self.stop.is_due() {
            return Ok(logits.clone());
        }
        let mut all = vec![f32::NEG_INFINITY; logits.elem_count()];
        for &end in &self.ends {
            if let Some(logit) = all.get_mut(end as usize) {
                *logit = 0.0;
            }
        }
        Tensor::from_vec(all, logits.shape(), logits.device())
    }
}

/// Always quantized: what is written comes a token at a time, and a token's time is that of reading all weights.
async fn build(
    source: &ModelSource,
) -> anyhow::Result<(Pipe, mistralrs::SchedulerConfig, AddModelConfig)> {
    let mut token = None;
    let id = match source {
        ModelSource::File(path) => {
            let path = path.canonicalize()?;
            let folder = path.parent().unwrap_or(Path::new("/")).display();
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let builder = GgufModelBuilder::new(folder, vec![file.into_owned()])
                .with_max_num_seqs(1)
                .with_prefix_cache_n(None);
            let builder = if ON_CPU {
                builder.with_force_cpu()
            } else {
                builder
            };
            return build_gguf_pipeline(builder).await;
        }
        ModelSource::Folder(path) => path.display().to_string(),
        ModelSource::Hub(id) => {
            token = source::token()?;
            id.clone()
        }
    };
    let builder = TextModelBuilder::new(id)
        .with_max_num_seqs(1)
        .with_prefix_cache_n(None)
        .with_isq(IsqType::Q8_0);
    let builder = match token {
        Some(token) => builder.with_token_source(TokenSource::Literal(token)),
        None => builder,
    };
    let builder = if ON_CPU {
        builder.with_force_cpu()
    } else {
        builder
    };
    build_text_pipeline(builder).await
}
