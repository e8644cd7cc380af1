//! How far two embeddings are apart by their numbers. Plain loops that the compiler turns into vector code for the widest vectors of
//! this processor.

use crate::model::vector::{LANES, vectorised};

/// Bytes of a cache line.
const LINE: usize = 64;

/// Embeddings in eight bits a number, each with its scale: a quarter of the memory, and it is memory that a search waits for. A
/// cosine is within 0.001 of the exact one.
#[derive(Debug, Clone, Default)]
pub struct Codes {
    values: Vec<i8>,
    scales: Vec<f32>,
}

impl Codes {
    /// Of these embeddings, all of one length.
    pub fn of<'a>(embeddings: impl IntoIterator<Item = &'a [f32]>) -> Self {
        let mut codes = Self::default();
        embeddings.into_iter().for_each(|embedding| codes.push(embedding));
        codes
    }

    /// One more.
    pub fn push(&mut self, embedding: &[f32]) {
        let largest = embedding.iter().fold(0f32, |largest, x| largest.max(x.abs())).max(1e-9);
        let scale = largest / 127.0;
        self.values.extend(embedding.iter().map(|x| (x / scale).round() as i8));
        self.scales.push(scale);
    }

    /// One more, as it stands in another.
    pub fn push_from(&mut self, other: &Self, at: usize, width: usize) {
        self.values.extend(&other.values[at * width..][..width]);
        self.scales.push(other.scales[at]);
    }

    /// Reads a number of each of its cache lines of some of these, and gives their sum, so that the reading cannot be left out. Reads
    /// that wait for nothing wait together: what is compared next is there by then.
    pub fn touch(&self, at: usize, width: usize) -> i32 {
        self.values[at * width..][..width].iter().step_by(LINE).map(|value| i32::from(*value)).sum()
    }

    /// Cosine of an embedding to one of these, both of length one.
    pub fn cosine(&self, at: usize, embedding: &[f32]) -> f32 {
        let mut greatest = -1.0;
        let codes = &self.values[at * embedding.len()..][..embedding.len()];
        greatest_cosine(embedding, codes, &self.scales[at..=at], &mut greatest);
        greatest
    }

    /// The greatest cosine to any of these, -1 if there are none.
    pub fn likest(&self, embedding: &[f32]) -> f32 {
        let mut greatest = -1.0;
        greatest_cosine(embedding, &self.values, &self.scales, &mut greatest);
        greatest
    }
}

vectorised! {
    fn greatest_cosine<'a>(values: &'a [f32], codes: &'a [i8], scales: &'a [f32], out: &'a mut f32) {
        for (codes, scale) in codes.chunks_exact(values.len().max(1)).zip(scales) {
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
            // Rounding may carry a text's likeness to itself past one.
            *out = out.max((lanes.iter().sum::<f32>() * scale).min(1.0));
        }
    }
}
