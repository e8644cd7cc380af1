//! Attention in 16-bit integers, for processors that multiply those faster than f32 and bf16 slowly or not at all. The queries of one
//! head of a sequence become multiples of one step, its keys and values of another each, the steps as fine as sums of 32 bits
//! allow; so do the probabilities of each query, the finer the fewer keys they are spread over. The sums are exact, and the codes
//! keep more than bf16 does unless one value is twenty times as large as most.

use std::ops::Range;

use super::{AttentionScratch, CHUNK, Qkv, Sizes};
use crate::model::kernels::{Aligned, CACHE_LINE, MAX_COLUMNS, Panels, Strip, Sums, Tile};
use crate::model::vector::{LANES, greatest, lanes, power_of_two, total, vectorised};

/// Added to a smaller number it leaves the nearest integer in the low bits: 1.5 * 2^23.
const ROUND: f32 = 12_582_912.0;

/// The largest code of a value; what is left of 32 bits goes to the probabilities.
const LARGEST_VALUE: f32 = 4095.0;

/// What sums may reach: f32 rounds what they are reckoned from.
const LARGEST_SUM: f32 = i32::MAX as f32 * 0.99;

/// Queries and keys of the head at hand, row by row.
#[derive(Default)]
pub(super) struct Codes {
    queries: Aligned,
    keys: Aligned,
}

/// How one kind of a head's values is told: `x` by the code nearest to `x * factor`.
#[derive(Clone, Copy)]
struct Scale {
    factor: f32,
    /// What a code of one stands for.
    step: f32,
}

impl Scale {
    /// For values of at most this size, the largest of which gets the code `most`. Zeros stay zeros.
    fn new(greatest: f32, most: f32) -> Self {
        let factor = if greatest > 0.0 { most / greatest } else { 0.0 };
        Self { factor: if factor.is_finite() { factor } else { 0.0 }, step: greatest / most }
    }
}

/// The largest code of queries and of keys: `size` products of two such fit into 32 bits.
pub(super) fn largest_code(size: usize) -> f32 {
    (LARGEST_SUM / size as f32).sqrt().floor().min(f32::from(i16::MAX))
}

impl AttentionScratch {
    /// [`AttentionScratch::head`], of queries, keys and values in f32.
    pub(super) fn head_in_codes(&mut self, qkv: Qkv<'_>, head: usize, tokens: Range<usize>, out: &mut [f32]) {
        let (kernel, count, size) = (self.keys.kernel(), tokens.len(), qkv.size);
        let (columns, rows_at_once) = (kernel.columns(), kernel.rows());
        let mut largest = [0f32; 3];
        sizes_of(qkv, head, tokens.clone(), &mut largest);
        let most = largest_code(size);
        let (query, key) = (Scale::new(largest[0], most), Scale::new(largest[1], most));
        let value = Scale::new(largest[2], LARGEST_VALUE);
        let Codes { queries, keys } = &mut self.codes;
        for (which, scale, codes) in [(0, query, &mut *queries), (1, key, &mut *keys)] {
            codes.resize(count * size * 2);
            codes_of(qkv, which, head, tokens.clone(), scale.factor, bytemuck::cast_slice_mut(codes.bytes_mut()));
        }
        lay_across(keys.words(), count, size, &mut self.keys);
        let words = kernel.depth_bytes(count) / 4;
        for (panel, data) in self.values.reshape(size, count).chunks_exact_mut(words * columns).enumerate() {
            let span = panel * columns..((panel + 1) * columns).min(size);
            pairs_of_codes(qkv, head, tokens.clone(), span, value.factor, columns, data);
        }
        let padded = count.next_multiple_of(columns.max(CHUNK));
        let stride = (count * 2).next_multiple_of(CACHE_LINE);
        let mut tile = Tile::default();
        self.scores.resize(rows_at_once * padded * 4);
        self.probabilities.resize(rows_at_once * stride);
        // However the codes of the probabilities are rounded, their sum times the largest value's is within 32 bits.
        let room = LARGEST_SUM / LARGEST_VALUE - count as f32 / 2.0;
        for start in (0..count).step_by(rows_at_once) {
            let rows = rows_at_once.min(count - start);
            let strip = Strip { bytes: &queries.bytes()[start * size * 2..], stride: size * 2, rows };
            for panel in 0..self.keys.count() {
                let words = &mut self.scores.words_mut()[panel * columns..];
                self.keys.multiply_into(strip, panel, Sums { words, stride: padded });
            }
            let sizes = Sizes { rows, count, padded, stride };
            let probabilities = bytemuck::cast_slice_mut(self.probabilities.bytes_mut());
            softmax_of_codes(sizes, query.step * key.step, room, self.scores.words_mut(), probabilities, &mut self.sums);
            let probabilities = Strip { bytes: self.probabilities.bytes(), stride, rows };
            for panel in 0..self.values.count() {
                self.values.multiply(probabilities, panel, &mut tile);
                let (first, used) = self.values.columns(panel);
                let out = &mut out[start * size + first..];
                scale_codes(tile.integers(), columns, used, value.step, &self.sums[..rows], out, size);
            }
        }
    }
}

/// Keys, row by row, as the right side of a product: the words of each lie across the panel's lines.
fn lay_across(keys: &[u32], count: usize, size: usize, panels: &mut Panels) {
    let columns = panels.kernel().columns();
    let words = size / 2;
    let data = panels.reshape(count, size);
    for (at, key) in keys.chunks_exact(words).enumerate() {
        let panel = &mut data[(at / columns) * words * columns + at % columns..];
        for (target, word) in panel.iter_mut().step_by(columns).zip(key) {
            *target = *word;
        }
    }
}

vectorised! {
    /// The largest absolute value among a head's queries, keys and values.
    fn sizes_of<'a>(qkv: Qkv<'a>, head: usize, tokens: Range<usize>, out: &'a mut [f32; 3]) {
        for (which, out) in out.iter_mut().enumerate() {
            // Four at a time: one would wait for itself.
            let mut largest = [[0f32; LANES]; 4];
            for token in tokens.clone() {
                for chunks in qkv.floats(token, which, head).as_chunks::<LANES>().0.chunks(4) {
                    for (largest, chunk) in largest.iter_mut().zip(chunks) {
                        *largest = lanes(|i| if chunk[i].abs() > largest[i] { chunk[i].abs() } else { largest[i] });
                    }
                }
            }
            *out = largest.into_iter().map(greatest).fold(0.0, f32::max);
        }
    }
}

vectorised! {
    /// Codes of a head's queries (0) or keys (1), row by row.
    fn codes_of<'a>(qkv: Qkv<'a>, which: usize, head: usize, tokens: Range<usize>, factor: f32, out: &'a mut [u16]) {
        for (out, token) in out.chunks_exact_mut(qkv.size).zip(tokens) {
            let source = qkv.floats(token, which, head).as_chunks::<LANES>().0;
            for (out, values) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(source) {
                *out = lanes(|i| code(values[i], factor) as u16);
            }
        }
    }
}

vectorised! {
    /// Codes of two neighbours in depth in each word: elements `span` of a head's values.
    fn pairs_of_codes<'a>(
        qkv: Qkv<'a>,
        head: usize,
        tokens: Range<usize>,
        span: Range<usize>,
        factor: f32,
        columns: usize,
        data: &'a mut [u32],
    ) {
        let nothing = [0f32; MAX_COLUMNS];
        for (line, token) in data.chunks_exact_mut(columns).zip(tokens.clone().step_by(2)) {
            let line = &mut line[..span.len()];
            let value = |token: usize| match token < tokens.end {
                true => &qkv.floats(token, 2, head)[span.clone()],
                false => &nothing[..span.len()],
            };
            let both = value(token).as_chunks::<LANES>().0.iter().zip(value(token + 1).as_chunks::<LANES>().0);
            for (words, (first, second)) in line.as_chunks_mut::<LANES>().0.iter_mut().zip(both) {
                *words = lanes(|i| code(first[i], factor) & 0xFFFF | code(second[i], factor) << 16);
            }
        }
    }
}

/// The nearest multiple, in the low half of a word.
#[inline(always)]
fn code(x: f32, factor: f32) -> u32 {
    x.mul_add(factor, ROUND).to_bits()
}

vectorised! {
    /// Codes of probabilities, each row's as fine as `room` for their sum allows, from integer scores in steps of a power of two. For
    /// each row `out` gets what a code of one and a value of one come to.
    fn softmax_of_codes<'a>(
        sizes: Sizes,
        step: f32,
        room: f32,
        scores: &'a mut [u32],
        codes: &'a mut [u16],
        out: &'a mut [f32],
    ) {
        let Sizes { rows, count, padded, stride } = sizes;
        let used = count.next_multiple_of(CHUNK);
        // All rows at each step: none waits for another's reduction.
        for (row, out) in out[..rows].iter_mut().enumerate() {
            let (whole, rest) = scores[row * padded..][..used].split_at_mut(count / LANES * LANES);
            let mut highest = [f32::NEG_INFINITY; LANES];
            let higher = |highest: [f32; LANES], values: [f32; LANES]| {
                lanes(|i| if values[i] > highest[i] { values[i] } else { highest[i] })
            };
            // In the same loop as the maximum: alone the compiler would gather and scatter for it.
            for words in whole.as_chunks_mut::<LANES>().0 {
                let values = lanes(|i| words[i] as i32 as f32);
                highest = higher(highest, values);
                *words = lanes(|i| values[i].to_bits());
            }
            let (scores, behind) = rest.split_at_mut(count % LANES);
            scores.iter_mut().for_each(|word| *word = (*word as i32 as f32).to_bits());
            // No weight.
            behind.fill(f32::NEG_INFINITY.to_bits());
            for words in rest.as_chunks::<LANES>().0 {
                highest = higher(highest, lanes(|i| f32::from_bits(words[i])));
            }
            *out = greatest(highest);
        }
        for (row, out) in out[..rows].iter_mut().enumerate() {
            let (mut sum, highest) = ([0f32; LANES], *out);
            for words in scores[row * padded..][..used].as_chunks_mut::<LANES>().0 {
                let powers = lanes(|i| power_of_two((f32::from_bits(words[i]) - highest) * step));
                sum = lanes(|i| sum[i] + powers[i]);
                *words = lanes(|i| powers[i].to_bits());
            }
            *out = total(sum);
        }
        for (row, out) in out[..rows].iter_mut().enumerate() {
            let fineness = (room / *out).min(f32::from(i16::MAX));
            let powers = scores[row * padded..][..used].as_chunks::<LANES>().0;
            for (codes, powers) in codes[row * stride / 2..][..used].as_chunks_mut::<LANES>().0.iter_mut().zip(powers) {
                *codes = lanes(|i| code(f32::from_bits(powers[i]), fineness) as u16);
            }
            *out = 1.0 / (fineness * *out);
        }
    }
}

vectorised! {
    /// The sums of a tile, each row times what its codes are worth.
    fn scale_codes<'a>(
        tile: &'a [i32],
        columns: usize,
        used: usize,
        step: f32,
        worth: &'a [f32],
        out: &'a mut [f32],
        stride: usize,
    ) {
        for (row, worth) in worth.iter().enumerate() {
            let worth = worth * step;
            for (y, x) in out[row * stride..][..used].iter_mut().zip(&tile[row * columns..][..used]) {
                *y = *x as f32 * worth;
            }
        }
    }
}
