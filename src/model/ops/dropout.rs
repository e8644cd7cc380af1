//! Dropout (Srivastava et al. 2014) whose mask is a function of a seed and the element's index: nothing is stored for the
//! backward pass, and a run repeats whatever the number of cores.

use std::sync::atomic::{AtomicU32, Ordering};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::values;
use crate::model::vector::vectorised;

const BLOCK: usize = 16_384;

/// The dropout of one training step. Each use takes the next seed, so the same step draws the same masks again.
#[derive(Debug)]
pub struct Dropout {
    probability: f32,
    seed: u32,
    uses: AtomicU32,
}

impl Dropout {
    /// `probability` of an element to be dropped, in [0, 1); `seed` of this step.
    pub fn new(probability: f32, seed: u64) -> Self {
        let seed = hash((seed >> 32) as u32 ^ hash(seed as u32));
        Self { probability: probability.clamp(0.0, 0.95), seed, uses: AtomicU32::new(0) }
    }

    /// The mask of the next use.
    pub(super) fn next_mask(&self) -> Mask {
        let turn = self.uses.fetch_add(1, Ordering::Relaxed);
        Mask::new(self.probability, hash(self.seed.wrapping_add(turn.wrapping_mul(0x9E37_79B9))))
    }
}

/// Which elements stay, and by what they are scaled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask {
    threshold: u32,
    scale: f32,
    seed: u32,
}

impl Mask {
    fn new(probability: f32, seed: u32) -> Self {
        Self { threshold: (f64::from(probability) * f64::from(u32::MAX)) as u32, scale: 1.0 / (1.0 - probability), seed }
    }

    /// 0 where the element is dropped, 1 / (1 - probability) where it stays.
    #[inline(always)]
    pub(super) fn factor(self, index: u32) -> f32 {
        if hash(index ^ self.seed) >= self.threshold { self.scale } else { 0.0 }
    }
}

/// The finaliser of MurmurHash3: every bit of the input moves every bit of the output.
#[inline(always)]
fn hash(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

/// Drops elements of `x` at random in training; with `None` it is the identity.
pub fn dropout(x: &Tensor, dropout: Option<&Dropout>) -> Result<Tensor> {
    match dropout {
        Some(dropout) if dropout.probability > 0.0 => x.contiguous()?.apply_op1(DropoutOp(dropout.next_mask())),
        _ => Ok(x.clone()),
    }
}

struct DropoutOp(Mask);

vectorised! {
    fn drop_block<'a>(mask: Mask, first: u32, x: &'a [f32], y: &'a mut [f32]) {
        for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
            *y = x * mask.factor(first.wrapping_add(i as u32));
        }
    }
}

impl CustomOp1 for DropoutOp {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(x, layout)?;
        let mask = self.0;
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).enumerate().for_each(|(block, (y, x))| {
            drop_block(mask, (block * BLOCK) as u32, x, y);
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(&DropoutOp(self.0))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_step_drops_its_share_and_the_same_elements_again() -> Result<()> {
        let x = Tensor::ones((100, 1000), candle_core::DType::F32, &Device::Cpu)?;
        let first = dropout(&x, Some(&Dropout::new(0.1, 7)))?;
        let again = dropout(&x, Some(&Dropout::new(0.1, 7)))?;
        let other = dropout(&x, Some(&Dropout::new(0.1, 8)))?;
        let mean = first.mean_all()?.to_scalar::<f32>()?;
        assert!((mean - 1.0).abs() < 0.01, "the mean is kept, got {mean}");
        let same = |a: &Tensor, b: &Tensor| -> Result<f32> { (a - b)?.abs()?.sum_all()?.to_scalar() };
        assert_eq!(same(&first, &again)?, 0.0);
        assert!(same(&first, &other)? > 0.0);
        Ok(())
    }
}
