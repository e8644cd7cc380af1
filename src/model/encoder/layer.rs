//! What happens to a block of rows in a layer, apart from attention.

use super::linear::{PackedLinear, Then};
use super::norm::{Norm, add_and_normalise};
use super::rows::Rows;
use crate::model::kernels::{Aligned, Element};

/// Memory of one block.
#[derive(Default)]
pub(super) struct BlockScratch {
    pub(super) rows: Rows,
    gathered: Aligned,
    middle: Aligned,
    pub(super) result: Aligned,
}

/// Where a block's context comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Rows as they are.
    Rows(&'a [f32]),
    /// What attention left, head by head: `context` [heads, tokens, size], the rows from `first` on.
    Heads { context: &'a [f32], tokens: usize, size: usize, first: usize },
}

/// A layer that is not the last.
pub(super) struct Layer {
    /// Query, key and value in one product.
    pub(super) qkv: PackedLinear,
    pub(super) forward: FeedForward,
}

impl Layer {
    /// `x` [rows, hidden] to queries, keys and values [rows, 3 * hidden] as attention takes them.
    pub(super) fn project(&self, x: &[f32], element: Element, qkv: &mut [u32], scratch: &mut BlockScratch) {
        self.qkv.prepare(&mut scratch.rows, x);
        match element {
            Element::F32 => self.qkv.run(&scratch.rows, Then::Keep, bytemuck::cast_slice_mut(qkv)),
            _ => self.qkv.run_halves(&scratch.rows, bytemuck::cast_slice_mut(qkv)),
        }
    }
}

/// A layer behind its attention: output projection, residual, norm, feed-forward, residual, norm.
pub(super) struct FeedForward {
    pub(super) attention_output: PackedLinear,
    pub(super) attention_norm: Norm,
    pub(super) intermediate: PackedLinear,
    pub(super) output: PackedLinear,
    pub(super) output_norm: Norm,
}

impl FeedForward {
    /// `x` [rows, hidden], the layer's input, becomes its output. For `shares` see [`PackedLinear::run_shared`].
    pub(super) fn run(&self, source: Source<'_>, x: &mut [f32], scratch: &mut BlockScratch, shares: &mut [Aligned]) {
        let hidden = self.output_norm.weight.len();
        let rows = x.len() / hidden;
        let BlockScratch { rows: prepared, gathered, middle, result } = scratch;
        let context = match source {
            Source::Rows(context) => context,
            Source::Heads { context, tokens, size, first } => {
                let gathered = gathered.resize_words(x.len());
                for (head, context) in context.chunks_exact(tokens * size).take(hidden / size).enumerate() {
                    for (row, context) in context[first * size..][..rows * size].chunks_exact(size).enumerate() {
                        gathered[row * hidden + head * size..][..size].copy_from_slice(context);
                    }
                }
                &*gathered
            }
        };
        let result = result.resize_words(x.len());
        self.attention_output.prepare(prepared, context);
        self.attention_output.run_shared(prepared, Then::Keep, result, shares);
        add_and_normalise(&self.attention_norm, x, result);
        self.intermediate.prepare(prepared, x);
        let middle = middle.resize_words(rows * self.intermediate.outer());
        self.intermediate.run_shared(prepared, Then::Gelu, middle, shares);
        self.output.prepare(prepared, middle);
        self.output.run_shared(prepared, Then::Keep, result, shares);
        add_and_normalise(&self.output_norm, x, result);
    }
}
