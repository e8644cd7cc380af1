//! Embedding, residual and layer norm, each row in one visit.

use crate::model::vector::{fold, sum, vectorised};

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

    /// Normalises one row in place. In two passes: the one-pass formula cancels.
    #[inline(always)]
    fn row(&self, row: &mut [f32]) {
        let width = row.len() as f32;
        let mean = sum(row) / width;
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
            for (x, y) in x.iter_mut().zip(y) {
                *x += y;
            }
            norm.row(x);
        }
    }
}

/// The embedding tables, each [rows, hidden].
pub(super) struct Embeddings {
    pub(super) words: Vec<f32>,
    pub(super) positions: Vec<f32>,
    pub(super) types: Vec<f32>,
    pub(super) norm: Norm,
}

vectorised! {
    /// The rows of some tokens: `ids` of (word, position, type).
    pub(super) fn embed<'a>(tables: &'a Embeddings, ids: &'a [[u32; 3]], out: &'a mut [f32]) {
        let width = tables.norm.weight.len();
        for (row, [word, position, kind]) in out.chunks_exact_mut(width).zip(ids) {
            let words = &tables.words[*word as usize * width..][..width];
            let positions = &tables.positions[*position as usize * width..][..width];
            let types = &tables.types[*kind as usize * width..][..width];
            for (((y, a), b), c) in row.iter_mut().zip(words).zip(types).zip(positions) {
                *y = a + b + c;
            }
            tables.norm.row(row);
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
