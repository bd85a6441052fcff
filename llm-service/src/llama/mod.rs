//! A Llama that only reads: the forward pass of the architecture on CPU, in f32, for the likelihood of the next token
//! after many short texts that begin alike. It draws no tokens and writes no text; that is mistral.rs' work.
//!
//! mistral.rs answers a verdict's questions too, but it was made for writing: on a CPU it takes one sequence at a
//! time, forgets the beginning that all prompts share or keeps every prompt for ever, and reads 48 megabytes of keys
//! and values anew for each (docs/decisions.md has the measurements). This pass keeps the constant beginnings
//! ([`Head`]) for good, reads several texts at once, works out no more of the vocabulary than the labels asked about,
//! and forgets each text when it is answered.
//!
//! | file | what lives there |
//! |---|---|
//! | `mod.rs` | the pass |
//! | `weights.rs` | reading the weights from a GGUF file or a safetensors folder |
//! | `rope.rs` | rotary positions |
//! | `arithmetic.rs` | sums over rows |

pub mod arithmetic;
pub mod rope;
mod weights;

use candle_core::{Storage, Tensor};
use rayon::prelude::*;

use arithmetic::{add_products, add_weighted, dot, gated, rms_norm, softmax};
use rope::Rope;
use weights::Table;

pub use weights::Unfit;

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// Numbers per token between the layers.
    pub width: usize,
    /// Heads that ask.
    pub heads: usize,
    /// Heads that answer; each serves `heads / kv_heads` of those that ask.
    pub kv_heads: usize,
    /// Numbers per head.
    pub head_width: usize,
    /// Numbers per token inside the feed-forward part.
    pub inner: usize,
}

/// The model.
#[derive(Debug)]
pub struct Llama {
    dimensions: Dimensions,
    epsilon: f32,
    rope: Rope,
    embeddings: Table,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// None when the embeddings serve as output too.
    output: Option<Table>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    /// Queries, keys and values side by side.
    qkv: Linear,
    out: Linear,
    inner_norm: Vec<f32>,
    /// Gates and ups side by side.
    gate_up: Linear,
    down: Linear,
}

/// A matrix with one row per input, so that the multiplication need not rearrange it each time.
#[derive(Debug)]
struct Linear(Tensor);

/// The beginning of a prompt, read once.
#[derive(Debug)]
pub struct Head {
    tokens: usize,
    layers: Vec<KeysAndValues>,
}

/// What a layer remembers of some tokens.
#[derive(Debug, Default)]
struct KeysAndValues {
    /// For each head: one run of numbers per dimension, a number per token.
    keys: Vec<Vec<f32>>,
    /// For each head: one run of numbers per token.
    values: Vec<Vec<f32>>,
}

/// The labels of a question: what their logits are computed from.
#[derive(Clone, Debug)]
pub struct Labels {
    /// A row of the output matrix per label.
    rows: Vec<f32>,
}

/// A text and what is asked about it. All questions share the head and the text; each has its own continuation and
/// sees nothing of the others'.
#[derive(Clone, Debug)]
pub struct Sequence<'a> {
    /// The beginning.
    pub head: &'a Head,
    /// What follows it. Not empty.
    pub tokens: &'a [u32],
    /// What follows that, and the labels of which one comes next. Not empty, and none is without tokens.
    pub questions: Vec<(&'a [u32], &'a Labels)>,
}

impl Sequence<'_> {
    /// Tokens that go through the model: all but the head's.
    #[must_use]
    pub fn len(&self) -> usize {
        let questions = self.questions.iter();
        self.tokens.len() + questions.map(|(tokens, _)| tokens.len()).sum::<usize>()
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The rows of a batch that belong to one sequence: first those of the text, then those of each question.
struct Span<'a> {
    head: &'a Head,
    start: usize,
    text: usize,
    questions: Vec<usize>,
}

impl Span<'_> {
    fn rows(&self) -> usize {
        self.text + self.questions.iter().sum::<usize>()
    }

    /// For each row, from which row on its own question's rows are visible; before it only those of the text are.
    fn question_starts(&self) -> Vec<usize> {
        let mut starts = vec![0; self.text];
        for &length in &self.questions {
            let start = starts.len();
            starts.extend(std::iter::repeat_n(start, length));
        }
        starts
    }

    /// For each row, its place in the prompt.
    fn positions(&self) -> impl Iterator<Item = usize> {
        let questions = self.questions.iter();
        (0..self.text)
            .chain(questions.flat_map(|&length| self.text..self.text + length))
            .map(|place| self.head.tokens + place)
    }
}

impl Llama {
    /// Reads the beginning of a prompt.
    ///
    /// # Errors
    /// When a token is not of the vocabulary.
    pub fn head(&self, tokens: &[u32]) -> candle_core::Result<Head> {
        let nothing = Head {
            tokens: 0,
            layers: self.layers.iter().map(|_| self.nothing()).collect(),
        };
        if tokens.is_empty() {
            return Ok(nothing);
        }
        let span = Span {
            head: &nothing,
            start: 0,
            text: tokens.len(),
            questions: Vec::new(),
        };
        let mut layers = Vec::with_capacity(self.layers.len());
        self.pass(tokens, &[span], |seen| layers.push(seen))?;
        Ok(Head {
            tokens: tokens.len(),
            layers,
        })
    }

    /// The labels' rows of the output matrix.
    ///
    /// # Errors
    /// When a token is not of the vocabulary.
    pub fn labels(&self, tokens: &[u32]) -> candle_core::Result<Labels> {
        let table = self.output.as_ref().unwrap_or(&self.embeddings);
        Ok(Labels {
            rows: table.rows(tokens)?,
        })
    }

    /// The natural logits of the labels: for each sequence, for each question, for each label. All sequences go
    /// through the model together, so the time grows less than their number.
    ///
    /// # Errors
    /// When a token is not of the vocabulary.
    pub fn read(&self, sequences: &[Sequence<'_>]) -> candle_core::Result<Vec<Vec<Vec<f32>>>> {
        let (mut tokens, mut spans) = (Vec::new(), Vec::new());
        for sequence in sequences {
            let questions = sequence.questions.iter();
            spans.push(Span {
                head: sequence.head,
                start: tokens.len(),
                text: sequence.tokens.len(),
                questions: questions.clone().map(|(tokens, _)| tokens.len()).collect(),
            });
            tokens.extend_from_slice(sequence.tokens);
            questions.for_each(|(continuation, _)| tokens.extend_from_slice(continuation));
        }
        if tokens.is_empty() {
            return Ok(vec![Vec::new(); sequences.len()]);
        }
        let rows = self.pass(&tokens, &spans, |_| {})?;
        let width = self.dimensions.width;
        let answers = spans.iter().zip(sequences).map(|(span, sequence)| {
            let mut end = span.start + span.text;
            let questions = span.questions.iter().zip(&sequence.questions);
            questions
                .map(|(length, (_, labels))| {
                    end += length;
                    let row = &rows[(end - 1) * width..end * width];
                    let row = rms_norm(row, &self.norm, self.epsilon);
                    let labels = labels.rows.chunks_exact(width);
                    labels.map(|label| dot(&row, label)).collect()
                })
                .collect()
        });
        Ok(answers.collect())
    }

    fn nothing(&self) -> KeysAndValues {
        KeysAndValues {
            keys: vec![Vec::new(); self.dimensions.kv_heads],
            values: vec![Vec::new(); self.dimensions.kv_heads],
        }
    }

    /// All layers over all rows. `seen` is given what each layer remembers of the first span, in their order.
    fn pass(
        &self,
        tokens: &[u32],
        spans: &[Span<'_>],
        mut seen: impl FnMut(KeysAndValues),
    ) -> candle_core::Result<Vec<f32>> {
        let mut rows = self.embeddings.rows(tokens)?;
        for (place, layer) in self.layers.iter().enumerate() {
            let normed = rms_norm(&rows, &layer.attention_norm, self.epsilon);
            let qkv = layer.qkv.times(normed, <[f32]>::to_vec)?;
            let (attended, remembered) = self.attend(qkv, spans, place);
            seen(remembered);
            layer.out.times(attended, |new| add(&mut rows, new))?;
            let normed = rms_norm(&rows, &layer.inner_norm, self.epsilon);
            let inner = self.dimensions.inner;
            let activated = layer.gate_up.times(normed, |gates| {
                let mut activated = vec![0.0; gates.len() / 2];
                let chunk = inner * 8;
                activated
                    .par_chunks_mut(chunk)
                    .zip(gates.par_chunks(2 * chunk))
                    .for_each(|(out, rows)| gated(rows, inner, out));
                activated
            })?;
            layer.down.times(activated, |new| add(&mut rows, new))?;
        }
        Ok(rows)
    }

    /// Attention of one layer (Vaswani et al. 2017) with shared key and value heads (Ainslie et al. 2023); also what
    /// it remembers of the first span.
    fn attend(
        &self,
        mut qkv: Vec<f32>,
        spans: &[Span<'_>],
        layer: usize,
    ) -> (Vec<f32>, KeysAndValues) {
        let Dimensions {
            heads,
            kv_heads,
            head_width,
            ..
        } = self.dimensions;
        let (asking, answering) = (heads * head_width, kv_heads * head_width);
        let row_width = asking + 2 * answering;
        let positions: Vec<usize> = spans.iter().flat_map(Span::positions).collect();
        qkv.par_chunks_exact_mut(row_width)
            .zip(positions)
            .for_each(|(row, position)| self.rope.turn(&mut row[..asking + answering], position));
        let group = heads / kv_heads * head_width;
        let tasks: Vec<(&Span<'_>, usize)> = spans
            .iter()
            .flat_map(|span| (0..kv_heads).map(move |head| (span, head)))
            .collect();
        let answers: Vec<_> = tasks
            .par_iter()
            .map(|&(span, head)| {
                let rows = &qkv[span.start * row_width..(span.start + span.rows()) * row_width];
                let own = OwnRows {
                    rows,
                    row_width,
                    asking: head * group..(head + 1) * group,
                    keys: asking + head * head_width,
                    values: asking + answering + head * head_width,
                };
                own.attend(span, head, layer, head_width)
            })
            .collect();
        let mut attended = vec![0.0; qkv.len() / row_width * asking];
        let mut remembered = self.nothing();
        for (&(span, head), answer) in tasks.iter().zip(answers) {
            let rows = attended[span.start * asking..].chunks_exact_mut(asking);
            for (row, answer) in rows.zip(answer.attended.chunks_exact(group)) {
                row[head * group..(head + 1) * group].copy_from_slice(answer);
            }
            if span.start == 0 {
                remembered.keys[head] = answer.keys;
                remembered.values[head] = answer.values;
            }
        }
        (attended, remembered)
    }
}

/// The rows of one sequence, and where in a row one key and value head and those who ask it stand.
struct OwnRows<'a> {
    rows: &'a [f32],
    row_width: usize,
    asking: std::ops::Range<usize>,
    keys: usize,
    values: usize,
}

/// What one key and value head answers to one sequence.
struct Answer {
    attended: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl OwnRows<'_> {
    fn attend(&self, span: &Span<'_>, head: usize, layer: usize, head_width: usize) -> Answer {
        let count = span.rows();
        let mut keys = vec![0.0; head_width * count];
        let mut values = Vec::with_capacity(head_width * count);
        for (place, row) in self.rows.chunks_exact(self.row_width).enumerate() {
            for (dimension, &number) in row[self.keys..][..head_width].iter().enumerate() {
                keys[dimension * count + place] = number;
            }
            values.extend_from_slice(&row[self.values..][..head_width]);
        }
        let before = &span.head.layers[layer];
        let known = span.head.tokens;
        let starts = span.question_starts();
        let scale = 1.0 / (head_width as f32).sqrt();
        let mut scores = vec![0.0; known + count];
        let mut attended = vec![0.0; count * self.asking.len()];
        let answers = attended.chunks_exact_mut(self.asking.len());
        let rows = self.rows.chunks_exact(self.row_width);
        for (place, (row, answers)) in rows.zip(answers).enumerate() {
            let scores = &mut scores[..known + place + 1];
            let queries = row[self.asking.clone()].chunks_exact(head_width);
            for (query, answer) in queries.zip(answers.chunks_exact_mut(head_width)) {
                scores.fill(0.0);
                let (scores_before, scores_own) = scores.split_at_mut(known);
                add_products(query, &before.keys[head], known, scores_before);
                add_products(query, &keys, count, scores_own);
                // The other questions' rows; none for a row of the text.
                if let Some(hidden) = scores_own.get_mut(span.text..starts[place]) {
                    hidden.fill(f32::NEG_INFINITY);
                }
                for score in scores.iter_mut() {
                    *score *= scale;
                }
                softmax(scores);
                let (weights_before, weights_own) = scores.split_at(known);
                add_weighted(weights_before, &before.values[head], answer);
                add_weighted(weights_own, &values, answer);
            }
        }
        Answer {
            attended,
            keys,
            values,
        }
    }
}

impl Linear {
    /// Multiplies rows by the matrix and hands the product on.
    fn times<R>(&self, rows: Vec<f32>, next: impl FnOnce(&[f32]) -> R) -> candle_core::Result<R> {
        let inputs = self.0.dim(0)?;
        let shape = (rows.len() / inputs, inputs);
        let product = Tensor::from_vec(rows, shape, self.0.device())?.matmul(&self.0)?;
        let (storage, _) = product.storage_and_layout();
        match &*storage {
            Storage::Cpu(numbers) => Ok(next(numbers.as_slice()?)),
            _ => candle_core::bail!("the weights are not in main memory"),
        }
    }
}

fn add(rows: &mut [f32], new: &[f32]) {
    for (row, new) in rows.iter_mut().zip(new) {
        *row += new;
    }
}
