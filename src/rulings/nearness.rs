//! How far two embeddings are apart: by their signs, over many texts at once, and by their numbers. Plain loops that the compiler
//! turns into vector code for the widest vectors of this processor.

use crate::model::vector::{LANES, vectorised};

vectorised! {
    /// In how many signs each row of `rows` differs from `signs`; as many rows as `out` has places.
    pub fn hamming<'a>(signs: &'a [u64], rows: &'a [u64], out: &'a mut [u16]) {
        // The length is a constant for the usual sizes, so that the inner loop has no loop.
        match signs.len() {
            8 => fixed::<8>(signs, rows, out),
            12 => fixed::<12>(signs, rows, out),
            16 => fixed::<16>(signs, rows, out),
            words => {
                for (row, out) in rows.chunks_exact(words.max(1)).zip(out) {
                    *out = row.iter().zip(signs).map(|(a, b)| (a ^ b).count_ones() as u16).sum();
                }
            }
        }
    }
}

#[inline(always)]
fn fixed<const WORDS: usize>(signs: &[u64], rows: &[u64], out: &mut [u16]) {
    let mut own = [0u64; WORDS];
    own.copy_from_slice(signs);
    for (row, out) in rows.chunks_exact(WORDS).zip(out) {
        let mut differing = 0u64;
        for i in 0..WORDS {
            differing += u64::from((row[i] ^ own[i]).count_ones());
        }
        *out = differing as u16;
    }
}

vectorised! {
    fn dot_codes<'a>(values: &'a [f32], codes: &'a [i8], out: &'a mut f32) {
        let mut lanes = [0f32; LANES];
        let mut left = values.chunks_exact(LANES);
        let mut right = codes.chunks_exact(LANES);
        for (x, y) in (&mut left).zip(&mut right) {
            for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
                *lane = x.mul_add(f32::from(y), *lane);
            }
        }
        for ((lane, &x), &y) in lanes.iter_mut().zip(left.remainder()).zip(right.remainder()) {
            *lane = x.mul_add(f32::from(y), *lane);
        }
        *out = lanes.iter().sum();
    }
}

/// Sum of the products with eight-bit codes.
pub fn dot(values: &[f32], codes: &[i8]) -> f32 {
    let mut sum = 0.0;
    dot_codes(values, codes, &mut sum);
    sum
}

vectorised! {
    /// The greatest cosine to any of the rows; all are of length one.
    fn greatest_cosine<'a>(values: &'a [f32], rows: &'a [f32], out: &'a mut f32) {
        for row in rows.chunks_exact(values.len().max(1)) {
            *out = out.max(crate::model::vector::dot(values, row));
        }
    }
}

/// The greatest cosine of `values` to any of the rows, -1 if there are none.
pub fn likest(values: &[f32], rows: &[f32]) -> f32 {
    let mut greatest = -1.0;
    greatest_cosine(values, rows, &mut greatest);
    greatest.min(1.0)
}
