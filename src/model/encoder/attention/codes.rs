//! Attention in 16-bit integers, for processors that multiply those faster than f32 and bf16 slowly or not at all. The queries of one
//! head of a sequence become multiples of one step, its keys and values of another each, the steps as fine as sums of 32 bits
//! allow; so do the probabilities of each query, the finer the fewer keys they are spread over. The sums are exact, and the codes
//! keep more than bf16 does unless one value is twenty times as large as most.

use std::ops::Range;

use super::{CHUNK, Qkv, Sizes, lay_across};
use crate::model::kernels::{Aligned, MAX_COLUMNS, Panels};
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
    pub(super) steps: Steps,
}

/// What integer sums stand for.
#[derive(Clone, Copy, Default)]
pub(super) struct Steps {
    /// A score of one.
    score: f32,
    /// A value's code of one.
    value: f32,
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

impl Codes {
    /// Takes the head's queries over, and its keys and values into the panels.
    pub(super) fn pack(&mut self, qkv: Qkv<'_>, head: usize, tokens: Range<usize>, keys: &mut Panels, values: &mut Panels) {
        let (kernel, count, size) = (keys.kernel(), tokens.len(), qkv.size);
        let columns = kernel.columns();
        let mut largest = [0f32; 3];
        sizes_of(qkv, head, tokens.clone(), &mut largest);
        let most = largest_code(size);
        let (query, key) = (Scale::new(largest[0], most), Scale::new(largest[1], most));
        let value = Scale::new(largest[2], LARGEST_VALUE);
        self.steps = Steps { score: query.step * key.step, value: value.step };
        for (which, scale, codes) in [(0, query, &mut self.queries), (1, key, &mut self.keys)] {
            codes.resize(count * size * 2);
            codes_of(qkv, which, head, tokens.clone(), scale.factor, bytemuck::cast_slice_mut(codes.bytes_mut()));
        }
        lay_across(keys.reshape(count, size), columns, size / 2, self.keys.words().chunks_exact(size / 2));
        let words = kernel.depth_bytes(count) / 4;
        for (panel, data) in values.reshape(size, count).chunks_exact_mut(words * columns).enumerate() {
            let span = panel * columns..((panel + 1) * columns).min(size);
            pairs_of_codes(qkv, head, tokens.clone(), span, value.factor, columns, data);
        }
    }

    /// From query `first` on, and how many bytes one has.
    pub(super) fn queries(&self, first: usize, size: usize) -> (&[u8], usize) {
        (&self.queries.bytes()[first * size * 2..], size * 2)
    }
}

vectorised! {
    /// The largest absolute value among a head's queries, keys and values.
    fn sizes_of<'a>(qkv: Qkv<'a>, head: usize, tokens: Range<usize>, out: &'a mut [f32; 3]) {
        for (which, out) in out.iter_mut().enumerate() {
            let mut largest = [0f32; LANES];
            for token in tokens.clone() {
                for chunk in qkv.floats(token, which, head).as_chunks::<LANES>().0 {
                    largest = lanes(|i| if chunk[i].abs() > largest[i] { chunk[i].abs() } else { largest[i] });
                }
            }
            *out = greatest(largest);
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
    /// Codes of probabilities, each row's as fine as their sum allows, from integer scores, the steps of which are of a power of two. For
    /// each row `out` gets what a sum of one over the values comes to.
    pub(super) fn softmax_of_codes<'a>(
        sizes: Sizes,
        steps: Steps,
        scores: &'a mut [u32],
        codes: &'a mut [u16],
        out: &'a mut [f32],
    ) {
        let Sizes { rows, count, padded, stride } = sizes;
        let used = count.next_multiple_of(CHUNK);
        // However the codes are rounded, their sum times the largest value's is within 32 bits.
        let room = LARGEST_SUM / LARGEST_VALUE - count as f32 / 2.0;
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
                let powers = lanes(|i| power_of_two((f32::from_bits(words[i]) - highest) * steps.score));
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
            *out = steps.value / (fineness * *out);
        }
    }
}

vectorised! {
    /// The sums of a tile, each row times what its codes are worth.
    pub(super) fn scale_codes<'a>(
        tile: &'a [i32],
        columns: usize,
        used: usize,
        worth: &'a [f32],
        out: &'a mut [f32],
        stride: usize,
    ) {
        for (row, worth) in worth.iter().enumerate() {
            for (y, x) in out[row * stride..][..used].iter_mut().zip(&tile[row * columns..][..used]) {
                *y = *x as f32 * worth;
            }
        }
    }
}
