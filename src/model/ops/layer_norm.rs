//! Layer normalisation over the last dimension: y = (x - mean) / sqrt(variance + epsilon) * weight + bias (Ba et al. 2016).
//!
//! Ours, because candle-nn's fused one has no backward pass: gradients stop there without an error.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::add_up;
use super::vector::{LANES, dispatch, fold, sum};
use super::{fused, plain, rows_per_task, values, with_values};

/// Normalises each row of `x` [rows, width]; `weight` and `bias` are [width].
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    if !fused(x) {
        return plain::layer_norm(x, weight, bias, epsilon);
    }
    x.contiguous()?.apply_op3(weight, bias, LayerNorm { epsilon: epsilon as f32 })
}

struct LayerNorm {
    epsilon: f32,
}

impl LayerNorm {
    /// Mean and 1 / sqrt(variance + epsilon) of one row, in two passes: the one-pass formula cancels.
    #[inline(always)]
    fn moments(&self, row: &[f32]) -> (f32, f32) {
        let width = row.len() as f32;
        let mean = sum(row) / width;
        let variance = fold(row, |lane, x| (x - mean).mul_add(x - mean, lane)) / width;
        (mean, 1.0 / (variance + self.epsilon).sqrt())
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = x_layout.shape().dims2()?;
        let (x, weight, bias) = (values(x, x_layout)?, values(weight, weight_layout)?, values(bias, bias_layout)?);
        if weight.len() != width || bias.len() != width {
            candle_core::bail!("layer norm: rows of {width} do not fit a weight of {}", weight.len());
        }
        let mut y = vec![0f32; x.len()];
        let block = width * rows_per_task(width);
        y.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(y, x)| {
            dispatch(|| {
                for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                    let (mean, scale) = self.moments(x);
                    for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                        *y = ((x - mean) * scale).mul_add(*w, *b);
                    }
                }
            });
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    /// With n = (x - mean) * scale and g = dy * weight: dx = scale * (g - mean(g) - n * mean(g * n)), dweight = sum of dy * n,
    /// dbias = sum of dy. Mean and scale are computed anew: cheaper than to keep them.
    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (rows, width) = x.dims2()?;
        let block = width * rows_per_task(width);
        let mut grad_x = vec![0f32; rows * width];
        let sums = with_values(x, |x| {
            with_values(weight, |weight| {
                with_values(grad, |grad| {
                    let partial: Vec<Vec<f32>> = grad_x
                        .par_chunks_mut(block)
                        .zip(x.par_chunks(block))
                        .zip(grad.par_chunks(block))
                        .map(|((grad_x, x), grad)| {
                            let mut sums = vec![0f32; 2 * width];
                            dispatch(|| self.backward_rows(width, weight, x, grad, grad_x, &mut sums));
                            sums
                        })
                        .collect();
                    add_up(partial, 2 * width)
                })
            })
        })???;
        let device = x.device();
        Ok((
            Some(Tensor::from_vec(grad_x, (rows, width), device)?),
            Some(Tensor::from_slice(&sums[..width], width, device)?),
            Some(Tensor::from_slice(&sums[width..], width, device)?),
        ))
    }
}

impl LayerNorm {
    #[inline(always)]
    fn backward_rows(&self, width: usize, weight: &[f32], x: &[f32], grad: &[f32], grad_x: &mut [f32], sums: &mut [f32]) {
        let (sum_weight, sum_bias) = sums.split_at_mut(width);
        for ((x, grad), grad_x) in x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(grad_x.chunks_exact_mut(width)) {
            let (mean, scale) = self.moments(x);
            let (mut mean_g, mut mean_gn) = ([0f32; LANES], [0f32; LANES]);
            // g * n is kept in grad_x until the row's means are known.
            for i in 0..width {
                let normal = (x[i] - mean) * scale;
                let g = grad[i] * weight[i];
                mean_g[i % LANES] += g;
                mean_gn[i % LANES] += g * normal;
                sum_weight[i] += grad[i] * normal;
                sum_bias[i] += grad[i];
            }
            let (mean_g, mean_gn) = (mean_g.iter().sum::<f32>() / width as f32, mean_gn.iter().sum::<f32>() / width as f32);
            for i in 0..width {
                let normal = (x[i] - mean) * scale;
                grad_x[i] = scale * (grad[i] * weight[i] - mean_g - normal * mean_gn);
            }
        }
    }
}
