//! The words' history: which tokens and pairs of tokens stood in orders that were disputed. Buckets of hashes and their weights,
//! no text: what a citizen wrote cannot be read out of a model folder.
//!
//! It sees what the encoder's dispute head does not: that head learnt from few disputes through 512 numbers, this counts words.

use candle_core::Tensor;

/// Name of the tensor, `[2, buckets]`.
pub const DISPUTE_WORDS: &str = "dispute_words";

/// A linear model over the set of a text's tokens and pairs of neighbours, each by its rarity, the whole set of length one.
#[derive(Debug, Clone, PartialEq)]
pub struct DisputeWords {
    /// Weight times rarity of each bucket.
    weights: Vec<f32>,
    /// Square of the rarity of each bucket.
    squares: Vec<f32>,
}

impl DisputeWords {
    /// From what training found; both as long as there are buckets, a power of two.
    pub fn new(weights: Vec<f32>, rarities: &[f32]) -> Self {
        let weights = weights.iter().zip(rarities).map(|(weight, rarity)| weight * rarity).collect();
        Self { weights, squares: rarities.iter().map(|rarity| rarity * rarity).collect() }
    }

    /// From the model folder's tensor, whose shape was checked with the other weights'.
    pub fn from_tensor(tensor: &Tensor) -> candle_core::Result<Self> {
        Ok(Self { weights: tensor.get(0)?.to_vec1()?, squares: tensor.get(1)?.to_vec1()? })
    }

    /// As a tensor for the model folder.
    pub fn to_tensor(&self) -> candle_core::Result<Tensor> {
        Tensor::new(vec![self.weights.clone(), self.squares.clone()], &candle_core::Device::Cpu)
    }

    /// How much the words speak of a dispute; 0 for no words.
    pub fn score(&self, tokens: impl Iterator<Item = u32>) -> f32 {
        let buckets = buckets(tokens, self.weights.len());
        let (mut sum, mut squares) = (0.0, 0.0);
        for bucket in buckets {
            sum += self.weights[bucket as usize];
            squares += self.squares[bucket as usize];
        }
        if squares > 0.0 { sum / squares.sqrt() } else { 0.0 }
    }
}

/// The buckets of a text's tokens and pairs of neighbours, each once, in order. `count` is a power of two from 2 on.
pub fn buckets(tokens: impl Iterator<Item = u32>, count: usize) -> Vec<u32> {
    let shift = 32 - count.trailing_zeros();
    // Multiplicative hashing (Knuth): the upper bits are the good ones.
    let bucket =
        |first: u32, second: u32| first.wrapping_mul(0x9E37_79B1).wrapping_add(second.wrapping_mul(0x85EB_CA77)) >> shift;
    let mut found = Vec::with_capacity(2 * tokens.size_hint().0);
    let mut before = None;
    for token in tokens {
        found.push(bucket(0, token));
        // One more than the id, so that no pair begins like a single token.
        found.extend(before.map(|before: u32| bucket(before.wrapping_add(1), token)));
        before = Some(token);
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_count_once_by_their_rarity_and_no_words_say_nothing() {
        let mut weights = vec![0.0; 64];
        let seven = buckets([7].into_iter(), 64)[0] as usize;
        weights[seven] = 3.0;
        let words = DisputeWords::new(weights, &[2.0; 64]);
        assert_eq!(words.score([7].into_iter()), 3.0, "6 over a length of 2");
        assert_eq!(words.score(std::iter::empty()), 0.0);
        let again = words.score([7, 7].into_iter());
        assert!((again - 6.0 / 8f32.sqrt()).abs() < 1e-6, "the word once, and the pair: {again}");
    }

    #[test]
    fn it_comes_back_from_the_model_folder_as_it_went() -> candle_core::Result<()> {
        let words = DisputeWords::new(vec![0.5, -1.0], &[2.0, 3.0]);
        assert_eq!(DisputeWords::from_tensor(&words.to_tensor()?)?, words);
        Ok(())
    }
}
