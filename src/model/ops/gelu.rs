//! GELU with erf (Hendrycks and Gimpel 2016), not its tanh approximation: BERT was trained with this one.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{fused, plain, values, with_values};
use crate::model::vector::{erf, exp, vectorised};

const BLOCK: usize = 16_384;

/// x * (1 + erf(x / sqrt 2)) / 2, element by element.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if !fused(x) {
        return plain::gelu(x);
    }
    x.apply_op1(Gelu)
}

struct Gelu;

/// The share of a standard normal below x.
#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    erf(x * std::f32::consts::FRAC_1_SQRT_2).mul_add(0.5, 0.5)
}

vectorised! {
    fn forward_block<'a>(x: &'a [f32], y: &'a mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x * normal_cdf(x);
        }
    }
}

vectorised! {
    /// d/dx = cdf(x) + x * density(x).
    fn backward_block<'a>(x: &'a [f32], grad: &'a [f32], grad_x: &'a mut [f32]) {
        const DENSITY_AT_ZERO: f32 = 0.398_942_3;
        for ((grad_x, &x), &grad) in grad_x.iter_mut().zip(x).zip(grad) {
            let slope = (x * DENSITY_AT_ZERO).mul_add(exp(-0.5 * x * x), normal_cdf(x));
            *grad_x = grad * slope;
        }
    }
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(x, layout)?;
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| forward_block(x, y));
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut grad_x = vec![0f32; x.elem_count()];
        with_values(x, |x| {
            with_values(grad, |grad| {
                grad_x.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).zip(grad.par_chunks(BLOCK)).for_each(
                    |((grad_x, x), grad)| {
                        backward_block(x, grad, grad_x);
                    },
                );
            })
        })??;
        Ok(Some(Tensor::from_vec(grad_x, x.shape(), x.device())?))
    }
}
