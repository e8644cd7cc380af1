//! The encoder: BERT (Devlin et al. 2019), one definition for training and serving.
//!
//! Ours, because candle-transformers' cannot be fine-tuned. What it computes is Hugging Face's `BertModel`; the logits are
//! compared with PyTorch's in `tests/library/reference.rs`.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::batch::Batch;
use super::config::BertConfig;
use super::layers::{Layer, LayerNorm, StepDropout};
use super::ops::{self, AttentionShape, Products};

/// Embeddings and layers.
#[derive(Debug, Clone)]
pub struct Bert {
    word_embeddings: Tensor,
    position_embeddings: Tensor,
    token_type_embeddings: Tensor,
    embeddings_norm: LayerNorm,
    layers: Vec<Layer>,
    heads: usize,
}

/// A look at one sequence through the last layer: its [CLS] row may not attend to the tokens in `hidden`.
/// With an empty range it is the sequence as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Index of the sequence in the batch.
    pub sequence: usize,
    /// Tokens of the sequence that are hidden.
    pub hidden: Range<usize>,
}

impl Bert {
    /// One constructor for a checkpoint and for a fresh model: `vb` decides.
    pub fn load(config: &BertConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let embeddings = vb.pp("embeddings");
        let init = Init::Randn { mean: 0.0, stdev: config.initializer_range };
        let table = |rows: usize, name: &str| embeddings.pp(name).get_with_hints((rows, config.hidden_size), "weight", init);
        let layers = vb.pp("encoder").pp("layer");
        Ok(Self {
            word_embeddings: table(config.vocab_size, "word_embeddings")?,
            position_embeddings: table(config.max_position_embeddings, "position_embeddings")?,
            token_type_embeddings: table(config.type_vocab_size, "token_type_embeddings")?,
            embeddings_norm: LayerNorm::load(config, embeddings.pp("LayerNorm"))?,
            layers: (0..config.num_hidden_layers).map(|i| Layer::load(config, layers.pp(i))).collect::<Result<_>>()?,
            heads: config.num_attention_heads,
        })
    }

    /// Multiplies with `products` from now on; candle's until then.
    pub fn set_products(&mut self, products: Products) {
        self.layers.iter_mut().for_each(|layer| layer.set_products(products));
    }

    /// The hidden states of every token after each layer, the embeddings first: each [tokens, hidden].
    pub fn hidden_states(&self, batch: &Batch, dropout: Option<&StepDropout>) -> Result<Vec<Tensor>> {
        let shape = self.whole(batch);
        let mut states = vec![self.embed(batch, dropout)?];
        for layer in &self.layers {
            let next = layer.forward(&states[states.len() - 1], None, &shape, dropout)?;
            states.push(next);
        }
        Ok(states)
    }

    /// The [CLS] row after the last layer for each look, [looks, hidden]. The looks come in the order of their sequences. The last layer computes these rows and no
    /// others: a fifth of the whole encoder saved.
    pub fn cls(&self, batch: &Batch, looks: &[Look], dropout: Option<&StepDropout>) -> Result<Tensor> {
        let shape = self.whole(batch);
        let mut x = self.embed(batch, dropout)?;
        let Some((last, before)) = self.layers.split_last() else { candle_core::bail!("an encoder without layers") };
        for layer in before {
            x = layer.forward(&x, None, &shape, dropout)?;
        }
        let mut query_offsets = vec![0];
        for sequence in 0..batch.sequences() {
            let count = looks.iter().filter(|look| look.sequence == sequence).count();
            query_offsets.push(query_offsets[sequence] + count);
        }
        if !looks.is_sorted_by_key(|look| look.sequence) || query_offsets.last() != Some(&looks.len()) {
            candle_core::bail!("looks must come in the order of the batch's sequences");
        }
        let rows: Vec<u32> = looks.iter().map(|look| batch.offsets[look.sequence] as u32).collect();
        let rows = Tensor::from_vec(rows, looks.len(), x.device())?;
        let hidden = looks.iter().map(|look| look.hidden.clone()).collect();
        let shape = AttentionShape { heads: self.heads, query_offsets, key_offsets: batch.offsets.clone(), hidden };
        last.forward(&x, Some(&rows), &Arc::new(shape), dropout)
    }

    fn embed(&self, batch: &Batch, dropout: Option<&StepDropout>) -> Result<Tensor> {
        let words = self.word_embeddings.index_select(&batch.ids, 0)?;
        let positions = self.position_embeddings.index_select(&batch.positions, 0)?;
        let types = self.token_type_embeddings.index_select(&batch.type_ids, 0)?;
        let sum = self.embeddings_norm.forward(&((words + types)? + positions)?)?;
        ops::dropout(&sum, dropout.map(|dropout| &dropout.hidden))
    }

    fn whole(&self, batch: &Batch) -> Arc<AttentionShape> {
        Arc::new(AttentionShape {
            heads: self.heads,
            query_offsets: batch.offsets.clone(),
            key_offsets: batch.offsets.clone(),
            hidden: Vec::new(),
        })
    }
}
