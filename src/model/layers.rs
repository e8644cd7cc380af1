//! The encoder's building blocks, with the names that they have in a checkpoint.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::config::BertConfig;
use super::ops::{self, AttentionShape, Dropout, Products};

/// y = x wᵀ + b.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
    products: Products,
}

impl Linear {
    /// `weight` [outer, inner] and `bias` [outer] under `vb`.
    pub fn load(inner: usize, outer: usize, stdev: f64, vb: VarBuilder<'_>) -> Result<Self> {
        let weight = vb.get_with_hints((outer, inner), "weight", Init::Randn { mean: 0.0, stdev })?;
        let bias = vb.get_with_hints(outer, "bias", Init::Const(0.0))?;
        Ok(Self { weight, bias, products: Products::Candle })
    }

    /// `x` [rows, inner] -> [rows, outer].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::linear(x, &self.weight, &self.bias, self.products)
    }
}

/// Layer normalisation of each row.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// `weight` and `bias` [hidden] under `vb`.
    pub fn load(config: &BertConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let weight = vb.get_with_hints(config.hidden_size, "weight", Init::Const(1.0))?;
        let bias = vb.get_with_hints(config.hidden_size, "bias", Init::Const(0.0))?;
        Ok(Self { weight, bias, epsilon: config.layer_norm_eps })
    }

    /// `x` [rows, hidden].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(x, &self.weight, &self.bias, self.epsilon)
    }
}

/// The two dropouts of one training step; `None` when serving.
#[derive(Debug)]
pub struct StepDropout {
    /// Of hidden states.
    pub hidden: Dropout,
    /// Of attention probabilities.
    pub attention: Dropout,
}

/// One transformer layer: attention, then the feed-forward part, each added to its input and normalised (post-norm).
#[derive(Debug, Clone)]
pub struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

impl Layer {
    /// Loads `attention.self.query`, …, `output.LayerNorm` under `vb`.
    pub fn load(config: &BertConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (hidden, middle, stdev) = (config.hidden_size, config.intermediate_size, config.initializer_range);
        let attention = vb.pp("attention");
        Ok(Self {
            query: Linear::load(hidden, hidden, stdev, attention.pp("self").pp("query"))?,
            key: Linear::load(hidden, hidden, stdev, attention.pp("self").pp("key"))?,
            value: Linear::load(hidden, hidden, stdev, attention.pp("self").pp("value"))?,
            attention_output: Linear::load(hidden, hidden, stdev, attention.pp("output").pp("dense"))?,
            attention_norm: LayerNorm::load(config, attention.pp("output").pp("LayerNorm"))?,
            intermediate: Linear::load(hidden, middle, stdev, vb.pp("intermediate").pp("dense"))?,
            output: Linear::load(middle, hidden, stdev, vb.pp("output").pp("dense"))?,
            output_norm: LayerNorm::load(config, vb.pp("output").pp("LayerNorm"))?,
        })
    }

    /// Multiplies with `products` from now on.
    pub fn set_products(&mut self, products: Products) {
        let attention = [&mut self.query, &mut self.key, &mut self.value, &mut self.attention_output];
        for linear in attention.into_iter().chain([&mut self.intermediate, &mut self.output]) {
            linear.products = products;
        }
    }

    /// `x` [tokens, hidden] to the layer's result for the rows of `queries`: all of them if it is `None`.
    /// `shape` tells which queries belong to which tokens.
    pub fn forward(
        &self,
        x: &Tensor,
        queries: Option<&Tensor>,
        shape: &Arc<AttentionShape>,
        dropout: Option<&StepDropout>,
    ) -> Result<Tensor> {
        let hidden_dropout = dropout.map(|dropout| &dropout.hidden);
        let asking = match queries {
            Some(rows) => x.index_select(rows, 0)?,
            None => x.clone(),
        };
        let (q, k, v) = (self.query.forward(&asking)?, self.key.forward(x)?, self.value.forward(x)?);
        let context = ops::attention(&q, &k, &v, shape, dropout.map(|dropout| &dropout.attention))?;
        let attended = ops::dropout(&self.attention_output.forward(&context)?, hidden_dropout)?;
        let attended = self.attention_norm.forward(&(attended + asking)?)?;
        let middle = ops::gelu(&self.intermediate.forward(&attended)?)?;
        let output = ops::dropout(&self.output.forward(&middle)?, hidden_dropout)?;
        self.output_norm.forward(&(output + attended)?)
    }
}
