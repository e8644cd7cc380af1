//! The memory of a batch under way. It grows to the largest batch and is used again.

use std::ops::Range;

use super::attention::AttentionScratch;
use super::last::LastScratch;
use super::layer::BlockScratch;
use super::precision::Kernels;
use super::{Look, Sequence, looks_of};
use crate::model::kernels::{Aligned, MAX_ROWS};

/// One batch's memory.
#[derive(Default)]
pub(super) struct Workspace {
    /// (word, position, type) of each token.
    pub(super) ids: Vec<[u32; 3]>,
    /// Where each sequence begins, and the end of the last.
    pub(super) offsets: Vec<usize>,
    /// What each look may not see.
    pub(super) hidden_ranges: Vec<Range<usize>>,
    /// Where each sequence's looks begin, and the end of the last.
    pub(super) first_look: Vec<usize>,
    /// Hidden states [tokens, hidden].
    pub(super) x: Aligned,
    /// [tokens, 3 * hidden] as attention takes them.
    pub(super) qkv: Aligned,
    /// [heads, tokens, size]; the last layer's: [looks, hidden].
    pub(super) context: Aligned,
    pub(super) attention: Vec<AttentionScratch>,
    pub(super) block: Vec<BlockScratch>,
    pub(super) last: LastScratch,
    /// One for each core, while they share the columns of a product.
    pub(super) shares: Vec<Aligned>,
}

impl Workspace {
    /// Writes down where everything is.
    pub(super) fn lay_out(&mut self, sequences: &[Sequence<'_>], looks: &[Look]) {
        self.ids.clear();
        self.offsets.clear();
        self.offsets.push(0);
        for sequence in sequences {
            let tokens = sequence.ids.iter().zip(sequence.type_ids).zip(0u32..);
            self.ids.extend(tokens.map(|((word, kind), position)| [*word, position, *kind]));
            self.offsets.push(self.ids.len());
        }
        looks_of(looks, sequences.len(), &mut self.hidden_ranges, &mut self.first_look);
    }

    /// Makes room for `tokens` tokens in `blocks` blocks.
    pub(super) fn fit(&mut self, tokens: usize, hidden: usize, blocks: usize, heads: usize, kernels: &Kernels) {
        self.x.resize_words(tokens * hidden);
        // A kernel of tiles reads the last queries' tile to its end.
        self.qkv.resize((tokens + MAX_ROWS) * 3 * hidden * kernels.projected().size());
        self.context.resize_words(tokens * hidden);
        if self.block.len() < blocks {
            self.block.resize_with(blocks, BlockScratch::default);
        }
        if self.attention.len() < heads {
            self.attention.resize_with(heads, || AttentionScratch::new(kernels.attention()));
        }
    }
}
