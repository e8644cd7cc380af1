//! From orders to what a step reads: token ids with the category shown or hidden, labels, and which of them are known.

use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use paidan::evaluation::WorkOrder;
use paidan::model::Batch;
use paidan::routing::second_sentence;
use paidan::text::{AppealTokenizer, CleanText, Encoding, clean};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::config::TrainConfig;
use crate::dataset::Labels;
use crate::loss::target;

/// An order ready to learn from.
pub struct Example {
    text: CleanText,
    category: Vec<String>,
    appeal_type: String,
    /// Row of its department; `None` if training never saw it.
    pub department: Option<usize>,
    /// Whether it was disputed, if known.
    pub disputed: Option<bool>,
    /// What a teacher says of it, by row; it sums to one.
    pub teacher: Option<Arc<[f32]>>,
}

impl Example {
    /// Cleans the text as serving does.
    pub fn new(order: &WorkOrder, labels: &Labels) -> Self {
        let fields = order.appeal.fields();
        Self {
            text: clean(&fields.text),
            category: fields.category.clone(),
            appeal_type: fields.appeal_type.clone(),
            department: order.department.as_deref().and_then(|name| labels.row(name)),
            disputed: order.rerouted,
            teacher: None,
        }
    }

    /// Tokens with the category and type shown or hidden.
    fn encode(&self, tokenizer: &AppealTokenizer, show_category: bool, show_type: bool, max_tokens: usize) -> Result<Encoding> {
        let category: &[String] = if show_category { &self.category } else { &[] };
        let kind = if show_type { self.appeal_type.as_str() } else { "" };
        let second = second_sentence(category, kind);
        tokenizer.encode(&self.text, second.as_deref(), max_tokens).context("an order cannot be tokenized")
    }
}

/// One step's input.
pub struct StepBatch {
    /// Tokens of all its orders.
    pub tokens: Batch,
    /// What the departments' row should say, f32 [orders, departments].
    pub targets: Tensor,
    /// 1 where disputed, f32 [orders].
    pub disputed: Tensor,
    /// 1 where it is known whether it was disputed, f32 [orders].
    pub known: Tensor,
}

/// The steps of one epoch. The same seed and epoch give the same steps, so a resumed run goes on with the very next one.
pub fn epoch_batches(
    examples: &[Example],
    tokenizer: &AppealTokenizer,
    config: &TrainConfig,
    epoch: usize,
) -> Result<Vec<Vec<EncodedExample>>> {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed.wrapping_mul(1_000_003).wrapping_add(epoch as u64));
    let mut encoded = Vec::with_capacity(examples.len());
    for example in examples {
        let (Some(department), hidden, kind) = (example.department, rng.random::<f64>(), rng.random::<f64>()) else { continue };
        let show = hidden >= config.hide_category;
        let encoding = example.encode(tokenizer, show, show && kind >= config.hide_type, config.max_tokens)?;
        encoded.push(EncodedExample { encoding, department, disputed: example.disputed, teacher: example.teacher.clone() });
    }
    encoded.shuffle(&mut rng);
    // Orders of like length share a step, so that no step waits for one long order; the pools keep the mixture random.
    let mut batches: Vec<Vec<EncodedExample>> = Vec::new();
    let mut rest = encoded;
    while !rest.is_empty() {
        let mut pool: Vec<EncodedExample> = rest.drain(..rest.len().min(config.batch_size * 16)).collect();
        pool.sort_by_key(|example| example.encoding.ids.len());
        while !pool.is_empty() {
            batches.push(pool.drain(..pool.len().min(config.batch_size)).collect());
        }
    }
    batches.shuffle(&mut rng);
    Ok(batches)
}

/// An order of one epoch, tokenized.
pub struct EncodedExample {
    /// Its tokens.
    pub encoding: Encoding,
    /// Row of its department.
    pub department: usize,
    /// Whether it was disputed, if known.
    pub disputed: Option<bool>,
    /// What a teacher says of it.
    pub teacher: Option<Arc<[f32]>>,
}

impl StepBatch {
    /// Lays the orders of one step end to end, to learn `departments` apart.
    pub fn new(examples: &[EncodedExample], departments: usize, config: &TrainConfig) -> candle_core::Result<Self> {
        let device = &Device::Cpu;
        let tokens = Batch::new(examples.iter().map(|e| (&e.encoding.ids[..], &e.encoding.type_ids[..])), device)?;
        let flag = |value: bool| if value { 1f32 } else { 0.0 };
        let target = |e: &EncodedExample| {
            let teacher = e.teacher.as_deref().map(|teacher| (teacher, config.teacher_share));
            target(e.department, departments, config.label_smoothing, teacher)
        };
        let targets: Vec<f32> = examples.iter().flat_map(target).collect();
        let disputed: Vec<f32> = examples.iter().map(|e| flag(e.disputed == Some(true))).collect();
        let known: Vec<f32> = examples.iter().map(|e| flag(e.disputed.is_some())).collect();
        let count = examples.len();
        Ok(Self {
            tokens,
            targets: Tensor::from_vec(targets, (count, departments), device)?,
            disputed: Tensor::from_vec(disputed, count, device)?,
            known: Tensor::from_vec(known, count, device)?,
        })
    }
}

/// Which input validation reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Nothing but the text.
    TextOnly,
    /// Text with the operator's category and type.
    WithCategory,
}

/// Encodes all examples for validation, to at most `max_tokens`.
pub fn encode_all(
    examples: &[Example],
    tokenizer: &AppealTokenizer,
    kind: InputKind,
    max_tokens: usize,
) -> Result<Vec<Encoding>> {
    let show = kind == InputKind::WithCategory;
    examples.iter().map(|example| example.encode(tokenizer, show, show, max_tokens)).collect()
}
