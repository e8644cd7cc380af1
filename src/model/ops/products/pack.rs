//! Packing for the kernels: panels from rows or from columns, strips from rows or from columns. In bf16 two neighbours in depth
//! share a word, so what lies across them is paired on the way.

use rayon::prelude::*;

use super::Matrix;
use crate::model::kernels::{Aligned, CACHE_LINE, Element, Kernel, Panels, to_bf16};
use crate::model::vector::vectorised;

/// Words that are transposed together: a cache line of the target.
const BLOCK: usize = 16;

/// `matrix` [outer, inner] as the right side whose columns are its rows.
pub(super) fn by_rows(panels: &mut Panels, matrix: Matrix<'_>) {
    let (kernel, inner) = (panels.kernel(), matrix.columns);
    let width = kernel.columns();
    let data = panels.reshape(matrix.rows(), inner);
    let words = kernel.depth_bytes(inner) / 4;
    data.par_chunks_mut(words * width).zip(matrix.values.par_chunks(width * inner)).for_each(|(panel, rows)| {
        super::with_scratch(|scratch| {
            let stride = strip_of_rows(kernel, Matrix::new(rows, inner), &mut scratch.strip);
            // Columns beyond the matrix keep old values: nobody reads their sums, but they must not become a signal.
            panel.fill(0);
            transpose_into(scratch.strip.words_mut(), stride / 4, words, panel, width);
        });
    });
}

/// `matrix` [inner, outer] as the right side whose columns are its columns.
pub(super) fn by_columns(panels: &mut Panels, matrix: Matrix<'_>) {
    let (kernel, inner) = (panels.kernel(), matrix.rows());
    let width = kernel.columns();
    let data = panels.reshape(matrix.columns, inner);
    let words = kernel.depth_bytes(inner) / 4;
    data.par_chunks_mut(words * width).enumerate().for_each(|(panel, data)| {
        let first = panel * width;
        let columns = width.min(matrix.columns - first);
        let block = Block { matrix, first, columns, element: kernel.element() };
        words_of_columns(block, 0..words, width, data);
    });
}

/// `matrix` as rows of the left side; the distance of rows in bytes is returned.
pub(super) fn strip_of_rows(kernel: Kernel, matrix: Matrix<'_>, strip: &mut Aligned) -> usize {
    let stride = stride_of(kernel, matrix.columns);
    let used = matrix.columns * kernel.element().size();
    strip.resize(matrix.rows() * stride);
    for (target, row) in strip.bytes_mut().chunks_exact_mut(stride).zip(matrix.values.chunks_exact(matrix.columns)) {
        match kernel.element() {
            Element::Bf16 => round(row, bytemuck::cast_slice_mut(&mut target[..used])),
            _ => target[..used].copy_from_slice(bytemuck::cast_slice(row)),
        }
        // It meets the panel's zeros, and infinity times zero is no number.
        target[used..].fill(0);
    }
    stride
}

/// A cache line more than a row: rows of 2 or 4 KiB would all fall into the same few sets of the first-level cache.
fn stride_of(kernel: Kernel, inner: usize) -> usize {
    kernel.depth_bytes(inner) + CACHE_LINE
}

/// Columns of `matrix` from `first` on, as many as there are `sums`, as rows of the left side; the distance of rows in bytes is
/// returned. Each column's sum is added to `sums`.
pub(super) fn strip_of_columns(
    kernel: Kernel,
    matrix: Matrix<'_>,
    first: usize,
    sums: &mut [f32],
    strip: &mut Aligned,
    scratch: &mut Vec<u32>,
) -> usize {
    let (inner, columns) = (matrix.rows(), sums.len());
    let (stride, words) = (stride_of(kernel, inner), kernel.depth_bytes(inner) / 4);
    strip.resize(columns * stride);
    let target = strip.words_mut();
    scratch.resize(BLOCK * columns, 0);
    let block = Block { matrix, first, columns, element: kernel.element() };
    for start in (0..words).step_by(BLOCK) {
        let count = BLOCK.min(words - start);
        words_of_columns(block, start..start + count, columns, scratch);
        transpose_block(scratch, columns, count, &mut target[start..], stride / 4);
    }
    add_columns(block, sums);
    stride
}

/// Some columns of a matrix.
#[derive(Clone, Copy)]
struct Block<'a> {
    matrix: Matrix<'a>,
    first: usize,
    columns: usize,
    element: Element,
}

impl<'a> Block<'a> {
    #[inline(always)]
    fn row(self, row: usize) -> Option<&'a [f32]> {
        let start = row * self.matrix.columns + self.first;
        self.matrix.values.get(start..start + self.columns)
    }
}

vectorised! {
    /// Words `words` of depth of each of the block's columns: a line of `width` for each word. What is beyond the matrix is zero.
    fn words_of_columns<'a>(block: Block<'a>, words: std::ops::Range<usize>, width: usize, data: &'a mut [u32]) {
        for (line, word) in data.chunks_exact_mut(width).zip(words) {
            let (line, rest) = line.split_at_mut(block.columns);
            rest.fill(0);
            if block.element == Element::F32 {
                match block.row(word) {
                    Some(row) => line.copy_from_slice(bytemuck::cast_slice(row)),
                    None => line.fill(0),
                }
                continue;
            }
            match (block.row(word * 2), block.row(word * 2 + 1)) {
                (Some(a), Some(b)) => {
                    for ((word, a), b) in line.iter_mut().zip(a).zip(b) {
                        *word = u32::from(to_bf16(*a)) | u32::from(to_bf16(*b)) << 16;
                    }
                }
                (Some(a), None) => {
                    for (word, a) in line.iter_mut().zip(a) {
                        *word = u32::from(to_bf16(*a));
                    }
                }
                _ => line.fill(0),
            }
        }
    }
}

vectorised! {
    fn add_columns<'a>(block: Block<'a>, sums: &'a mut [f32]) {
        for row in 0..block.matrix.rows() {
            if let Some(row) = block.row(row) {
                for (sum, x) in sums.iter_mut().zip(row) {
                    *sum += x;
                }
            }
        }
    }
}

vectorised! {
    /// `lines` [count, columns] transposed: word `i` of column `c` at `c * stride + i`.
    fn transpose_block<'a>(lines: &'a [u32], columns: usize, count: usize, target: &'a mut [u32], stride: usize) {
        for column in 0..columns {
            let target = &mut target[column * stride..][..count];
            for (word, line) in target.iter_mut().zip(lines.chunks_exact(columns)) {
                *word = line[column];
            }
        }
    }
}

vectorised! {
    /// Rows of `words` words, `stride` words apart, as columns of lines of `width`.
    fn transpose_into<'a>(rows: &'a [u32], stride: usize, words: usize, lines: &'a mut [u32], width: usize) {
        // Block by block, so that the lines written to stay in the first-level cache.
        for start in (0..words).step_by(BLOCK) {
            let count = BLOCK.min(words - start);
            for (column, row) in rows.chunks_exact(stride).enumerate() {
                let lines = lines[start * width..].chunks_exact_mut(width);
                for (line, word) in lines.zip(&row[start..start + count]) {
                    line[column] = *word;
                }
            }
        }
    }
}

vectorised! {
    fn round<'a>(values: &'a [f32], halves: &'a mut [u16]) {
        for (half, x) in halves.iter_mut().zip(values) {
            *half = to_bf16(*x);
        }
    }
}
