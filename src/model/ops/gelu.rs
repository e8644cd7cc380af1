//! GELU with erf (Hendrycks and Gimpel 2016), not its tanh approximation: BERT was trained with this one.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::vector::{dispatch, erf, exp};
use super::{fused, plain, values, with_values};

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

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(x, layout)?;
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| {
            dispatch(|| {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = x * normal_cdf(x);
                }
            });
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    /// d/dx = cdf(x) + x * density(x).
    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        const DENSITY_AT_ZERO: f32 = 0.398_942_3;
        let mut grad_x = vec![0f32; x.elem_count()];
        with_values(x, |x| {
            with_values(grad, |grad| {
                grad_x.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).zip(grad.par_chunks(BLOCK)).for_each(
                    |((grad_x, x), grad)| {
                        dispatch(|| {
                            for ((grad_x, &x), &grad) in grad_x.iter_mut().zip(x).zip(grad) {
                                let slope = (x * DENSITY_AT_ZERO).mul_add(exp(-0.5 * x * x), normal_cdf(x));
                                *grad_x = grad * slope;
                            }
                        });
                    },
                );
            })
        })??;
        Ok(Some(Tensor::from_vec(grad_x, x.shape(), x.device())?))
    }
}
