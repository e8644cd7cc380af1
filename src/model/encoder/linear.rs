//! A linear layer packed for its kernel: y = x wᵀ + b, with what follows it (GELU) while the sums are still in cache.
//!
//! Where a layer norm feeds the layer, its weight and bias tell beforehand which columns are loud. Those are made quieter before
//! they are quantised and the weights' columns louder by as much (SmoothQuant, Xiao et al. 2022, without its calibration data):
//! the product is the same, the codes are finer. It took a quarter off the error of the bundled model's logits.
//!
//! int8: weights are quantised for each output channel, symmetrically, when the model is loaded; rows by [`Rows`]. With x = low +
//! s·code and w = t·q, the sum over the depth of x·w is t·(s·Σ code·q + low·Σ q): the last sum is known beforehand.

#[cfg(test)]
mod tests;

use std::ops::Range;

use super::cores::each;
use super::rows::{RowScales, Rows};
use crate::model::kernels::{Aligned, Beside, Element, Kernel, Panels, Tile, to_bf16};
use crate::model::vector::{LANES, erf, gelu_coarse, lanes, vectorised};

/// What follows the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing.
    Keep,
    /// GELU; where the products are bf16 or int8 anyway, to the digits that these keep.
    Gelu,
}

/// Weights and bias of a linear layer, or of several that read the same rows.
pub(super) struct PackedLinear {
    panels: Panels,
    bias: Vec<f32>,
    /// int8: what one step of the weight's code is worth, for each column.
    scales: Vec<f32>,
    /// int8: the sum of a column's weights.
    sums: Vec<f32>,
    /// int8: what each column of the rows is multiplied by; empty for nothing.
    factors: Vec<f32>,
}

/// Columns that are finished at once where a panel has as many: AMX's.
const WIDE: usize = 2 * LANES;

/// How far smoothing goes: the loudness of a column to this power moves into the weights. Tried on the bundled model: the error
/// of the logits is .0259 with 0 (no smoothing), .0214 with .5, .0199 with .75, .0195 with 1, which leaves the weights too loud.
const SMOOTHING: f32 = 0.75;

impl PackedLinear {
    /// The same for rows whose columns are as loud as `loudness` [inner] says: about the largest that is to be expected of each.
    pub(super) fn pack_smooth(kernel: Kernel, weight: &[f32], bias: &[f32], loudness: &[f32]) -> Self {
        if !kernel.element().is_integer() {
            return Self::pack(kernel, weight, bias);
        }
        let mut heaviest = vec![0f32; loudness.len()];
        for row in weight.chunks_exact(loudness.len()) {
            for (heaviest, x) in heaviest.iter_mut().zip(row) {
                *heaviest = heaviest.max(x.abs());
            }
        }
        // Neither a silent column nor one without weight may become infinite.
        let share = |(loud, heavy): (&f32, f32)| loud.max(1e-4).powf(SMOOTHING) / heavy.max(1e-6).powf(1.0 - SMOOTHING);
        let shares: Vec<f32> = loudness.iter().zip(heaviest).map(share).collect();
        let scaled: Vec<f32> =
            weight.chunks_exact(loudness.len()).flat_map(|row| row.iter().zip(&shares).map(|(x, share)| x * share)).collect();
        let factors = shares.iter().map(|share| 1.0 / share).collect();
        Self { factors, ..Self::pack(kernel, &scaled, bias) }
    }

    /// `weight` [outer, inner], `bias` [outer].
    pub(super) fn pack(kernel: Kernel, weight: &[f32], bias: &[f32]) -> Self {
        let outer = bias.len();
        let inner = weight.len() / outer.max(1);
        let (mut scales, mut sums) = (Vec::new(), Vec::new());
        let panels = match kernel.element() {
            Element::Int8 | Element::Int16 => {
                let mut codes = vec![0i8; weight.len()];
                for (row, codes) in weight.chunks_exact(inner).zip(codes.chunks_exact_mut(inner)) {
                    let greatest = row.iter().fold(0f32, |greatest, x| greatest.max(x.abs()));
                    let step = if greatest > 0.0 { greatest / 127.0 } else { 1.0 };
                    for (code, x) in codes.iter_mut().zip(row) {
                        *code = (x / step).round() as i8;
                    }
                    scales.push(step);
                    sums.push(step * codes.iter().map(|code| i32::from(*code)).sum::<i32>() as f32);
                }
                Panels::from_codes(kernel, outer, inner, &codes)
            }
            _ => Panels::from_values(kernel, outer, inner, |column, at| weight[column * inner + at]),
        };
        Self { panels, bias: bias.to_vec(), scales, sums, factors: Vec::new() }
    }

    /// Makes `values` [rows, inner] ready for it.
    pub(super) fn prepare(&self, rows: &mut Rows, values: &[f32]) {
        rows.prepare(self.panels.kernel(), values, self.panels.inner(), &self.factors);
    }

    /// Length of a result row.
    pub(super) fn outer(&self) -> usize {
        self.panels.outer()
    }

    /// `out` [rows, outer].
    pub(super) fn run(&self, rows: &Rows, then: Then, out: &mut [f32]) {
        self.run_panels(0..self.panels.count(), rows, then, out);
    }

    /// The same in bf16.
    pub(super) fn run_halves(&self, rows: &Rows, out: &mut [u16]) {
        match self.panels.kernel().element() {
            Element::Int8 | Element::Int16 => int8_halve(self, 0..self.panels.count(), rows, out),
            _ => float_halve(self, 0..self.panels.count(), rows, out),
        }
    }

    /// `out` [rows, outer] by as many cores as there are `shares`, each with its share of the columns. Few rows take no longer than
    /// their weights take to come, and so each core waits for its share of these only.
    pub(super) fn run_shared(&self, rows: &Rows, then: Then, out: &mut [f32], shares: &mut [Aligned]) {
        if shares.len() < 2 {
            return self.run(rows, then, out);
        }
        let most = self.panels.count().div_ceil(shares.len()).max(1);
        let panels = (0..self.panels.count()).step_by(most).map(|first| first..(first + most).min(self.panels.count()));
        each(true, panels.clone().zip(shares.iter_mut()), |(panels, share)| {
            let out = share.resize_words(rows.count() * self.columns(&panels).len());
            self.run_panels(panels, rows, then, out);
        });
        for (columns, share) in panels.map(|panels| self.columns(&panels)).zip(shares) {
            for (out, share) in out.chunks_exact_mut(self.outer()).zip(share.floats().chunks_exact(columns.len())) {
                out[columns.clone()].copy_from_slice(share);
            }
        }
    }

    /// `out` [rows, columns of these panels].
    fn run_panels(&self, panels: Range<usize>, rows: &Rows, then: Then, out: &mut [f32]) {
        match (self.panels.kernel().element(), then) {
            (Element::Int8 | Element::Int16, Then::Keep) => int8_keep(self, panels, rows, out),
            (Element::Int8 | Element::Int16, Then::Gelu) => int8_gelu(self, panels, rows, out),
            (_, Then::Keep) => float_keep(self, panels, rows, out),
            (Element::F32, Then::Gelu) => float_gelu(self, panels, rows, out),
            (Element::Bf16, Then::Gelu) => float_gelu_coarse(self, panels, rows, out),
        }
    }

    /// The columns of these panels.
    #[inline(always)]
    fn columns(&self, panels: &Range<usize>) -> Range<usize> {
        let width = self.panels.kernel().columns();
        panels.start * width..(panels.end * width).min(self.outer())
    }

    /// Every strip times each of these panels, with what `follow` makes of each sum into `out` [rows, their columns]. A tile is
    /// finished beside the product of the next one.
    #[inline(always)]
    fn each_tile<const INT8: bool, T: Copy + Default>(
        &self,
        panels: Range<usize>,
        rows: &Rows,
        out: &mut [T],
        follow: impl Fn(f32) -> T + Copy,
    ) {
        let (kernel, part) = (self.panels.kernel(), &self.columns(&panels));
        let (mut first_tile, mut second_tile) = (Tile::default(), Tile::default());
        let (mut tile, mut full) = (&mut first_tile, &mut second_tile);
        let mut waiting = (0..0, part.start..part.start);
        let strips = rows.count().div_ceil(kernel.rows());
        // Panel by panel: one is read by all strips while it is in cache.
        for panel in panels {
            let (first, columns) = self.panels.columns(panel);
            for (at, start) in (0..rows.count()).step_by(kernel.rows()).enumerate() {
                let strip = rows.strip(start, kernel.rows());
                let finishing = Finishing::<INT8, _, _>::new(self, rows, waiting, full, (part, out), follow);
                // A strip begins its share of the next panel's way.
                let next = if kernel.is_tiled() { panel + 1 } else { self.panels.count() };
                let ahead = self.panels.ahead(next, at, strips);
                self.panels.multiply_beside(strip, panel, tile.sums(kernel), &mut (ahead, finishing));
                waiting = (start..start + strip.rows, first..first + columns);
                std::mem::swap(&mut tile, &mut full);
            }
        }
        Finishing::<INT8, _, _>::new(self, rows, waiting, full, (part, out), follow).part(0, 1);
    }
}

/// Makes results of a tile's sums, a few rows at a time.
struct Finishing<'a, const INT8: bool, T, F> {
    /// What belongs to the tile's columns.
    steps: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    /// What belongs to its rows.
    rows: RowScales<'a>,
    tile: &'a Tile,
    width: usize,
    /// From the first result on.
    out: &'a mut [T],
    stride: usize,
    follow: F,
    /// How many rows there are, and the next.
    count: usize,
    next: usize,
}

impl<'a, const INT8: bool, T: Copy + Default, F: Fn(f32) -> T + Copy> Finishing<'a, INT8, T, F> {
    #[inline(always)]
    fn new(
        layer: &'a PackedLinear,
        rows: &'a Rows,
        (span, columns): (Range<usize>, Range<usize>),
        tile: &'a Tile,
        (part, out): (&Range<usize>, &'a mut [T]),
        follow: F,
    ) -> Self {
        let (width, stride) = (layer.panels.kernel().columns(), part.len());
        let (steps, weights) = match INT8 {
            true => (&layer.scales[columns.clone()], &layer.sums[columns.clone()]),
            false => (&[][..], &[][..]),
        };
        let out = &mut out[span.start * stride + columns.start - part.start..];
        let (count, rows) = (span.len(), if INT8 { rows.scales(span) } else { RowScales { scales: &[], lows: &[] } });
        Self { steps, weights, bias: &layer.bias[columns], rows, tile, width, out, stride, follow, count, next: 0 }
    }
}

impl<const INT8: bool, T: Copy + Default, F: Fn(f32) -> T + Copy> Finishing<'_, INT8, T, F> {
    /// Up to row `end`.
    #[inline(always)]
    fn rows(&mut self, end: usize) {
        let width = self.bias.len();
        for row in self.next..end {
            let out = &mut self.out[row * self.stride..][..width];
            if INT8 {
                let sums = &self.tile.integers()[row * self.width..][..width];
                let scales = (self.rows.scales[row], self.rows.lows[row]);
                int8_row(scales, self.steps, self.weights, self.bias, sums, out, self.follow);
            } else {
                float_row(self.bias, &self.tile.floats()[row * self.width..][..width], out, self.follow);
            }
        }
    }

    /// The same for whole rows of AMX: nothing is left to find out at run time. False if they are none.
    #[inline(always)]
    fn wide_rows(&mut self, end: usize) -> bool {
        let (true, true, Some(bias)) = (self.width == WIDE, self.bias.len() == WIDE, self.bias.first_chunk::<WIDE>()) else {
            return false;
        };
        let (steps, weights) = (self.steps.first_chunk::<WIDE>(), self.weights.first_chunk::<WIDE>());
        for row in self.next..end {
            let Some(out) = self.out.get_mut(row * self.stride..).and_then(|out| out.first_chunk_mut::<WIDE>()) else {
                return false;
            };
            if INT8 {
                let (sums, scales) =
                    (&self.tile.integers().as_chunks::<WIDE>().0[row], (self.rows.scales[row], self.rows.lows[row]));
                let (Some(steps), Some(weights)) = (steps, weights) else { return false };
                wide_row(out, self.follow, |i| int8_value(sums[i], scales, steps[i], weights[i], bias[i]));
            } else {
                let sums = &self.tile.floats().as_chunks::<WIDE>().0[row];
                wide_row(out, self.follow, |i| sums[i] + bias[i]);
            }
        }
        true
    }
}

impl<const INT8: bool, T: Copy + Default, F: Fn(f32) -> T + Copy> Beside for Finishing<'_, INT8, T, F> {
    #[inline(always)]
    fn part(&mut self, part: usize, parts: usize) {
        let end = ((part + 1) * self.count).div_ceil(parts);
        if !self.wide_rows(end) {
            self.rows(end);
        }
        self.next = end;
    }
}

vectorised! {
    fn int8_keep<'a>(layer: &'a PackedLinear, panels: Range<usize>, rows: &'a Rows, out: &'a mut [f32]) {
        layer.each_tile::<true, _>(panels, rows, out, same);
    }
}

vectorised! {
    fn int8_gelu<'a>(layer: &'a PackedLinear, panels: Range<usize>, rows: &'a Rows, out: &'a mut [f32]) {
        layer.each_tile::<true, _>(panels, rows, out, gelu_coarse);
    }
}

vectorised! {
    fn int8_halve<'a>(layer: &'a PackedLinear, panels: Range<usize>, rows: &'a Rows, out: &'a mut [u16]) {
        layer.each_tile::<true, _>(panels, rows, out, to_bf16);
    }
}

vectorised! {
    fn float_keep<'a>(layer: &'a PackedLinear, panels: Range<usize>, rows: &'a Rows, out: &'a mut [f32]) {
        layer.each_tile::<false, _>(panels, rows, out, same);
    }
}

vectorised! {
    fn float_gelu<'a>(layer: &'a PackedLinear, panels: Range<usize>, rows: &'a Rows, out: &'a mut [f32]) {
        layer.each_tile::<false, _>(panels, rows, out, gelu);
    }
}

vectorised! {
    fn float_gelu_coarse<'a>(layer: &'a PackedLinear, panels: Range<usize>, rows: &'a Rows, out: &'a mut [f32]) {
        layer.each_tile::<false, _>(panels, rows, out, gelu_coarse);
    }
}

vectorised! {
    fn float_halve<'a>(layer: &'a PackedLinear, panels: Range<usize>, rows: &'a Rows, out: &'a mut [u16]) {
        layer.each_tile::<false, _>(panels, rows, out, to_bf16);
    }
}

/// What an integer sum stands for. `scale` and `low` belong to the row, `step`, `weights` (their sum) and `bias` to the column.
#[inline(always)]
fn int8_value(sum: i32, (scale, low): (f32, f32), step: f32, weights: f32, bias: f32) -> f32 {
    (sum as f32 * step).mul_add(scale, weights.mul_add(low, bias))
}

/// One row of integer sums.
#[inline(always)]
fn int8_row<T: Copy + Default>(
    scales: (f32, f32),
    steps: &[f32],
    weights: &[f32],
    bias: &[f32],
    sums: &[i32],
    out: &mut [T],
    follow: impl Fn(f32) -> T,
) {
    let (steps, weights, bias) = (steps.as_chunks::<LANES>(), weights.as_chunks::<LANES>(), bias.as_chunks::<LANES>());
    let (sums, out) = (sums.as_chunks::<LANES>(), out.as_chunks_mut::<LANES>());
    let columns = steps.0.iter().zip(weights.0).zip(bias.0);
    for ((out, sums), ((steps, weights), bias)) in out.0.iter_mut().zip(sums.0).zip(columns) {
        let values = lanes(|i| int8_value(sums[i], scales, steps[i], weights[i], bias[i]));
        *out = lanes(|i| follow(values[i]));
    }
    let columns = steps.1.iter().zip(weights.1).zip(bias.1);
    for ((out, sum), ((step, weights), bias)) in out.1.iter_mut().zip(sums.1).zip(columns) {
        *out = follow(int8_value(*sum, scales, *step, *weights, *bias));
    }
}

/// One row of sums.
#[inline(always)]
fn float_row<T: Copy + Default>(bias: &[f32], sums: &[f32], out: &mut [T], follow: impl Fn(f32) -> T) {
    let (bias, sums, out) = (bias.as_chunks::<LANES>(), sums.as_chunks::<LANES>(), out.as_chunks_mut::<LANES>());
    for ((out, sums), bias) in out.0.iter_mut().zip(sums.0).zip(bias.0) {
        *out = lanes(|i| follow(sums[i] + bias[i]));
    }
    for ((out, sum), bias) in out.1.iter_mut().zip(sums.1).zip(bias.1) {
        *out = follow(sum + bias);
    }
}

/// What `follow` makes of [`WIDE`] values.
#[inline(always)]
fn wide_row<T: Copy + Default>(out: &mut [T; WIDE], follow: impl Fn(f32) -> T, value: impl Fn(usize) -> f32) {
    let (first, second) = (lanes(&value), lanes(|i| value(LANES + i)));
    let (first, second) = (lanes(|i| follow(first[i])), lanes(|i| follow(second[i])));
    out[..LANES].copy_from_slice(&first);
    out[LANES..].copy_from_slice(&second);
}

#[inline(always)]
fn same(x: f32) -> f32 {
    x
}

/// GELU to all of f32's digits.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * erf(x * std::f32::consts::FRAC_1_SQRT_2).mul_add(0.5, 0.5)
}
