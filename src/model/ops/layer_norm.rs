//! Layer normalisation over the last dimension: y = (x - mean) / sqrt(variance + epsilon) * weight + bias (Ba et al. 2016).
//!
//! Ours, because candle-nn's fused one has no backward pass: gradients stop there without an error.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::add_up;
use super::{fused, plain, rows_per_task, values, with_values};
use crate::model::vector::{LANES, dot, fold, sum, vectorised};

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

/// Mean and 1 / sqrt(variance + epsilon) of one row, in two passes: the one-pass formula cancels.
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let width = row.len() as f32;
    let mean = sum(row) / width;
    let variance = fold(row, |lane, x| (x - mean).mul_add(x - mean, lane)) / width;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

vectorised! {
    fn normalise_rows<'a>(epsilon: f32, weight: &'a [f32], bias: &'a [f32], x: &'a [f32], y: &'a mut [f32]) {
        let width = weight.len();
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let (mean, scale) = moments(x, epsilon);
            for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                *y = ((x - mean) * scale).mul_add(*w, *b);
            }
        }
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
        let epsilon = self.epsilon;
        y.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(y, x)| normalise_rows(epsilon, weight, bias, x, y));
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
                            backward_rows(self.epsilon, weight, x, grad, grad_x, &mut sums);
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

vectorised! {
    /// Gradient of the rows; the sums for weight and bias, one after the other, are added to.
    fn backward_rows<'a>(epsilon: f32, weight: &'a [f32], x: &'a [f32], grad: &'a [f32], grad_x: &'a mut [f32], sums: &'a mut [f32]) {
        let width = weight.len();
        let (sum_weight, sum_bias) = sums.split_at_mut(width);
        for ((x, grad), grad_x) in x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(grad_x.chunks_exact_mut(width)) {
            let (mean, scale) = moments(x, epsilon);
            // n goes into grad_x first, to be read again below.
            for ((((n, x), grad), sum_weight), sum_bias) in
                grad_x.iter_mut().zip(x).zip(grad).zip(sum_weight.iter_mut()).zip(sum_bias.iter_mut())
            {
                *n = (x - mean) * scale;
                *sum_weight = grad.mul_add(*n, *sum_weight);
                *sum_bias += grad;
            }
            let mean_g = dot(grad, weight) / width as f32;
            let (mut lanes, lane_rows) = ([0f32; LANES], width / LANES * LANES);
            for i in (0..lane_rows).step_by(LANES) {
                for lane in 0..LANES {
                    lanes[lane] = (grad[i + lane] * weight[i + lane]).mul_add(grad_x[i + lane], lanes[lane]);
                }
            }
            let rest: f32 = (lane_rows..width).map(|i| grad[i] * weight[i] * grad_x[i]).sum();
            let mean_gn = (lanes.iter().sum::<f32>() + rest) / width as f32;
            for ((n, grad), weight) in grad_x.iter_mut().zip(grad).zip(weight) {
                *n = scale * (grad.mul_add(*weight, -mean_g) - *n * mean_gn);
            }
        }
    }
}
