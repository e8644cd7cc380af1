//! A linear layer packed for its kernel: y = x wᵀ + b, with what follows it (GELU) while the sums are still in cache.
//!
//! Where a layer norm feeds the layer, its weight and bias tell beforehand which columns are loud. Those are made quieter before
//! they are quantised and the weights' columns louder by as much (SmoothQuant, Xiao et al. 2022, without its calibration data):
//! the product is the same, the codes are finer. It took a quarter off the error of the bundled model's logits.
//!
//! int8: weights are quantised for each output channel, symmetrically, when the model is loaded; rows by [`Rows`]. With x = low +
//! s·code and w = t·q, the sum over the depth of x·w is t·(s·Σ code·q + low·Σ q): the last sum is known beforehand.

use std::ops::Range;

use super::rows::{RowScales, Rows};
use crate::model::kernels::{Element, Kernel, Panels, Tile, to_bf16};
use crate::model::vector::{LANES, erf, gelu_coarse, lanes, vectorised};

/// What follows the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing.
    Keep,
    /// GELU; where the products are bf16 or int8 anyway, the coarse one.
    Gelu,
    /// GELU to the digits that bf16 and int8 keep.
    CoarseGelu,
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

/// How far smoothing goes: the loudness of a column to this power moves into the weights. Tried on the bundled model: the error
/// of the logits is .0259 with 0 (no smoothing), .0214 with .5, .0199 with .75, .0195 with 1, which leaves the weights too loud.
const SMOOTHING: f32 = 0.75;

impl PackedLinear {
    /// The same for rows whose columns are as loud as `loudness` [inner] says: about the largest that is to be expected of each.
    pub(super) fn pack_smooth(kernel: Kernel, weight: &[f32], bias: &[f32], loudness: &[f32]) -> Self {
        if kernel.element() != Element::Int8 {
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
            Element::Int8 => {
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
        self.each_tile(rows, then, |finish, span, first, tile| {
            let out = &mut out[span.start * finish.stride + first..];
            match self.panels.kernel().element() {
                Element::Int8 => finish_int8(finish, rows.scales(span), self.columns(first), tile.integers(), out),
                _ => finish_float(finish, span.len(), tile.floats(), out),
            }
        });
    }

    /// The same in bf16.
    pub(super) fn run_halves(&self, rows: &Rows, out: &mut [u16]) {
        self.each_tile(rows, Then::Keep, |finish, span, first, tile| {
            let out = &mut out[span.start * finish.stride + first..];
            match self.panels.kernel().element() {
                Element::Int8 => halve_int8(finish, rows.scales(span), self.columns(first), tile.integers(), out),
                _ => halve_float(finish, span.len(), tile.floats(), out),
            }
        });
    }

    fn columns(&self, first: usize) -> ColumnScales<'_> {
        ColumnScales { steps: &self.scales[first..], sums: &self.sums[first..] }
    }

    /// Every strip times every panel: the sums of rows `span` and the columns from `first` on.
    #[inline(always)]
    fn each_tile(&self, rows: &Rows, then: Then, mut finish: impl FnMut(Finish<'_>, Range<usize>, usize, &Tile)) {
        let kernel = self.panels.kernel();
        let mut tile = Tile::default();
        // Panel by panel: one is read by all strips while it is in cache.
        for panel in 0..self.panels.count() {
            let (first, columns) = self.panels.columns(panel);
            let how = Finish {
                width: kernel.columns(),
                columns,
                bias: &self.bias[first..],
                then: match then {
                    Then::Gelu if kernel.element() != Element::F32 => Then::CoarseGelu,
                    then => then,
                },
                stride: self.panels.outer(),
            };
            for start in (0..rows.count()).step_by(kernel.rows()) {
                let strip = rows.strip(start, kernel.rows());
                self.panels.multiply(strip, panel, &mut tile);
                finish(how, start..start + strip.rows, first, &tile);
            }
        }
    }
}

/// What to do with the sums of a tile.
#[derive(Clone, Copy)]
struct Finish<'a> {
    /// Columns of the tile.
    width: usize,
    /// Columns of it that are used.
    columns: usize,
    bias: &'a [f32],
    then: Then,
    /// Distance of result rows.
    stride: usize,
}

/// int8: what belongs to the columns of a tile.
#[derive(Clone, Copy)]
struct ColumnScales<'a> {
    steps: &'a [f32],
    sums: &'a [f32],
}

vectorised! {
    fn finish_int8<'a>(
        finish: Finish<'a>,
        rows: RowScales<'a>,
        columns: ColumnScales<'a>,
        tile: &'a [i32],
        out: &'a mut [f32],
    ) {
        match finish.then {
            Then::Keep => int8_rows(finish, rows, columns, tile, out, |x| x),
            Then::Gelu => int8_rows(finish, rows, columns, tile, out, gelu),
            Then::CoarseGelu => int8_rows(finish, rows, columns, tile, out, gelu_coarse),
        }
    }
}

vectorised! {
    fn halve_int8<'a>(
        finish: Finish<'a>,
        rows: RowScales<'a>,
        columns: ColumnScales<'a>,
        tile: &'a [i32],
        out: &'a mut [u16],
    ) {
        int8_rows(finish, rows, columns, tile, out, to_bf16);
    }
}

#[inline(always)]
fn int8_rows<T: Copy + Default>(
    finish: Finish<'_>,
    rows: RowScales<'_>,
    columns: ColumnScales<'_>,
    tile: &[i32],
    out: &mut [T],
    follow: impl Fn(f32) -> T,
) {
    let value = |sum: i32, step: f32, scale: f32, weights: f32, low: f32, bias: f32| {
        (sum as f32 * step).mul_add(scale, weights.mul_add(low, bias))
    };
    let steps = columns.steps[..finish.columns].as_chunks::<LANES>();
    let sums = columns.sums[..finish.columns].as_chunks::<LANES>();
    let bias = finish.bias[..finish.columns].as_chunks::<LANES>();
    for (row, (scale, low)) in rows.scales.iter().zip(rows.lows).enumerate() {
        let tile = tile[row * finish.width..][..finish.columns].as_chunks::<LANES>();
        let out = out[row * finish.stride..][..finish.columns].as_chunks_mut::<LANES>();
        let columns = steps.0.iter().zip(sums.0).zip(bias.0);
        for ((out, tile), ((steps, sums), bias)) in out.0.iter_mut().zip(tile.0).zip(columns) {
            let values = lanes(|i| value(tile[i], steps[i], *scale, sums[i], *low, bias[i]));
            *out = lanes(|i| follow(values[i]));
        }
        let columns = steps.1.iter().zip(sums.1).zip(bias.1);
        for ((out, tile), ((step, sum), bias)) in out.1.iter_mut().zip(tile.1).zip(columns) {
            *out = follow(value(*tile, *step, *scale, *sum, *low, *bias));
        }
    }
}

vectorised! {
    fn finish_float<'a>(finish: Finish<'a>, rows: usize, tile: &'a [f32], out: &'a mut [f32]) {
        match finish.then {
            Then::Keep => float_rows(finish, rows, tile, out, |x| x),
            Then::Gelu => float_rows(finish, rows, tile, out, gelu),
            Then::CoarseGelu => float_rows(finish, rows, tile, out, gelu_coarse),
        }
    }
}

vectorised! {
    fn halve_float<'a>(finish: Finish<'a>, rows: usize, tile: &'a [f32], out: &'a mut [u16]) {
        float_rows(finish, rows, tile, out, to_bf16);
    }
}

#[inline(always)]
fn float_rows<T: Copy + Default>(finish: Finish<'_>, rows: usize, tile: &[f32], out: &mut [T], follow: impl Fn(f32) -> T) {
    let bias = finish.bias[..finish.columns].as_chunks::<LANES>();
    for row in 0..rows {
        let tile = tile[row * finish.width..][..finish.columns].as_chunks::<LANES>();
        let out = out[row * finish.stride..][..finish.columns].as_chunks_mut::<LANES>();
        for ((out, tile), bias) in out.0.iter_mut().zip(tile.0).zip(bias.0) {
            *out = lanes(|i| follow(tile[i] + bias[i]));
        }
        for ((out, tile), bias) in out.1.iter_mut().zip(tile.1).zip(bias.1) {
            *out = follow(tile + bias);
        }
    }
}

/// GELU to all of f32's digits.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * erf(x * std::f32::consts::FRAC_1_SQRT_2).mul_add(0.5, 0.5)
}
