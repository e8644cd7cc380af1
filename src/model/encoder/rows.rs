//! The left side of a product: rows as the kernel reads them. For int8 each row gets its own scale and offset, so that one loud
//! token does not coarsen its neighbours.

use std::ops::Range;

use crate::model::kernels::{Aligned, CACHE_LINE, Element, Kernel, Strip, to_bf16};
use crate::model::vector::{Extremes, LANES, extremes, lanes, vectorised};

/// Rows of one depth, as f32, bf16 or codes of a byte, which become i16 for a kernel of these. A row of codes stands for
/// `low + scale * code`.
#[derive(Default)]
pub(super) struct Rows {
    bytes: Aligned,
    stride: usize,
    count: usize,
    /// One for each row; int8 only.
    scales: Vec<f32>,
    /// One for each row; int8 only.
    lows: Vec<f32>,
    /// One row on its way to codes.
    smooth: Vec<f32>,
    /// Codes on their way to i16.
    narrow: Aligned,
}

/// int8: what belongs to some rows.
#[derive(Clone, Copy)]
pub(super) struct RowScales<'a> {
    pub(super) scales: &'a [f32],
    pub(super) lows: &'a [f32],
}

struct Scales<'a> {
    scales: &'a mut [f32],
    lows: &'a mut [f32],
}

impl Rows {
    /// Takes `values` [rows, inner] over in the kernel's element. int8 codes are of each value times its column's factor, if
    /// there are `factors`: see [`PackedLinear`](super::linear::PackedLinear).
    pub(super) fn prepare(&mut self, kernel: Kernel, values: &[f32], inner: usize, factors: &[f32]) {
        self.count = values.len() / inner;
        // A cache line more than a row: rows of 2 KiB would all fall into the same two sets of the first-level cache.
        self.stride = kernel.depth_bytes(inner) + CACHE_LINE;
        // Whole strips: a kernel of tiles reads the last one where it lies, whatever is behind the rows.
        self.bytes.resize(self.count.next_multiple_of(kernel.rows()) * self.stride);
        let (rows, used) = (&mut self.bytes.bytes_mut()[..self.count * self.stride], inner * kernel.element().size());
        match kernel.element() {
            Element::F32 => {
                for (target, source) in rows.chunks_exact_mut(self.stride).zip(values.chunks_exact(inner)) {
                    target[..used].copy_from_slice(bytemuck::cast_slice(source));
                }
            }
            Element::Bf16 => {
                for (target, source) in rows.chunks_exact_mut(self.stride).zip(values.chunks_exact(inner)) {
                    round(source, bytemuck::cast_slice_mut(&mut target[..used]));
                    // It meets the panel's zeros, and infinity times zero is no number.
                    target[used..].fill(0);
                }
            }
            Element::Int8 | Element::Int16 => {
                let (codes, stride) = match kernel.element() {
                    Element::Int8 => (rows, self.stride),
                    _ => {
                        self.narrow.resize(self.count * inner);
                        (self.narrow.bytes_mut(), inner)
                    }
                };
                self.scales.resize(self.count, 0.0);
                self.lows.resize(self.count, 0.0);
                let scales = Scales { scales: &mut self.scales, lows: &mut self.lows };
                if factors.is_empty() {
                    quantise(values, inner, codes, stride, scales);
                } else {
                    self.smooth.resize(inner, 0.0);
                    quantise_smoothed(values, factors, codes, stride, scales, &mut self.smooth);
                }
                if kernel.element() == Element::Int16 {
                    let rows = &mut self.bytes.bytes_mut()[..self.count * self.stride];
                    for (target, codes) in rows.chunks_exact_mut(self.stride).zip(self.narrow.bytes().chunks_exact(inner)) {
                        widen(codes, bytemuck::cast_slice_mut(&mut target[..used]));
                    }
                }
            }
        }
    }

    /// Number of rows.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// int8: what belongs to rows `span`.
    pub(super) fn scales(&self, span: Range<usize>) -> RowScales<'_> {
        RowScales { scales: &self.scales[span.clone()], lows: &self.lows[span] }
    }

    /// Up to `rows` rows from row `first` on.
    pub(super) fn strip(&self, first: usize, rows: usize) -> Strip<'_> {
        Strip { bytes: &self.bytes.bytes()[first * self.stride..], stride: self.stride, rows: rows.min(self.count - first) }
    }
}

vectorised! {
    /// To bf16.
    fn round<'a>(values: &'a [f32], halves: &'a mut [u16]) {
        for (half, x) in halves.iter_mut().zip(values) {
            *half = to_bf16(*x);
        }
    }
}

vectorised! {
    /// Codes of a byte to i16.
    fn widen<'a>(codes: &'a [u8], wide: &'a mut [u16]) {
        for (wide, code) in wide.iter_mut().zip(codes) {
            *wide = u16::from(*code);
        }
    }
}

/// One row to codes: its least value becomes 0, its greatest 255. Returns what a step is worth, and the least value.
#[inline(always)]
fn quantise_row(values: &[f32], (least, greatest): (f32, f32), codes: &mut [u8]) -> (f32, f32) {
    // Adding it leaves the nearest integer in the low bits.
    const ROUND: f32 = 8_388_608.0;
    let range = greatest - least;
    let inverse = if range > 0.0 { 255.0 / range } else { 0.0 };
    for (code, x) in codes.iter_mut().zip(values) {
        *code = (x - least).mul_add(inverse, ROUND).to_bits() as u8;
    }
    (range / 255.0, least)
}

vectorised! {
    /// Each row to codes.
    fn quantise<'a>(values: &'a [f32], inner: usize, rows: &'a mut [u8], stride: usize, scales: Scales<'a>) {
        let targets = rows.chunks_exact_mut(stride).zip(scales.scales.iter_mut().zip(scales.lows.iter_mut()));
        for (source, (target, (scale, low))) in values.chunks_exact(inner).zip(targets) {
            (*scale, *low) = quantise_row(source, extremes(source), target);
        }
    }
}

vectorised! {
    /// Each row, times the factors, to codes.
    fn quantise_smoothed<'a>(
        values: &'a [f32],
        factors: &'a [f32],
        rows: &'a mut [u8],
        stride: usize,
        scales: Scales<'a>,
        smooth: &'a mut [f32],
    ) {
        let targets = rows.chunks_exact_mut(stride).zip(scales.scales.iter_mut().zip(scales.lows.iter_mut()));
        for (source, (target, (scale, low))) in values.chunks_exact(factors.len()).zip(targets) {
            let (chunks, rest) = smooth.as_chunks_mut::<LANES>();
            let (values, factors) = (source.as_chunks::<LANES>(), factors.as_chunks::<LANES>());
            let mut extremes = Extremes::new();
            for ((y, x), factor) in chunks.iter_mut().zip(values.0).zip(factors.0) {
                *y = lanes(|i| x[i] * factor[i]);
                extremes.meet(y);
            }
            for ((y, x), factor) in rest.iter_mut().zip(values.1).zip(factors.1) {
                *y = x * factor;
            }
            let extremes = extremes.ends(rest);
            (*scale, *low) = quantise_row(smooth, extremes, target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_for_their_values_to_half_a_step() {
        let kernel = Kernel::best(Element::Int8).expect("there is always the plain one");
        let values: Vec<f32> = (0..3 * 50).map(|i| ((i * 37) % 101) as f32 / 7.0 - 3.0 + (i / 50) as f32 * 10.0).collect();
        let mut rows = Rows::default();
        rows.prepare(kernel, &values, 50, &[]);
        for (row, source) in values.chunks_exact(50).enumerate() {
            let codes = rows.strip(row, 1).bytes;
            for (code, x) in codes.iter().zip(source) {
                let back = rows.lows[row] + rows.scales[row] * f32::from(*code);
                assert!((back - x).abs() <= rows.scales[row] * 0.501, "{x} came back as {back}");
            }
        }
    }

    #[test]
    fn a_row_of_one_value_keeps_it() {
        let kernel = Kernel::best(Element::Int8).expect("there is always the plain one");
        let mut rows = Rows::default();
        rows.prepare(kernel, &[0.25; 64], 64, &[]);
        assert_eq!((rows.lows[0], rows.scales[0]), (0.25, 0.0));
        assert!(rows.strip(0, 1).bytes[..64].iter().all(|code| *code == 0));
    }
}
