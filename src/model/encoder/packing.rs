//! From a model folder's tensors to packed layers.

use std::collections::HashMap;
use std::sync::Mutex;

use candle_core::Tensor;

use super::Encoder;
use super::attention::query_factor;
use super::heads::Heads;
use super::last::{LastAttention, Weights};
use super::layer::{FeedForward, Layer};
use super::linear::PackedLinear;
use super::norm::{Embeddings, Norm, Table};
use super::precision::{Kernels, PrecisionError};
use crate::model::config::BertConfig;
use crate::model::kernels::Kernel;

/// Reads tensors by their names in a checkpoint.
struct Reader<'a> {
    tensors: &'a HashMap<String, Tensor>,
    epsilon: f32,
}

impl Reader<'_> {
    fn values(&self, name: &str) -> Result<Vec<f32>, PrecisionError> {
        let malformed = |reason: String| PrecisionError::Weights(format!("tensor {name}: {reason}"));
        let tensor = self.tensors.get(name).ok_or_else(|| malformed("missing".to_owned()))?;
        tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(|error| malformed(error.to_string()))
    }

    fn weights(&self, name: &str) -> Result<Weights, PrecisionError> {
        Ok(Weights { weight: self.values(&format!("{name}.weight"))?, bias: self.values(&format!("{name}.bias"))? })
    }

    fn linear(&self, kernel: Kernel, name: &str) -> Result<PackedLinear, PrecisionError> {
        let Weights { weight, bias } = self.weights(name)?;
        Ok(PackedLinear::pack(kernel, &weight, &bias))
    }

    fn norm(&self, name: &str) -> Result<Norm, PrecisionError> {
        let Weights { weight, bias } = self.weights(name)?;
        Ok(Norm { weight, bias, epsilon: self.epsilon })
    }

    fn projections(&self, layer: usize) -> Result<[Weights; 3], PrecisionError> {
        let part = |name: &str| self.weights(&format!("bert.encoder.layer.{layer}.attention.self.{name}"));
        Ok([part("query")?, part("key")?, part("value")?])
    }

    fn forward(&self, kernel: Kernel, layer: usize) -> Result<FeedForward, PrecisionError> {
        let name = |part: &str| format!("bert.encoder.layer.{layer}.{part}");
        let attention_norm = self.norm(&name("attention.output.LayerNorm"))?;
        let Weights { weight, bias } = self.weights(&name("intermediate.dense"))?;
        Ok(FeedForward {
            attention_output: self.linear(kernel, &name("attention.output.dense"))?,
            intermediate: PackedLinear::pack_smooth(kernel, &weight, &bias, &attention_norm.loudness()),
            attention_norm,
            output: self.linear(kernel, &name("output.dense"))?,
            output_norm: self.norm(&name("output.LayerNorm"))?,
        })
    }

    /// `factor` is what attention wants its queries multiplied by.
    fn layer(&self, kernel: Kernel, layer: usize, factor: f32) -> Result<Layer, PrecisionError> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for (part, factor) in self.projections(layer)?.into_iter().zip([factor, 1.0, 1.0]) {
            weight.extend(part.weight.iter().map(|x| x * factor));
            bias.extend(part.bias.iter().map(|x| x * factor));
        }
        let before = match layer.checked_sub(1) {
            Some(before) => self.norm(&format!("bert.encoder.layer.{before}.output.LayerNorm"))?,
            None => self.norm("bert.embeddings.LayerNorm")?,
        };
        Ok(Layer {
            qkv: PackedLinear::pack_smooth(kernel, &weight, &bias, &before.loudness()),
            forward: self.forward(kernel, layer)?,
        })
    }
}

impl Encoder {
    /// Packs a model's weights for `kernels`.
    pub(super) fn with_kernels(
        config: &BertConfig,
        tensors: &HashMap<String, Tensor>,
        kernels: Kernels,
    ) -> Result<Self, PrecisionError> {
        let reader = Reader { tensors, epsilon: config.layer_norm_eps as f32 };
        let Some(last) = config.num_hidden_layers.checked_sub(1) else {
            return Err(PrecisionError::Weights("an encoder without layers".to_owned()));
        };
        let size = config.hidden_size / config.num_attention_heads;
        let factor = query_factor(kernels.attention().element(), size);
        let embedding = |name: &str| reader.values(&format!("bert.embeddings.{name}.weight"));
        let [query, key, value] = reader.projections(last)?;
        let dispute = match tensors.contains_key("dispute_head.weight") {
            true => Some(reader.linear(kernels.exact(), "dispute_head")?),
            false => None,
        };
        Ok(Self {
            embeddings: Embeddings {
                words: Table::new(embedding("word_embeddings")?),
                positions: embedding("position_embeddings")?,
                types: embedding("token_type_embeddings")?,
                norm: reader.norm("bert.embeddings.LayerNorm")?,
            },
            layers: (0..last).map(|layer| reader.layer(kernels.linear(), layer, factor)).collect::<Result<_, _>>()?,
            last: LastAttention::new(kernels.exact(), config.num_attention_heads, [&query, &key, &value]),
            last_forward: reader.forward(kernels.linear(), last)?,
            heads: Heads {
                pooler: reader.linear(kernels.exact(), "bert.pooler.dense")?,
                departments: reader.linear(kernels.exact(), "classifier")?,
                dispute,
            },
            attention_heads: config.num_attention_heads,
            hidden: config.hidden_size,
            kernels,
            workspaces: Mutex::default(),
        })
    }
}
