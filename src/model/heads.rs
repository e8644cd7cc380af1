//! The encoder with its heads: from a batch to department logits, dispute logits and embeddings in one pass.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;

use super::batch::Batch;
use super::bert::{Bert, Look};
use super::config::BertConfig;
use super::layers::{Linear, StepDropout};
use super::ops::{self, Products};

/// `BertForSequenceClassification` with a second head. Names in the checkpoint: `bert.…`, `bert.pooler.dense`, `classifier`
/// (departments), as transformers has them, and `dispute_head`.
#[derive(Debug, Clone)]
pub struct Classifier {
    bert: Bert,
    pooler: Linear,
    department_head: Linear,
    dispute_head: Option<Linear>,
}

/// What the heads say, one row for each look.
#[derive(Debug)]
pub struct HeadOutput {
    /// [looks, departments].
    pub department_logits: Tensor,
    /// [looks]; `None` if the model has no dispute head.
    pub dispute_logits: Option<Tensor>,
    /// The [CLS] rows, each of length one: [looks, hidden].
    pub embeddings: Tensor,
}

/// Standard deviation of fresh heads, BERT's own.
const HEAD_STDEV: f64 = 0.02;

impl Classifier {
    /// Loads encoder, pooler and heads for `departments` labels.
    pub fn load(config: &BertConfig, departments: usize, with_dispute_head: bool, vb: VarBuilder<'_>) -> Result<Self> {
        let hidden = config.hidden_size;
        let bert = vb.pp("bert");
        let dispute_head = match with_dispute_head {
            true => Some(Linear::load(hidden, 1, HEAD_STDEV, vb.pp("dispute_head"))?),
            false => None,
        };
        Ok(Self {
            bert: Bert::load(config, bert.clone())?,
            pooler: Linear::load(hidden, hidden, HEAD_STDEV, bert.pp("pooler").pp("dense"))?,
            department_head: Linear::load(hidden, departments, HEAD_STDEV, vb.pp("classifier"))?,
            dispute_head,
        })
    }

    /// The same with the encoder's matrix products computed by `products`. The heads stay as they are: they cost nothing.
    pub fn with_products(mut self, products: Products) -> Self {
        self.bert.set_products(products);
        self
    }

    /// The encoder alone.
    pub fn encoder(&self) -> &Bert {
        &self.bert
    }

    /// Runs the encoder once and every head on its result. `looks` come in the order of the batch's sequences.
    pub fn forward(&self, batch: &Batch, looks: &[Look], dropout: Option<&StepDropout>) -> Result<HeadOutput> {
        let cls = self.bert.cls(batch, looks, dropout)?;
        let pooled = self.pooler.forward(&cls)?.tanh()?;
        let pooled = ops::dropout(&pooled, dropout.map(|dropout| &dropout.hidden))?;
        let department_logits = self.department_head.forward(&pooled)?;
        let dispute_logits = match &self.dispute_head {
            Some(head) => Some(head.forward(&pooled)?.squeeze(D::Minus1)?),
            None => None,
        };
        let length = (cls.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?;
        Ok(HeadOutput { department_logits, dispute_logits, embeddings: cls.broadcast_div(&length)? })
    }
}
