//! How far two embeddings are apart: by their signs, over many texts at once, and by their numbers. Plain loops that the compiler
//! turns into vector code for the widest vectors of this processor.

use crate::model::vector::{LANES, vectorised};

/// Texts whose signs lie together.
pub const BLOCK: usize = 64;

/// Bytes that may be counted before a count of differing bits could pass 255.
const COUNTED: usize = 31;

vectorised! {
    /// In how many signs each text of `blocks` differs from `signs`, and the least of these for each block. A block holds the first
    /// byte of its texts' signs side by side, then the second of each: sixty-four bytes meet one of ours at a time, and nothing has to
    /// be added across.
    pub fn hamming<'a>(signs: &'a [u8], blocks: &'a [u8], distances: &'a mut [u16], nearest: &'a mut [u16]) {
        let (distances, _) = distances.as_chunks_mut::<BLOCK>();
        for ((block, distances), nearest) in blocks.chunks_exact(signs.len() * BLOCK).zip(distances).zip(nearest) {
            *distances = [0; BLOCK];
            for (own, rows) in signs.chunks(COUNTED).zip(block.chunks(COUNTED * BLOCK)) {
                let mut differing = [0u8; BLOCK];
                let (rows, _) = rows.as_chunks::<BLOCK>();
                for (own, row) in own.iter().zip(rows) {
                    for (count, byte) in differing.iter_mut().zip(row) {
                        *count += (byte ^ own).count_ones() as u8;
                    }
                }
                for (distance, count) in distances.iter_mut().zip(differing) {
                    *distance += u16::from(count);
                }
            }
            *nearest = distances.iter().fold(u16::MAX, |least, distance| if *distance < least { *distance } else { least });
        }
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
