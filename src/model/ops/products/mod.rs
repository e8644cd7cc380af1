//! The three products of a linear layer and its backward pass: y = x wᵀ + b, dx = dy w, dw = dyᵀ x.
//!
//! In training they are most of the work. Both sides are packed for the processor's kernel, in bf16 or f32, with sums in f32;
//! variables and everything between the products stay f32. Rows of the result are split among the cores, and each sum is added up
//! by one core in one order, so a run repeats to the bit however the tasks fall.

mod pack;

use std::cell::Cell;

use rayon::prelude::*;

use crate::model::kernels::{Aligned, Element, Isa, Kernel, Panels, Strip, Tile};
use crate::model::vector::vectorised;

/// Most result rows of a task: their left side stays in the second-level cache while all panels pass by.
const ROWS: usize = 96;

/// Depth of a block of dw, whose depth is all tokens of the batch: a panel of that depth stays in the second-level cache.
const DEPTH: usize = 1024;

/// What multiplies matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Products {
    /// Candle, in f32: the reference.
    Candle,
    /// A kernel of ours, in its element.
    Kernel(Kernel),
}

impl Products {
    /// The fastest in f32. Candle's own product is written for AVX2, and well: ours is for what goes beyond it.
    pub fn f32() -> Self {
        match Kernel::best(Element::F32) {
            Some(kernel) if kernel.isa() >= Isa::Avx512 => Self::Kernel(kernel),
            _ => Self::Candle,
        }
    }

    /// In bf16, if this processor multiplies it.
    pub fn bf16() -> Option<Self> {
        Kernel::best(Element::Bf16).map(Self::Kernel)
    }

    /// In bf16 where that is faster, in f32 elsewhere.
    pub fn fastest() -> Self {
        Kernel::best(Element::Bf16).filter(|kernel| kernel.outpaces_f32()).map_or_else(Self::f32, Self::Kernel)
    }
}

/// Values in rows, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) columns: usize,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(values: &'a [f32], columns: usize) -> Self {
        Self { values, columns }
    }

    fn rows(self) -> usize {
        self.values.len() / self.columns
    }
}

/// Memory that is used again for the next product.
#[derive(Default)]
struct Scratch {
    strip: Aligned,
    words: Vec<u32>,
    tile: Tile,
}

thread_local! {
    /// What each core packs rows into. Taken out while it is used: a task that is picked up meanwhile finds an empty one.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
    /// What the caller packs right sides into.
    static PANELS: Cell<Vec<Panels>> = const { Cell::new(Vec::new()) };
}

fn with_scratch(work: impl FnOnce(&mut Scratch)) {
    let mut scratch = SCRATCH.take().unwrap_or_default();
    work(&mut scratch);
    SCRATCH.set(Some(scratch));
}

fn with_panels<R>(kernel: Kernel, count: usize, work: impl FnOnce(&mut [Panels]) -> R) -> R {
    let mut panels = PANELS.take();
    panels.retain(|panels| panels.kernel() == kernel);
    if panels.len() < count {
        panels.resize_with(count, || Panels::empty(kernel));
    }
    let result = work(&mut panels[..count]);
    PANELS.set(panels);
    result
}

/// `left` [rows, inner] times the transpose of `right` [outer, inner], plus `bias` [outer], into `out` [rows, outer].
pub(super) fn rows_by_rows(kernel: Kernel, left: Matrix<'_>, right: Matrix<'_>, bias: &[f32], out: &mut [f32]) {
    with_panels(kernel, 1, |panels| {
        pack::by_rows(&mut panels[0], right);
        rows_by_panels(left, &panels[0], bias, out);
    });
}

/// `left` [rows, inner] times `right` [inner, outer], into `out` [rows, outer].
pub(super) fn rows_by_columns(kernel: Kernel, left: Matrix<'_>, right: Matrix<'_>, out: &mut [f32]) {
    with_panels(kernel, 1, |panels| {
        pack::by_columns(&mut panels[0], right);
        rows_by_panels(left, &panels[0], &[], out);
    });
}

/// The transpose of `left` [depth, rows] times `right` [depth, outer], into `out` [rows, outer]; and the sums of `left` over the
/// depth into `sums` [rows].
pub(super) fn columns_by_columns(kernel: Kernel, left: Matrix<'_>, right: Matrix<'_>, out: &mut [f32], sums: &mut [f32]) {
    let (rows, outer, blocks) = (left.columns, right.columns, left.rows().div_ceil(DEPTH).max(1));
    let count = rows_of_task(kernel, rows);
    with_panels(kernel, blocks, |panels| {
        for (panels, values) in panels.iter_mut().zip(right.values.chunks(DEPTH * outer)) {
            pack::by_columns(panels, Matrix::new(values, outer));
        }
        let panels = &*panels;
        let tasks = out.par_chunks_mut(count * outer).zip(sums.par_chunks_mut(count)).enumerate();
        tasks.for_each(|(task, (out, sums))| {
            with_scratch(|Scratch { strip, words, tile }| {
                sums.fill(0.0);
                for (block, (panels, values)) in panels.iter().zip(left.values.chunks(DEPTH * rows)).enumerate() {
                    let stride = pack::strip_of_columns(kernel, Matrix::new(values, rows), task * count, sums, strip, words);
                    let write = if block == 0 { Write::Set } else { Write::Add };
                    strip_by_panels(strip.bytes(), stride, panels, (&[], write), tile, out);
                }
            });
        });
    });
}

/// How a tile's sums go into the result.
#[derive(Clone, Copy, PartialEq)]
enum Write {
    Set,
    Add,
}

/// Rows of a task: whole strips, and enough tasks for all cores.
fn rows_of_task(kernel: Kernel, rows: usize) -> usize {
    let share = rows.div_ceil(rayon::current_num_threads()).next_multiple_of(kernel.rows());
    share.clamp(kernel.rows(), (ROWS / kernel.rows()).max(1) * kernel.rows())
}

fn rows_by_panels(left: Matrix<'_>, panels: &Panels, bias: &[f32], out: &mut [f32]) {
    let (kernel, outer) = (panels.kernel(), panels.outer());
    let count = rows_of_task(kernel, left.rows());
    let tasks = out.par_chunks_mut(count * outer).zip(left.values.par_chunks(count * left.columns));
    tasks.for_each(|(out, values)| {
        with_scratch(|Scratch { strip, tile, .. }| {
            let stride = pack::strip_of_rows(kernel, Matrix::new(values, left.columns), strip);
            strip_by_panels(strip.bytes(), stride, panels, (bias, Write::Set), tile, out);
        });
    });
}

/// All panels for the packed rows: panel by panel, so that one stays in cache while the rows pass by.
fn strip_by_panels(
    rows: &[u8],
    stride: usize,
    panels: &Panels,
    (bias, write): (&[f32], Write),
    tile: &mut Tile,
    out: &mut [f32],
) {
    let (kernel, outer) = (panels.kernel(), panels.outer());
    let count = out.len() / outer;
    for panel in 0..panels.count() {
        let (first, columns) = panels.columns(panel);
        let bias = bias.get(first..first + columns).unwrap_or(&[]);
        for start in (0..count).step_by(kernel.rows()) {
            let strip = Strip { bytes: &rows[start * stride..], stride, rows: kernel.rows().min(count - start) };
            panels.multiply(strip, panel, tile);
            let sums = Sums { tile: tile.floats(), width: kernel.columns(), rows: strip.rows, columns };
            finish(sums, bias, write, &mut out[start * outer + first..], outer);
        }
    }
}

/// What a tile holds, and how much of it counts.
#[derive(Clone, Copy)]
struct Sums<'a> {
    tile: &'a [f32],
    width: usize,
    rows: usize,
    columns: usize,
}

vectorised! {
    fn finish<'a>(sums: Sums<'a>, bias: &'a [f32], write: Write, out: &'a mut [f32], stride: usize) {
        for row in 0..sums.rows {
            let tile = &sums.tile[row * sums.width..][..sums.columns];
            let out = &mut out[row * stride..][..sums.columns];
            if write == Write::Add {
                for (y, sum) in out.iter_mut().zip(tile) {
                    *y += sum;
                }
            } else if bias.is_empty() {
                out.copy_from_slice(tile);
            } else {
                for ((y, sum), bias) in out.iter_mut().zip(tile).zip(&bias[..sums.columns]) {
                    *y = sum + bias;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37 + seed * 11) % 29) as f32 - 14.0).collect()
    }

    /// Small integers are exact in bf16 and their sums in f32, so all products can be compared to the bit.
    #[test]
    fn all_three_products_are_exact_on_small_integers_over_odd_shapes() {
        for kernel in [Element::F32, Element::Bf16].into_iter().filter_map(Kernel::best) {
            for (rows, inner, outer) in [(1, 1, 1), (7, 16, 3), (97, 65, 130), (33, 7, 64), (1030, 48, 70)] {
                let (x, w, dy) = (values(rows * inner, 1), values(outer * inner, 2), values(rows * outer, 3));
                let bias = values(outer, 4);
                let dot = |left: &dyn Fn(usize) -> f32, right: &dyn Fn(usize) -> f32, depth| -> f32 {
                    (0..depth).map(|k| left(k) * right(k)).sum()
                };
                let mut y = vec![f32::NAN; rows * outer];
                rows_by_rows(kernel, Matrix::new(&x, inner), Matrix::new(&w, inner), &bias, &mut y);
                let mut dx = vec![f32::NAN; rows * inner];
                rows_by_columns(kernel, Matrix::new(&dy, outer), Matrix::new(&w, inner), &mut dx);
                let (mut dw, mut db) = (vec![f32::NAN; outer * inner], vec![f32::NAN; outer]);
                columns_by_columns(kernel, Matrix::new(&dy, outer), Matrix::new(&x, inner), &mut dw, &mut db);
                for r in 0..rows {
                    for o in 0..outer {
                        let exact = bias[o] + dot(&|k| x[r * inner + k], &|k| w[o * inner + k], inner);
                        assert_eq!(y[r * outer + o], exact, "y of {kernel:?}, {rows}x{inner}x{outer} at {r}, {o}");
                    }
                    for i in 0..inner {
                        let exact = dot(&|k| dy[r * outer + k], &|k| w[k * inner + i], outer);
                        assert_eq!(dx[r * inner + i], exact, "dx of {kernel:?}, {rows}x{inner}x{outer} at {r}, {i}");
                    }
                }
                for o in 0..outer {
                    assert_eq!(db[o], (0..rows).map(|k| dy[k * outer + o]).sum::<f32>(), "db of {kernel:?}");
                    for i in 0..inner {
                        let exact = dot(&|k| dy[k * outer + o], &|k| x[k * inner + i], rows);
                        assert_eq!(dw[o * inner + i], exact, "dw of {kernel:?}, {rows}x{inner}x{outer} at {o}, {i}");
                    }
                }
            }
        }
    }
}
