//! Attention of every query of a sequence over its keys, one head at a time: softmax(q kᵀ / sqrt(d)) v, scores never leaving the
//! cache. bf16 where the processor multiplies it fast, elsewhere 16-bit integers ([`codes`]) or f32; softmax itself is always f32.

mod codes;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::codes::{Codes, scale_codes, softmax_of_codes};
use crate::model::kernels::{Aligned, CACHE_LINE, Element, Kernel, MAX_COLUMNS, Panels, Strip, Sums, Tile};
use crate::model::vector::{LANES, exp, greatest, lanes, power_of_two, total, vectorised};

/// How many bf16 a cache line holds.
const CHUNK: usize = CACHE_LINE / 2;

/// Memory of one head, used again for the next.
pub(super) struct AttentionScratch {
    keys: Panels,
    values: Panels,
    scores: Aligned,
    probabilities: Aligned,
    sums: Vec<f32>,
    codes: Codes,
}

/// Queries, keys and values of all tokens in bf16 for that kernel, otherwise in f32: rows of `[q | k | v]`, each `width` long.
/// Queries bring the softmax's factor with them: see [`query_factor`].
#[derive(Clone, Copy)]
pub(super) struct Qkv<'a> {
    /// [tokens, 3 * width], as words; there may be more behind them.
    pub(super) words: &'a [u32],
    pub(super) width: usize,
    /// Elements of a head.
    pub(super) size: usize,
    pub(super) element: Element,
}

/// What queries are multiplied by beforehand. In all but f32 the softmax takes powers of two.
pub(super) fn query_factor(element: Element, size: usize) -> f32 {
    let scale = 1.0 / (size as f32).sqrt();
    match element {
        Element::F32 => scale,
        _ => scale * std::f32::consts::LOG2_E,
    }
}

impl<'a> Qkv<'a> {
    /// Words of so many elements.
    #[inline(always)]
    fn words_of(self, elements: usize) -> usize {
        elements * self.element.size() / 4
    }

    /// From the part of row `token` that is head `head` of query (0), key (1) or value (2) on.
    #[inline(always)]
    fn from(self, token: usize, which: usize, head: usize) -> &'a [u32] {
        &self.words[self.words_of((token * 3 + which) * self.width + head * self.size)..]
    }

    /// That part.
    #[inline(always)]
    fn part(self, token: usize, which: usize, head: usize) -> &'a [u32] {
        &self.from(token, which, head)[..self.words_of(self.size)]
    }

    /// The same where they are in f32.
    #[inline(always)]
    fn floats(self, token: usize, which: usize, head: usize) -> &'a [f32] {
        bytemuck::cast_slice(self.part(token, which, head))
    }
}

impl AttentionScratch {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self {
            keys: Panels::empty(kernel),
            values: Panels::empty(kernel),
            scores: Aligned::default(),
            probabilities: Aligned::default(),
            sums: vec![0.0; kernel.rows()],
            codes: Codes::default(),
        }
    }

    /// Head `head` of the sequence with these tokens into `out` [tokens of the sequence, size].
    pub(super) fn head(&mut self, qkv: Qkv<'_>, head: usize, tokens: Range<usize>, out: &mut [f32]) {
        let (kernel, count) = (self.keys.kernel(), tokens.len());
        if kernel.element() == Element::Int16 {
            self.codes.pack(qkv, head, tokens.clone(), &mut self.keys, &mut self.values);
        } else {
            self.pack_keys(qkv, head, tokens.clone());
            self.pack_values(qkv, head, tokens.clone());
        }
        let columns = kernel.columns();
        // Score rows are whole panels, probability rows whole cache lines: no loop over them ends within a vector.
        let padded = count.next_multiple_of(columns.max(CHUNK));
        let stride = (count * kernel.element().size()).next_multiple_of(CACHE_LINE);
        let mut tile = Tile::default();
        self.scores.resize(kernel.rows() * padded * 4);
        self.probabilities.resize(kernel.rows() * stride);
        for start in (0..count).step_by(kernel.rows()) {
            let rows = kernel.rows().min(count - start);
            let (bytes, row) = match kernel.element() {
                Element::Int16 => self.codes.queries(start, qkv.size),
                _ => (bytemuck::cast_slice(qkv.from(tokens.start + start, 0, head)), qkv.words_of(3 * qkv.width) * 4),
            };
            let queries = Strip { bytes, stride: row, rows };
            for panel in 0..self.keys.count() {
                let words = &mut self.scores.words_mut()[panel * columns..];
                self.keys.multiply_into(queries, panel, Sums { words, stride: padded });
            }
            let sizes = Sizes { rows, count, padded, stride };
            let (scores, probabilities, sums) = (&mut self.scores, &mut self.probabilities, &mut self.sums[..]);
            let halves = bytemuck::cast_slice_mut(probabilities.bytes_mut());
            match kernel.element() {
                Element::F32 => softmax(sizes, scores.floats_mut(), probabilities.floats_mut(), sums),
                Element::Int16 => softmax_of_codes(sizes, self.codes.steps, scores.words_mut(), halves, sums),
                _ => softmax_bf16(sizes, scores.floats_mut(), halves, sums),
            }
            let probabilities = Strip { bytes: self.probabilities.bytes(), stride, rows };
            for panel in 0..self.values.count() {
                self.values.multiply(probabilities, panel, &mut tile);
                let (first, used) = self.values.columns(panel);
                let out = &mut out[start * qkv.size + first..];
                match kernel.element() {
                    Element::Int16 => scale_codes(tile.integers(), columns, used, &self.sums[..rows], out, qkv.size),
                    _ => scale_rows(tile.floats(), columns, used, &self.sums[..rows], out, qkv.size),
                }
            }
        }
    }

    /// Keys as the right side of a product: the words of each lie across the panel's lines.
    fn pack_keys(&mut self, qkv: Qkv<'_>, head: usize, tokens: Range<usize>) {
        let kernel = self.keys.kernel();
        let (columns, panels) = (kernel.columns(), self.keys.reshape(tokens.len(), qkv.size));
        let words = kernel.depth_bytes(qkv.size) / 4;
        if words != qkv.words_of(qkv.size) {
            // Behind the keys: what the queries have there must meet zeros.
            panels.fill(0);
        }
        lay_across(panels, columns, words, tokens.map(|token| qkv.part(token, 1, head)));
    }

    /// Values as the right side of a product: the depth is the tokens, and in bf16 two of them share a word.
    fn pack_values(&mut self, qkv: Qkv<'_>, head: usize, tokens: Range<usize>) {
        let kernel = self.values.kernel();
        let (columns, count) = (kernel.columns(), tokens.len());
        let panels = self.values.reshape(qkv.size, count);
        let words = kernel.depth_bytes(count) / 4;
        for (panel, data) in panels.chunks_exact_mut(words * columns).enumerate() {
            let span = panel * columns..((panel + 1) * columns).min(qkv.size);
            match kernel.element() {
                Element::F32 => {
                    for (target, token) in data.chunks_exact_mut(columns).zip(tokens.clone()) {
                        target[..span.len()].copy_from_slice(&qkv.part(token, 2, head)[span.clone()]);
                    }
                }
                _ => pairs(qkv, head, tokens.clone(), span, columns, data),
            }
        }
    }
}

vectorised! {
    /// Two neighbours in depth in each word: elements `span` of the head's values.
    fn pairs<'a>(qkv: Qkv<'a>, head: usize, tokens: Range<usize>, span: Range<usize>, columns: usize, data: &'a mut [u32]) {
        let nothing = [0u16; MAX_COLUMNS];
        for (line, at) in data.chunks_exact_mut(columns).zip((0..).step_by(2)) {
            let line = &mut line[..span.len()];
            let value = |at: usize| match tokens.start + at {
                token if token < tokens.end => &bytemuck::cast_slice::<u32, u16>(qkv.part(token, 2, head))[span.clone()],
                _ => &nothing[..span.len()],
            };
            let (first, second) = (value(at), value(at + 1));
            let both = first.as_chunks::<LANES>().0.iter().zip(second.as_chunks::<LANES>().0);
            for (words, (first, second)) in line.as_chunks_mut::<LANES>().0.iter_mut().zip(both) {
                *words = lanes(|i| u32::from(first[i]) | u32::from(second[i]) << 16);
            }
        }
    }
}

/// The words of each key across its panel's lines, of which a panel has `words`.
#[inline(always)]
fn lay_across<'k>(panels: &mut [u32], columns: usize, words: usize, keys: impl Iterator<Item = &'k [u32]>) {
    for (at, key) in keys.enumerate() {
        let panel = &mut panels[(at / columns) * words * columns + at % columns..];
        for (target, word) in panel.iter_mut().step_by(columns).zip(key) {
            *target = *word;
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

/// The highest of the first `count` scores. What lies behind them as far as the row goes becomes minus infinity: no weight.
#[inline(always)]
fn highest(scores: &mut [f32], count: usize) -> f32 {
    scores[count..].fill(f32::NEG_INFINITY);
    let mut highest = [f32::NEG_INFINITY; LANES];
    for chunk in scores.as_chunks::<LANES>().0 {
        highest = lanes(|i| if chunk[i] > highest[i] { chunk[i] } else { highest[i] });
    }
    greatest(highest)
}

/// The highest score of each row, kept where its sum will be. All rows before their powers: none waits for another's reduction.
#[inline(always)]
fn highest_of_each(sizes: Sizes, used: usize, scores: &mut [f32], out: &mut [f32]) {
    for (row, out) in out[..sizes.rows].iter_mut().enumerate() {
        *out = highest(&mut scores[row * sizes.padded..][..used], sizes.count);
    }
}

vectorised! {
    /// Probabilities but for the division by their sum, as f32.
    fn softmax<'a>(sizes: Sizes, scores: &'a mut [f32], out: &'a mut [f32], sums: &'a mut [f32]) {
        let used = sizes.count.next_multiple_of(LANES);
        highest_of_each(sizes, used, scores, sums);
        for row in 0..sizes.rows {
            let (scores, highest) = (&scores[row * sizes.padded..][..used], sums[row]);
            let out = &mut out[row * sizes.stride / 4..][..used];
            let mut sum = [0f32; LANES];
            for (out, scores) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(scores.as_chunks::<LANES>().0) {
                *out = lanes(|i| exp(scores[i] - highest));
                sum = lanes(|i| sum[i] + out[i]);
            }
            sums[row] = total(sum);
        }
    }
}

vectorised! {
    /// Probabilities but for the division by their sum, as bf16, from scores in powers of two.
    fn softmax_bf16<'a>(sizes: Sizes, scores: &'a mut [f32], out: &'a mut [u16], sums: &'a mut [f32]) {
        let used = sizes.count.next_multiple_of(CHUNK);
        highest_of_each(sizes, used, scores, sums);
        for row in 0..sizes.rows {
            let (scores, highest) = (&scores[row * sizes.padded..][..used], sums[row]);
            let out = &mut out[row * sizes.stride / 2..][..used];
            let mut sum = [0f32; LANES];
            for (out, scores) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(scores.as_chunks::<LANES>().0) {
                let powers = lanes(|i| power_of_two(scores[i] - highest));
                sum = lanes(|i| sum[i] + powers[i]);
                // None is below zero, none is large: half up will do.
                *out = lanes(|i| ((powers[i].to_bits() + 0x8000) >> 16) as u16);
            }
            sums[row] = total(sum);
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
