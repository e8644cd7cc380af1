//! y = x wᵀ + b, with x [rows, in], w [out, in], b [out].
//!
//! Its own operation because candle's graph would write the product, then read and write it again for the bias, and would hand
//! the gradient of a transposed weight back in the wrong order.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::products::{Matrix, columns_by_columns, rows_by_columns, rows_by_rows};
use super::{Products, fused, plain, rows_per_task, values, with_values};
use crate::model::kernels::Kernel;
use crate::model::vector::vectorised;

/// `x` [rows, in] times the transpose of `weight` [out, in], plus `bias` [out]: [rows, out].
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor, products: Products) -> Result<Tensor> {
    if !fused(x) {
        return plain::linear(x, weight, bias);
    }
    x.apply_op3(weight, bias, Linear { products })
}

struct Linear {
    products: Products,
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let (rows, inner) = x_layout.shape().dims2()?;
        let (outer, weight_inner) = weight_layout.shape().dims2()?;
        if inner != weight_inner {
            candle_core::bail!("linear: rows of {inner} do not fit a weight of {outer} x {weight_inner}");
        }
        if let Products::Kernel(kernel) = self.products {
            let (x, weight) = (values(x, x_layout)?, values(weight, weight_layout)?);
            let mut y = vec![0f32; rows * outer];
            let bias = values(bias, bias_layout)?;
            rows_by_rows(kernel, Matrix::new(x, inner), Matrix::new(weight, inner), bias, &mut y);
            return Ok((CpuStorage::F32(y), Shape::from((rows, outer))));
        }
        let transposed = weight_layout.transpose(0, 1)?;
        let mut product = x.matmul(weight, (1, rows, outer, inner), x_layout, &transposed)?;
        let bias = values(bias, bias_layout)?;
        if let CpuStorage::F32(product) = &mut product {
            product.par_chunks_mut(outer * rows_per_task(outer)).for_each(|rows| add_bias(rows, bias));
        }
        Ok((product, Shape::from((rows, outer))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        if let Products::Kernel(kernel) = self.products {
            return backward(kernel, x, weight, &grad);
        }
        // An input that no variable stands behind (the embeddings of a frozen model) still gets one: candle asks for all.
        let grad_x = grad.matmul(weight)?;
        let grad_weight = grad.t()?.matmul(x)?;
        Ok((Some(grad_x), Some(grad_weight), Some(column_sums(&grad)?)))
    }
}

/// Gradients of x, weight and bias in the kernel's element.
fn backward(
    kernel: Kernel,
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
    let ((rows, inner), (outer, _)) = (x.dims2()?, weight.dims2()?);
    let mut grad_x = vec![0f32; rows * inner];
    let (mut grad_weight, mut grad_bias) = (vec![0f32; outer * inner], vec![0f32; outer]);
    with_values(grad, |grad| {
        let grad = Matrix::new(grad, outer);
        with_values(weight, |weight| rows_by_columns(kernel, grad, Matrix::new(weight, inner), &mut grad_x))?;
        with_values(x, |x| columns_by_columns(kernel, grad, Matrix::new(x, inner), &mut grad_weight, &mut grad_bias))
    })??;
    let device = x.device();
    Ok((
        Some(Tensor::from_vec(grad_x, (rows, inner), device)?),
        Some(Tensor::from_vec(grad_weight, (outer, inner), device)?),
        Some(Tensor::from_vec(grad_bias, outer, device)?),
    ))
}

vectorised! {
    fn add_bias<'a>(rows: &'a mut [f32], bias: &'a [f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            for (y, b) in row.iter_mut().zip(bias) {
                *y += b;
            }
        }
    }
}

vectorised! {
    fn add_rows<'a>(rows: &'a [f32], sums: &'a mut [f32]) {
        for row in rows.chunks_exact(sums.len()) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
}

/// Sums [rows, width] over the rows: in blocks of fixed size, added in their order, so that a run repeats to the bit.
pub(super) fn column_sums(matrix: &Tensor) -> Result<Tensor> {
    let (_, width) = matrix.dims2()?;
    let sums = with_values(matrix, |matrix| {
        let partial: Vec<Vec<f32>> = matrix
            .par_chunks(width * rows_per_task(width))
            .map(|chunk| {
                let mut sums = vec![0f32; width];
                add_rows(chunk, &mut sums);
                sums
            })
            .collect();
        add_up(partial, width)
    })?;
    Tensor::from_vec(sums, width, matrix.device())?.to_dtype(DType::F32)
}

/// Adds vectors of equal length in their order.
pub(super) fn add_up(partial: Vec<Vec<f32>>, width: usize) -> Vec<f32> {
    let mut total = vec![0f32; width];
    for sums in partial {
        for (total, x) in total.iter_mut().zip(sums) {
            *total += x;
        }
    }
    total
}
