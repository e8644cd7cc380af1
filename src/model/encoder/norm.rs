//! Embedding, residual and layer norm, each row in one visit.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::model::vector::{LANES, fold, lanes, sum, total, vectorised};

/// Weight and bias of a layer norm.
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) epsilon: f32,
}

impl Norm {
    /// About the largest that is to be expected of each column: three standard deviations from its mean.
    pub(super) fn loudness(&self) -> Vec<f32> {
        self.weight.iter().zip(&self.bias).map(|(weight, bias)| 3.0 * weight.abs() + bias.abs()).collect()
    }

    /// Normalises one row, whose sum is known, in place. In two passes: the one-pass formula cancels.
    #[inline(always)]
    fn row(&self, row: &mut [f32], sum: f32) {
        let width = row.len() as f32;
        let mean = sum / width;
        let variance = fold(row, |lane, x| (x - mean).mul_add(x - mean, lane)) / width;
        let scale = 1.0 / (variance + self.epsilon).sqrt();
        for ((y, w), b) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
            *y = ((*y - mean) * scale).mul_add(*w, *b);
        }
    }
}

vectorised! {
    /// x = norm(x + y), row by row.
    pub(super) fn add_and_normalise<'a>(norm: &'a Norm, x: &'a mut [f32], y: &'a [f32]) {
        let width = norm.weight.len();
        for (x, y) in x.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
            let (mut sums, values, others) = ([0f32; LANES], x.as_chunks_mut::<LANES>(), y.as_chunks::<LANES>());
            for (x, y) in values.0.iter_mut().zip(others.0) {
                *x = lanes(|i| x[i] + y[i]);
                sums = lanes(|i| sums[i] + x[i]);
            }
            for ((sum, x), y) in sums.iter_mut().zip(values.1).zip(others.1) {
                *x += y;
                *sum += *x;
            }
            norm.row(x, total(sums));
        }
    }
}

/// A table of rows. Most models are stored in f16: then half the memory holds the very same values.
pub(super) enum Table {
    /// Every value is one of f16.
    Half(Vec<f16>),
    /// As given.
    Full(Vec<f32>),
}

impl Table {
    /// The values, in f16 if that loses nothing.
    pub(super) fn new(values: Vec<f32>) -> Self {
        let exact = |x: &f32| f16::from_f32(*x).to_f32().to_bits() == x.to_bits();
        match values.iter().all(exact) {
            true => Self::Half(values.iter().map(|x| f16::from_f32(*x)).collect()),
            false => Self::Full(values),
        }
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Half(values) => values.len(),
            Self::Full(values) => values.len(),
        }
    }

    /// Row `row` of rows as long as `out`.
    fn read(&self, row: usize, out: &mut [f32]) {
        let span = row * out.len()..(row + 1) * out.len();
        match self {
            Self::Half(values) => values[span].convert_to_f32_slice(out),
            Self::Full(values) => out.copy_from_slice(&values[span]),
        }
    }
}

/// The embedding tables, each [rows, hidden].
pub(super) struct Embeddings {
    pub(super) words: Table,
    pub(super) positions: Vec<f32>,
    pub(super) types: Vec<f32>,
    pub(super) norm: Norm,
}

/// The rows of some tokens: `ids` of (word, position, type).
pub(super) fn embed(tables: &Embeddings, ids: &[[u32; 3]], out: &mut [f32]) {
    for (row, [word, _, _]) in out.chunks_exact_mut(tables.norm.weight.len()).zip(ids) {
        tables.words.read(*word as usize, row);
    }
    place_and_normalise(tables, ids, out);
}

vectorised! {
    /// Adds position and type to the words' rows, and normalises.
    fn place_and_normalise<'a>(tables: &'a Embeddings, ids: &'a [[u32; 3]], out: &'a mut [f32]) {
        let width = tables.norm.weight.len();
        for (row, [_, position, kind]) in out.chunks_exact_mut(width).zip(ids) {
            let positions = &tables.positions[*position as usize * width..][..width];
            let types = &tables.types[*kind as usize * width..][..width];
            for ((y, b), c) in row.iter_mut().zip(types).zip(positions) {
                *y = *y + b + c;
            }
            tables.norm.row(row, sum(row));
        }
    }
}

vectorised! {
    /// Each row divided by its length.
    pub(super) fn unit_rows<'a>(rows: &'a mut [f32], width: usize) {
        for row in rows.chunks_exact_mut(width) {
            let square = fold(row, |lane, x| x.mul_add(x, lane));
            let inverse = 1.0 / (square + 1e-12).sqrt();
            for x in row {
                *x *= inverse;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_halves_is_kept_as_halves_and_any_other_as_it_is() {
        let halves = Table::new(vec![0.5, -1.25, 3.0, 0.0]);
        let full = Table::new(vec![0.1, -1.25, 3.0, 65_536.0]);
        assert!(matches!(halves, Table::Half(_)) && matches!(full, Table::Full(_)));
        for (table, second) in [(halves, [3.0, 0.0]), (full, [3.0, 65_536.0])] {
            let mut row = [0f32; 2];
            table.read(1, &mut row);
            assert_eq!((row, table.len()), (second, 4));
        }
    }
}
