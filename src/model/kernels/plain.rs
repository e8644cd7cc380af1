//! What every kernel must compute, in plain Rust; also what runs on processors that nothing here is written for.

use half::bf16;

use super::{Element, Strip, Sums};

/// Columns of a panel.
pub(super) const COLUMNS: usize = 16;

/// Rows of a strip.
pub(super) const ROWS: usize = 4;

/// `strip` times `panel`, which has `columns` columns and `depth` bytes of each.
pub(super) fn multiply(element: Element, strip: Strip<'_>, panel: &[u8], depth: usize, columns: usize, out: Sums<'_>) {
    for row in 0..strip.rows {
        let left = &strip.bytes[row * strip.stride..][..depth];
        let sums = &mut out.words[row * out.stride..][..columns];
        sums.fill(0);
        for (left, words) in left.chunks_exact(4).zip(panel.chunks_exact(columns * 4)) {
            let left = [left[0], left[1], left[2], left[3]];
            match element {
                Element::F32 => each(sums, words, |sum, right| {
                    f32::from_le_bytes(left).mul_add(f32::from_le_bytes(right), f32::from_bits(sum)).to_bits()
                }),
                Element::Bf16 => each(sums, words, |sum, right| {
                    let product = |i| half(left, i) * half(right, i);
                    (f32::from_bits(sum) + product(0) + product(2)).to_bits()
                }),
                Element::Int16 => each(sums, words, |sum, right| {
                    let product = |i| short(left, i) * short(right, i);
                    sum.wrapping_add(product(0) as u32).wrapping_add(product(2) as u32)
                }),
                Element::Int8 => each(sums, words, |sum, right| {
                    let product = |i: usize| i32::from(left[i]) * i32::from(right[i] as i8);
                    sum.wrapping_add((product(0) + product(1) + product(2) + product(3)) as u32)
                }),
            }
        }
    }
}

#[inline(always)]
fn each(sums: &mut [u32], words: &[u8], step: impl Fn(u32, [u8; 4]) -> u32) {
    for (sum, right) in sums.iter_mut().zip(words.chunks_exact(4)) {
        *sum = step(*sum, [right[0], right[1], right[2], right[3]]);
    }
}

#[inline(always)]
fn short(bytes: [u8; 4], at: usize) -> i32 {
    i32::from(i16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

#[inline(always)]
fn half(bytes: [u8; 4], at: usize) -> f32 {
    bf16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}
