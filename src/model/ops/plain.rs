//! The same operations in candle's own: readable, differentiable, slow. The reference that the fused ones are tested against,
//! and what runs on a device other than the CPU.

use candle_core::{D, Result, Tensor};

use super::AttentionShape;

/// See [`super::linear()`].
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)?.broadcast_add(bias)
}

/// See [`super::layer_norm()`].
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normal = centred.broadcast_div(&(variance + epsilon)?.sqrt()?)?;
    normal.broadcast_mul(weight)?.broadcast_add(bias)
}

/// See [`super::gelu()`].
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.gelu_erf()
}

/// See [`super::attention()`]. One sequence after the other.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, shape: &AttentionShape) -> Result<Tensor> {
    let (_, width) = q.dims2()?;
    let size = width / shape.heads;
    let heads = |x: &Tensor, start: usize, count: usize| -> Result<Tensor> {
        x.narrow(0, start, count)?.reshape((count, shape.heads, size))?.transpose(0, 1)?.contiguous()
    };
    let mut out = Vec::new();
    for (queries, keys) in shape.query_offsets.windows(2).zip(shape.key_offsets.windows(2)) {
        let (query_count, key_count) = (queries[1] - queries[0], keys[1] - keys[0]);
        if query_count == 0 {
            continue;
        }
        let q = heads(q, queries[0], query_count)?;
        let k = heads(k, keys[0], key_count)?;
        let v = heads(v, keys[0], key_count)?;
        let mut scores = (q.matmul(&k.t()?)? / (size as f64).sqrt())?;
        if let Some(hidden) = shape.hidden.get(queries[0]..queries[1]) {
            let forbidden: Vec<f32> = hidden
                .iter()
                .flat_map(|range| (0..key_count).map(move |key| if range.contains(&key) { f32::NEG_INFINITY } else { 0.0 }))
                .collect();
            scores = scores.broadcast_add(&Tensor::from_vec(forbidden, (1, query_count, key_count), q.device())?)?;
        }
        let highest = scores.max_keepdim(D::Minus1)?.detach();
        let weights = scores.broadcast_sub(&highest)?.exp()?;
        let probabilities = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        out.push(probabilities.matmul(&v)?.transpose(0, 1)?.reshape((query_count, width))?);
    }
    Tensor::cat(&out, 0)
}
