//! Attention of every query of a sequence over its keys, one head at a time: softmax(q kᵀ / sqrt(d)) v, scores never leaving the
//! cache. bf16 where the processor multiplies it, f32 elsewhere; softmax itself is always f32.

use std::ops::Range;

use super::rows::round;
use crate::model::kernels::{Aligned, Element, Kernel, Panels, Strip, Tile, to_bf16};
use crate::model::vector::{LANES, exp, vectorised};

/// Memory of one head, used again for the next.
pub(super) struct AttentionScratch {
    keys: Panels,
    values: Panels,
    queries: Aligned,
    scores: Aligned,
    probabilities: Aligned,
    words: Vec<u32>,
    sums: Vec<f32>,
    scaled: Vec<f32>,
}

/// Queries, keys and values of all tokens: rows of `[q | k | v]`, each `width` long.
#[derive(Clone, Copy)]
pub(super) struct Qkv<'a> {
    /// [tokens, 3 * width].
    pub(super) rows: &'a [f32],
    pub(super) width: usize,
    /// Elements of a head.
    pub(super) size: usize,
}

impl<'a> Qkv<'a> {
    /// The part of row `token` that is head `head` of query (0), key (1) or value (2).
    #[inline(always)]
    fn part(self, token: usize, which: usize, head: usize) -> &'a [f32] {
        &self.rows[(token * 3 + which) * self.width + head * self.size..][..self.size]
    }
}

impl AttentionScratch {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self {
            keys: Panels::empty(kernel),
            values: Panels::empty(kernel),
            queries: Aligned::default(),
            scores: Aligned::default(),
            probabilities: Aligned::default(),
            words: Vec::new(),
            sums: vec![0.0; kernel.rows()],
            scaled: Vec::new(),
        }
    }

    /// Head `head` of the sequence with these tokens into `out` [tokens of the sequence, size].
    pub(super) fn head(&mut self, qkv: Qkv<'_>, head: usize, tokens: Range<usize>, out: &mut [f32]) {
        let (kernel, count) = (self.keys.kernel(), tokens.len());
        self.pack_keys(qkv, head, tokens.clone());
        self.pack_values(qkv, head, tokens.clone());
        self.prepare_queries(qkv, head, tokens);
        let (columns, query_stride) = (kernel.columns(), kernel.depth_bytes(qkv.size));
        let padded = count.next_multiple_of(columns);
        let stride = kernel.depth_bytes(count);
        let mut tile = Tile::default();
        for start in (0..count).step_by(kernel.rows()) {
            let rows = kernel.rows().min(count - start);
            let queries = Strip { bytes: &self.queries.bytes()[start * query_stride..], stride: query_stride, rows };
            let scores = self.scores.resize_words(rows * padded);
            for panel in 0..self.keys.count() {
                self.keys.multiply(queries, panel, &mut tile);
                for (row, sums) in tile.floats().chunks_exact(columns).enumerate().take(rows) {
                    scores[row * padded + panel * columns..][..columns].copy_from_slice(sums);
                }
            }
            self.probabilities.resize(rows * stride);
            let sizes = Sizes { rows, count, padded, stride };
            match kernel.element() {
                Element::F32 => softmax(sizes, scores, self.probabilities.floats_mut(), &mut self.sums),
                _ => softmax_bf16(sizes, scores, bytemuck::cast_slice_mut(self.probabilities.bytes_mut()), &mut self.sums),
            }
            let probabilities = Strip { bytes: self.probabilities.bytes(), stride, rows };
            for panel in 0..self.values.count() {
                self.values.multiply(probabilities, panel, &mut tile);
                let (first, used) = self.values.columns(panel);
                let out = &mut out[start * qkv.size + first..];
                scale_rows(tile.floats(), columns, used, &self.sums[..rows], out, qkv.size);
            }
        }
    }

    fn pack_keys(&mut self, qkv: Qkv<'_>, head: usize, tokens: Range<usize>) {
        let kernel = self.keys.kernel();
        let (columns, panels) = (kernel.columns(), self.keys.reshape(tokens.len(), qkv.size));
        let used = (qkv.size * kernel.element().size()).div_ceil(4);
        let words = kernel.depth_bytes(qkv.size) / 4;
        if words != used {
            panels.fill(0);
        }
        self.words.resize(used, 0);
        for (at, token) in tokens.enumerate() {
            let key = qkv.part(token, 1, head);
            match kernel.element() {
                Element::F32 => self.words.copy_from_slice(bytemuck::cast_slice(key)),
                _ => round(key, bytemuck::cast_slice_mut(&mut self.words)),
            }
            let panel = &mut panels[(at / columns) * words * columns + at % columns..];
            for (target, word) in panel.iter_mut().step_by(columns).zip(&self.words) {
                *target = *word;
            }
        }
    }

    fn pack_values(&mut self, qkv: Qkv<'_>, head: usize, tokens: Range<usize>) {
        let kernel = self.values.kernel();
        let (columns, count) = (kernel.columns(), tokens.len());
        let panels = self.values.reshape(qkv.size, count);
        let words = kernel.depth_bytes(count) / 4;
        for (panel, data) in panels.chunks_exact_mut(words * columns).enumerate() {
            let span = panel * columns..((panel + 1) * columns).min(qkv.size);
            let value = |at: usize| &qkv.part(tokens.start + at, 2, head)[span.clone()];
            for (word, target) in data.chunks_exact_mut(columns).enumerate() {
                let target = &mut target[..span.len()];
                match kernel.element() {
                    Element::F32 => target.copy_from_slice(bytemuck::cast_slice(value(word))),
                    _ if word * 2 + 1 < count => pair(value(word * 2), value(word * 2 + 1), target),
                    _ if word * 2 < count => pair(value(word * 2), &[0.0; 64][..span.len()], target),
                    _ => target.fill(0),
                }
            }
        }
    }

    fn prepare_queries(&mut self, qkv: Qkv<'_>, head: usize, tokens: Range<usize>) {
        let kernel = self.keys.kernel();
        let (stride, used) = (kernel.depth_bytes(qkv.size), qkv.size * kernel.element().size());
        self.queries.resize(tokens.len() * stride);
        self.scaled.resize(qkv.size, 0.0);
        let scale = 1.0 / (qkv.size as f32).sqrt();
        for (target, token) in self.queries.bytes_mut().chunks_exact_mut(stride).zip(tokens) {
            for (scaled, x) in self.scaled.iter_mut().zip(qkv.part(token, 0, head)) {
                *scaled = x * scale;
            }
            match kernel.element() {
                Element::F32 => target[..used].copy_from_slice(bytemuck::cast_slice(&self.scaled)),
                _ => round(&self.scaled, bytemuck::cast_slice_mut(&mut target[..used])),
            }
            target[used..].fill(0);
        }
    }
}

vectorised! {
    /// Two neighbours in depth, in one word each.
    fn pair<'a>(first: &'a [f32], second: &'a [f32], words: &'a mut [u32]) {
        for ((word, a), b) in words.iter_mut().zip(first).zip(second) {
            *word = u32::from(to_bf16(*a)) | u32::from(to_bf16(*b)) << 16;
        }
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    /// Keys.
    count: usize,
    /// Distance of score rows.
    padded: usize,
    /// Distance of probability rows, in bytes.
    stride: usize,
}

/// e^(score - highest score) of each score in place, their sum returned.
#[inline(always)]
fn exponentials(scores: &mut [f32]) -> f32 {
    let mut highest = [f32::NEG_INFINITY; LANES];
    let mut chunks = scores.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (highest, &x) in highest.iter_mut().zip(chunk) {
            *highest = if x > *highest { x } else { *highest };
        }
    }
    let rest = chunks.remainder().iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let highest = highest.into_iter().fold(rest, f32::max);
    for score in scores.iter_mut() {
        *score = exp(*score - highest);
    }
    crate::model::vector::sum(scores)
}

vectorised! {
    /// Probabilities but for the division by their sum, as f32.
    fn softmax<'a>(sizes: Sizes, scores: &'a mut [f32], out: &'a mut [f32], sums: &'a mut [f32]) {
        for row in 0..sizes.rows {
            let scores = &mut scores[row * sizes.padded..][..sizes.count];
            sums[row] = exponentials(scores);
            out[row * sizes.stride / 4..][..sizes.count].copy_from_slice(scores);
        }
    }
}

vectorised! {
    /// Probabilities but for the division by their sum, as bf16.
    fn softmax_bf16<'a>(sizes: Sizes, scores: &'a mut [f32], out: &'a mut [u16], sums: &'a mut [f32]) {
        for row in 0..sizes.rows {
            let scores = &mut scores[row * sizes.padded..][..sizes.count];
            sums[row] = exponentials(scores);
            let out = &mut out[row * sizes.stride / 2..][..sizes.stride / 2];
            let (out, rest) = out.split_at_mut(sizes.count);
            for (half, x) in out.iter_mut().zip(scores.iter()) {
                *half = to_bf16(*x);
            }
            rest.fill(0);
        }
    }
}

vectorised! {
    /// The sums of a tile, each row divided by its probabilities' sum.
    fn scale_rows<'a>(
        tile: &'a [f32],
        columns: usize,
        used: usize,
        sums: &'a [f32],
        out: &'a mut [f32],
        stride: usize,
    ) {
        for (row, sum) in sums.iter().enumerate() {
            let inverse = 1.0 / sum;
            for (y, x) in out[row * stride..][..used].iter_mut().zip(&tile[row * columns..][..used]) {
                *y = x * inverse;
            }
        }
    }
}
