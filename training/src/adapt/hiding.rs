//! Which words are hidden from the model.

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use paidan::model::Batch;
use paidan::text::{AppealTokenizer, Encoding};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::config::AdaptConfig;

/// Of the hidden words, those that `[MASK]` stands for; half of the others are replaced by another word of the step, half are left
/// as they are, so that the model may trust no word that it sees (Devlin et al. 2019).
const MASKED: f64 = 0.8;
const REPLACED: f64 = 0.1;

/// One step's input with words hidden.
pub struct Hidden {
    /// Tokens of all its passages, as the model sees them.
    pub tokens: Batch,
    /// Rows of the hidden words, u32 [hidden words].
    pub places: Tensor,
    /// What stands there in truth, u32 [hidden words].
    pub words: Tensor,
}

/// Hides words.
pub struct Hider {
    mask: u32,
    special: [u32; 2],
    share: f64,
}

impl Hider {
    /// Of a base model whose vocabulary has a `[MASK]`.
    pub fn new(tokenizer: &AppealTokenizer, config: &AdaptConfig) -> Result<Self> {
        let mask = tokenizer.mask_id().context("the base model's vocabulary has no [MASK]; it cannot guess hidden words")?;
        Ok(Self { mask, special: tokenizer.special_ids(), share: config.hide })
    }

    /// Hides its share of the words of some passages; at least one, so that every step has something to learn. `None` if there
    /// is no word at all.
    pub fn hide(&self, passages: &[Encoding], rng: &mut ChaCha8Rng) -> Result<Option<Hidden>> {
        let truth: Vec<u32> = passages.iter().flat_map(|passage| passage.ids.iter().copied()).collect();
        let words: Vec<usize> = (0..truth.len()).filter(|at| !self.special.contains(&truth[*at])).collect();
        if words.is_empty() {
            return Ok(None);
        }
        let mut places: Vec<usize> = words.iter().copied().filter(|_| rng.random::<f64>() < self.share).collect();
        if places.is_empty() {
            places.push(words[rng.random_range(0..words.len())]);
        }
        let mut seen = truth.clone();
        for place in &places {
            let draw = rng.random::<f64>();
            if draw < MASKED {
                seen[*place] = self.mask;
            } else if draw < MASKED + REPLACED {
                seen[*place] = truth[words[rng.random_range(0..words.len())]];
            }
        }
        let mut sequences = Vec::with_capacity(passages.len());
        let mut begin = 0;
        for passage in passages {
            let end = begin + passage.ids.len();
            sequences.push((&seen[begin..end], &passage.type_ids[..]));
            begin = end;
        }
        let device = &Device::Cpu;
        let hidden: Vec<u32> = places.iter().map(|place| truth[*place]).collect();
        let rows: Vec<u32> = places.iter().map(|place| *place as u32).collect();
        let count = rows.len();
        Ok(Some(Hidden {
            tokens: Batch::new(sequences, device)?,
            places: Tensor::from_vec(rows, count, device)?,
            words: Tensor::from_vec(hidden, count, device)?,
        }))
    }
}
