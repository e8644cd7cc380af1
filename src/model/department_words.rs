//! The words' own opinion of who is responsible: a linear model over a text's tokens and pairs of neighbours, one row of weights a
//! bucket. It knows less than the encoder and errs elsewhere: heard together they are right more often than each, know better how
//! sure they are, and where they disagree a dispute is likelier. Buckets of hashes and their weights, no text.

use candle_core::Tensor;

use super::vector::vectorised;
use super::words::buckets;

/// Name of the tensor: `[buckets + 1, departments + 1]`. The last column is the square of the bucket's rarity, the last row what
/// each department has without a word.
pub const DEPARTMENT_WORDS: &str = "department_words";

/// A linear model over the set of a text's tokens and pairs of neighbours, each by its rarity, the whole set of length one.
#[derive(Debug, Clone, PartialEq)]
pub struct DepartmentWords {
    departments: usize,
    /// [buckets, departments]: weight times rarity.
    weights: Vec<f32>,
    /// Square of the rarity of each bucket.
    squares: Vec<f32>,
    /// [departments].
    bias: Vec<f32>,
}

impl DepartmentWords {
    /// From what training found. `weights` are `[departments][buckets]`, as many buckets as rarities, a power of two; `bias` has one
    /// number a department.
    pub fn new(weights: &[Vec<f32>], bias: Vec<f32>, rarities: &[f32]) -> Self {
        let departments = weights.len();
        let mut by_bucket = vec![0f32; rarities.len() * departments];
        for (department, weights) in weights.iter().enumerate() {
            for (bucket, (weight, rarity)) in weights.iter().zip(rarities).enumerate() {
                by_bucket[bucket * departments + department] = weight * rarity;
            }
        }
        let squares = rarities.iter().map(|rarity| rarity * rarity).collect();
        Self { departments, weights: by_bucket, squares, bias }
    }

    /// From the model folder's tensor, whose shape was checked with the other weights'.
    pub fn from_tensor(tensor: &Tensor) -> candle_core::Result<Self> {
        let (rows, columns) = tensor.dims2()?;
        let (buckets, departments) = (rows - 1, columns - 1);
        let whole = tensor.narrow(0, 0, buckets)?;
        Ok(Self {
            departments,
            weights: whole.narrow(1, 0, departments)?.flatten_all()?.to_vec1()?,
            squares: whole.narrow(1, departments, 1)?.flatten_all()?.to_vec1()?,
            bias: tensor.narrow(0, buckets, 1)?.narrow(1, 0, departments)?.flatten_all()?.to_vec1()?,
        })
    }

    /// As a tensor for the model folder.
    pub fn to_tensor(&self) -> candle_core::Result<Tensor> {
        let columns = self.departments + 1;
        let mut values = Vec::with_capacity((self.squares.len() + 1) * columns);
        for (weights, square) in self.weights.chunks_exact(self.departments).zip(&self.squares) {
            values.extend_from_slice(weights);
            values.push(*square);
        }
        values.extend_from_slice(&self.bias);
        values.push(0.0);
        Tensor::from_vec(values, (self.squares.len() + 1, columns), &candle_core::Device::Cpu)
    }

    /// How much the words speak for each department, by row: margins of about -1 to 1. A text without words speaks for nobody: all
    /// noughts.
    pub fn margins(&self, tokens: impl Iterator<Item = u32>) -> Vec<f32> {
        let buckets = buckets(tokens, self.squares.len());
        let mut margins = vec![0f32; self.departments];
        let mut squares = 0f32;
        for bucket in buckets {
            let bucket = bucket as usize;
            add(&self.weights[bucket * self.departments..][..self.departments], &mut margins);
            squares += self.squares[bucket];
        }
        if squares <= 0.0 {
            return vec![0.0; self.departments];
        }
        let length = squares.sqrt();
        margins.iter().zip(&self.bias).map(|(sum, bias)| sum / length + bias).collect()
    }
}

vectorised! {
    fn add<'a>(weights: &'a [f32], sums: &'a mut [f32]) {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> DepartmentWords {
        let mut weights = vec![vec![0.0; 64]; 3];
        weights[1][buckets([7].into_iter(), 64)[0] as usize] = 3.0;
        DepartmentWords::new(&weights, vec![-1.0, -0.5, -1.0], &[2.0; 64])
    }

    #[test]
    fn words_count_once_by_their_rarity_and_no_words_speak_for_nobody() {
        assert_eq!(words().margins([7].into_iter()), [-1.0, 2.5, -1.0], "6 over a length of 2, and the bias");
        assert_eq!(words().margins(std::iter::empty()), [0.0; 3]);
        let again = words().margins([7, 7].into_iter());
        assert!((again[1] - (6.0 / 8f32.sqrt() - 0.5)).abs() < 1e-6, "the word once, and the pair: {again:?}");
    }

    #[test]
    fn it_comes_back_from_the_model_folder_as_it_went() -> candle_core::Result<()> {
        assert_eq!(DepartmentWords::from_tensor(&words().to_tensor()?)?, words());
        Ok(())
    }
}
