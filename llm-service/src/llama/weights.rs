//! The weights of a Llama, read from a GGUF file or a safetensors folder and laid out for the pass in `mod.rs`.

use std::{collections::HashMap, fs::File, io::BufReader, path::Path};

use candle_core::{
    DType, Device, Tensor,
    quantized::{QStorage, QTensor, gguf_file},
    safetensors,
};
use rayon::prelude::*;
use serde::Deserialize;

use super::{
    Dimensions, Layer, Linear, Llama,
    rope::{Pairs, Rope, Stretch},
};

/// Why a model is not read by this pass.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is something else than a Llama.
    #[error("it is not a plain Llama: {0}")]
    Architecture(String),
    /// It cannot be read.
    #[error("{0}")]
    Broken(String),
}

impl From<candle_core::Error> for Unfit {
    fn from(error: candle_core::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<std::io::Error> for Unfit {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// A matrix of which only some rows are needed at a time; kept as the file has it.
#[derive(Debug)]
pub(super) enum Table {
    Quantized { tensor: QTensor, width: usize },
    Plain(Tensor),
}

impl Table {
    /// The rows of these tokens, one after the other.
    pub(super) fn rows(&self, tokens: &[u32]) -> candle_core::Result<Vec<f32>> {
        match self {
            Self::Plain(tensor) => {
                let places = Tensor::new(tokens, tensor.device())?;
                let rows = tensor.index_select(&places, 0)?;
                rows.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
            }
            Self::Quantized { tensor, width } => {
                let kind = tensor.dtype();
                let bytes = width / kind.block_size() * kind.type_size();
                let all = tensor.data()?;
                let mut chosen = Vec::with_capacity(tokens.len() * bytes);
                for &token in tokens {
                    let start = token as usize * bytes;
                    match all.get(start..start + bytes) {
                        Some(row) => chosen.extend_from_slice(row),
                        None => candle_core::bail!("token {token} is not in the vocabulary"),
                    }
                }
                // Borrowed: candle 0.10 frees an owned buffer before it copies it.
                let storage = QStorage::from_data((&chosen).into(), &Device::Cpu, kind)?;
                let rows = QTensor::new(storage, (tokens.len(), *width))?;
                rows.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()
            }
        }
    }
}

impl From<QTensor> for Table {
    fn from(tensor: QTensor) -> Self {
        let width = tensor.shape().dims().last().copied().unwrap_or(0);
        Self::Quantized { tensor, width }
    }
}

/// A layer's matrices as the file has them, outputs first.
struct RawLayer<T> {
    attention_norm: T,
    inner_norm: T,
    qkv: [T; 3],
    out: T,
    gate_up: [T; 2],
    down: T,
}

impl<T: Sync> RawLayer<T> {
    fn build(
        self,
        dense: impl Fn(&T) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Layer> {
        let vector = |raw: &T| dense(raw)?.flatten_all()?.to_vec1();
        let linear = |parts: &[T]| -> candle_core::Result<Linear> {
            let parts = parts
                .iter()
                .map(&dense)
                .collect::<candle_core::Result<Vec<_>>>()?;
            Ok(Linear(Tensor::cat(&parts, 0)?.t()?.contiguous()?))
        };
        Ok(Layer {
            attention_norm: vector(&self.attention_norm)?,
            inner_norm: vector(&self.inner_norm)?,
            qkv: linear(&self.qkv)?,
            out: linear(std::slice::from_ref(&self.out))?,
            gate_up: linear(&self.gate_up)?,
            down: linear(std::slice::from_ref(&self.down))?,
        })
    }
}

impl Llama {
    /// Reads a GGUF file, some seconds for a billion parameters.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn from_gguf(path: &Path) -> Result<Self, Unfit> {
        let mut file = BufReader::new(File::open(path)?);
        let content = gguf_file::Content::read(&mut file)?;
        let value = |name: &str| content.metadata.get(name);
        let architecture = value("general.architecture").and_then(|v| v.to_string().ok());
        if architecture.map(String::as_str) != Some("llama") {
            return Err(Unfit::Architecture(format!("{architecture:?}")));
        }
        let number = |name: &str| -> Option<usize> {
            let value = value(&format!("llama.{name}"))?;
            value
                .to_u64()
                .ok()
                .or_else(|| value.to_u32().ok().map(u64::from))?
                .try_into()
                .ok()
        };
        let required = |name: &str| {
            number(name).ok_or_else(|| Unfit::Broken(format!("its header has no llama.{name}")))
        };
        if number("expert_count").unwrap_or(0) > 1 {
            return Err(Unfit::Architecture("it has experts".to_owned()));
        }
        let (width, heads) = (
            required("embedding_length")?,
            required("attention.head_count")?,
        );
        let dimensions = Dimensions {
            width,
            heads,
            kv_heads: number("attention.head_count_kv").unwrap_or(heads),
            head_width: number("attention.key_length").unwrap_or(width / heads.max(1)),
            inner: required("feed_forward_length")?,
        };
        let real = |name: &str| value(&format!("llama.{name}")).and_then(|v| v.to_f32().ok());
        let base = real("rope.freq_base").unwrap_or(10_000.0);
        let mut rope = Rope::new(dimensions.head_width, base, Pairs::Neighbours);
        let mut tensor = |name: &str| content.tensor(&mut file, name, &Device::Cpu);
        if content.tensor_infos.contains_key("rope_freqs.weight") {
            let divisors = tensor("rope_freqs.weight")?.dequantize(&Device::Cpu)?;
            rope = rope.divided(&divisors.flatten_all()?.to_vec1::<f32>()?);
        }
        let mut raw = Vec::new();
        for place in 0..required("block_count")? {
            let mut part = |name: &str| tensor(&format!("blk.{place}.{name}.weight"));
            raw.push(RawLayer {
                attention_norm: part("attn_norm")?,
                inner_norm: part("ffn_norm")?,
                qkv: [part("attn_q")?, part("attn_k")?, part("attn_v")?],
                out: part("attn_output")?,
                gate_up: [part("ffn_gate")?, part("ffn_up")?],
                down: part("ffn_down")?,
            });
        }
        let output = match content.tensor_infos.contains_key("output.weight") {
            true => Some(tensor("output.weight")?.into()),
            false => None,
        };
        let layers = raw
            .into_par_iter()
            .map(|layer| layer.build(|raw| raw.dequantize(&Device::Cpu)))
            .collect::<candle_core::Result<_>>()?;
        Self {
            dimensions,
            epsilon: real("attention.layer_norm_rms_epsilon").unwrap_or(1e-5),
            rope,
            embeddings: tensor("token_embd.weight")?.into(),
            layers,
            norm: tensor("output_norm.weight")?
                .dequantize(&Device::Cpu)?
                .flatten_all()?
                .to_vec1()?,
            output,
        }
        .checked()
    }

    /// Reads a folder with `config.json` and safetensors files.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn from_folder(folder: &Path) -> Result<Self, Unfit> {
        let config = FolderConfig::read(folder)?;
        let mut tensors = HashMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "safetensors")
            {
                tensors.extend(safetensors::load(&path, &Device::Cpu)?);
            }
        }
        let mut tensor = |name: &str| {
            let missing = || Unfit::Broken(format!("its files lack the tensor {name}"));
            tensors.remove(name).ok_or_else(missing)
        };
        let mut raw = Vec::new();
        for place in 0..config.num_hidden_layers {
            let mut part = |name: &str| tensor(&format!("model.layers.{place}.{name}.weight"));
            raw.push(RawLayer {
                attention_norm: part("input_layernorm")?,
                inner_norm: part("post_attention_layernorm")?,
                qkv: [
                    part("self_attn.q_proj")?,
                    part("self_attn.k_proj")?,
                    part("self_attn.v_proj")?,
                ],
                out: part("self_attn.o_proj")?,
                gate_up: [part("mlp.gate_proj")?, part("mlp.up_proj")?],
                down: part("mlp.down_proj")?,
            });
        }
        let layers = raw
            .into_par_iter()
            .map(|layer| layer.build(|raw| raw.to_dtype(DType::F32)))
            .collect::<candle_core::Result<_>>()?;
        Self {
            dimensions: config.dimensions(),
            epsilon: config.rms_norm_eps,
            rope: config.rope(),
            embeddings: Table::Plain(tensor("model.embed_tokens.weight")?),
            layers,
            norm: tensor("model.norm.weight")?
                .to_dtype(DType::F32)?
                .to_vec1()?,
            output: tensor("lm_head.weight")
                .ok()
                .filter(|_| !config.tie_word_embeddings)
                .map(Table::Plain),
        }
        .checked()
    }

    /// The model, if its parts fit together.
    fn checked(self) -> Result<Self, Unfit> {
        let Dimensions {
            width,
            heads,
            kv_heads,
            head_width,
            inner,
        } = self.dimensions;
        if kv_heads == 0 || heads % kv_heads != 0 || head_width % 2 != 0 || width == 0 || inner == 0
        {
            return Err(Unfit::Broken(format!(
                "its sizes contradict each other: {:?}",
                self.dimensions
            )));
        }
        let qkv = (heads + 2 * kv_heads) * head_width;
        let wanted = [
            ("attention", (width, qkv)),
            ("attention output", (heads * head_width, width)),
            ("feed-forward", (width, 2 * inner)),
            ("feed-forward output", (inner, width)),
        ];
        for layer in &self.layers {
            let matrices = [&layer.qkv, &layer.out, &layer.gate_up, &layer.down];
            for (matrix, (name, shape)) in matrices.iter().zip(wanted) {
                let found = matrix.0.dims2()?;
                if found != shape {
                    return Err(Unfit::Broken(format!(
                        "its {name} is {found:?} and not {shape:?}"
                    )));
                }
            }
        }
        Ok(self)
    }
}

/// What a `config.json` says.
#[derive(Debug, Deserialize)]
struct FolderConfig {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f32,
    #[serde(default = "rope_theta")]
    rope_theta: f32,
    rope_scaling: Option<RopeScaling>,
    /// Where newer files have both; not understood here.
    rope_parameters: Option<serde_json::Value>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
}

/// What a Llama without this entry was trained with.
fn rope_theta() -> f32 {
    10_000.0
}

#[derive(Debug, Deserialize)]
struct RopeScaling {
    rope_type: Option<String>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
}

impl RopeScaling {
    fn stretch(&self) -> Option<Stretch> {
        (self.rope_type.as_deref() == Some("llama3")).then_some(())?;
        Some(Stretch {
            factor: self.factor?,
            low_freq_factor: self.low_freq_factor?,
            high_freq_factor: self.high_freq_factor?,
            original_context: self.original_max_position_embeddings?,
        })
    }
}

impl FolderConfig {
    fn read(folder: &Path) -> Result<Self, Unfit> {
        let text = std::fs::read_to_string(folder.join("config.json"))?;
        let config: Self = serde_json::from_str(&text)
            .map_err(|error| Unfit::Architecture(format!("config.json: {error}")))?;
        if config.model_type != "llama" || config.attention_bias || config.mlp_bias {
            return Err(Unfit::Architecture(format!(
                "{} (or it has biases)",
                config.model_type
            )));
        }
        if config.rope_parameters.is_some() {
            return Err(Unfit::Architecture(
                "it has rope_parameters instead of rope_theta and rope_scaling".to_owned(),
            ));
        }
        match &config.rope_scaling {
            Some(scaling) if scaling.stretch().is_none() => Err(Unfit::Architecture(format!(
                "its rope_scaling is {:?}",
                scaling.rope_type
            ))),
            _ => Ok(config),
        }
    }

    fn dimensions(&self) -> Dimensions {
        let heads = self.num_attention_heads;
        Dimensions {
            width: self.hidden_size,
            heads,
            kv_heads: self.num_key_value_heads.unwrap_or(heads),
            head_width: self.head_dim.unwrap_or(self.hidden_size / heads.max(1)),
            inner: self.intermediate_size,
        }
    }

    fn rope(&self) -> Rope {
        let rope = Rope::new(self.dimensions().head_width, self.rope_theta, Pairs::Halves);
        match self.rope_scaling.as_ref().and_then(RopeScaling::stretch) {
            Some(stretch) => rope.stretched(stretch),
            None => rope,
        }
    }
}
