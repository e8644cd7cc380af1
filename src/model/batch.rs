//! A batch: the tokens of several appeals laid end to end, with the place where each begins. No padding, so no answer depends on
//! what else is in the batch, and no time goes into nothing.

use candle_core::{Device, Result, Tensor, bail};

/// Tokens of several sequences.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Vocabulary ids, u32 [tokens].
    pub ids: Tensor,
    /// Token types, u32 [tokens].
    pub type_ids: Tensor,
    /// Position of each token in its sequence, u32 [tokens].
    pub positions: Tensor,
    /// Where each sequence begins, and the end of the last.
    pub offsets: Vec<usize>,
}

impl Batch {
    /// Lays sequences of (ids, type ids) end to end.
    pub fn new<'a>(sequences: impl IntoIterator<Item = (&'a [u32], &'a [u32])>, device: &Device) -> Result<Self> {
        let (mut ids, mut type_ids, mut positions, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), vec![0]);
        for (sequence, types) in sequences {
            if sequence.is_empty() || sequence.len() != types.len() {
                bail!("batch: a sequence of {} ids with {} token types", sequence.len(), types.len());
            }
            ids.extend_from_slice(sequence);
            type_ids.extend_from_slice(types);
            positions.extend(0..sequence.len() as u32);
            offsets.push(ids.len());
        }
        if ids.is_empty() {
            bail!("batch: no sequences");
        }
        let tokens = ids.len();
        Ok(Self {
            ids: Tensor::from_vec(ids, tokens, device)?,
            type_ids: Tensor::from_vec(type_ids, tokens, device)?,
            positions: Tensor::from_vec(positions, tokens, device)?,
            offsets,
        })
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }
}
