//! Attention within each sequence: softmax(q kᵀ / sqrt(d)) v for every head, its scores never leaving the cache.
//!
//! Sequences lie end to end, so there is no padding to compute or to mask. Queries may be fewer than keys (the last layer asks
//! for the [CLS] row only), and a query may be forbidden to look at a range of keys: that is how evidence is found.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::dropout::Mask;
use super::{Dropout, fused, plain, values, with_values};
use crate::model::vector::{LANES, View, dot, exp, product, sum, vectorised};

/// Queries per task of the forward pass: long sequences are split among the cores, and their scores stay in cache.
const QUERY_BLOCK: usize = 32;

/// Which rows of q belong to which rows of k and v.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionShape {
    /// Number of heads; the width of q, k and v is a multiple of it.
    pub heads: usize,
    /// Where each sequence's queries begin in q, and the end of the last: one more than there are sequences.
    pub query_offsets: Vec<usize>,
    /// The same for its keys and values.
    pub key_offsets: Vec<usize>,
    /// For each query the keys that it may not see, counted from the sequence's first; empty if every query sees all.
    pub hidden: Vec<Range<usize>>,
}

impl AttentionShape {
    /// Queries and keys of one sequence.
    fn sequence(&self, index: usize) -> (Range<usize>, Range<usize>) {
        (self.query_offsets[index]..self.query_offsets[index + 1], self.key_offsets[index]..self.key_offsets[index + 1])
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.key_offsets.len().saturating_sub(1)
    }

    fn check(&self, width: usize, queries: usize, keys: usize) -> Result<()> {
        let rising = |offsets: &[usize]| offsets.first() == Some(&0) && offsets.is_sorted();
        if self.heads == 0 || !width.is_multiple_of(self.heads) || !(width / self.heads).is_multiple_of(LANES) {
            bail!("attention: a width of {width} does not make {} heads of a multiple of {LANES}", self.heads);
        }
        if self.query_offsets.len() != self.key_offsets.len() || !rising(&self.query_offsets) || !rising(&self.key_offsets) {
            bail!("attention: the offsets of queries and keys do not describe the same sequences");
        }
        if self.query_offsets.last() != Some(&queries) || self.key_offsets.last() != Some(&keys) {
            bail!("attention: offsets end elsewhere than the {queries} queries and {keys} keys");
        }
        if !self.hidden.is_empty() && self.hidden.len() != queries {
            bail!("attention: {} hidden ranges for {queries} queries", self.hidden.len());
        }
        Ok(())
    }
}

/// Attention of `q` [queries, width] over `k` and `v` [keys, width]: [queries, width]. In training the probabilities are
/// dropped out.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, shape: &Arc<AttentionShape>, drop: Option<&Dropout>) -> Result<Tensor> {
    if !fused(q) {
        return plain::attention(q, k, v, shape);
    }
    let mask = drop.map(Dropout::next_mask);
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, Attention { shape: shape.clone(), mask })
}

struct Attention {
    shape: Arc<AttentionShape>,
    mask: Option<Mask>,
}

/// One head of one sequence: slices from its first element, rows `width` apart.
#[derive(Clone, Copy)]
struct Head<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// Distance of rows.
    width: usize,
    /// Elements of a head.
    size: usize,
    keys: usize,
}

impl<'a> Head<'a> {
    /// Head `index` of the sequence with these rows of q, and of k and v.
    #[inline(always)]
    fn new(index: usize, size: usize, width: usize, rows: (&Range<usize>, &Range<usize>), [q, k, v]: [&'a [f32]; 3]) -> Self {
        let at = |start: usize| start * width + index * size;
        let (queries, keys) = rows;
        Self { q: &q[at(queries.start)..], k: &k[at(keys.start)..], v: &v[at(keys.start)..], width, size, keys: keys.len() }
    }
}

/// Memory that a task uses again for each head.
#[derive(Default)]
struct Scratch {
    keys_transposed: Vec<f32>,
    values_transposed: Vec<f32>,
    probabilities: Vec<f32>,
    dropped: Vec<f32>,
    scores_grad: Vec<f32>,
    transposed: Vec<f32>,
}

impl Scratch {
    /// Gives the slice `length` elements, all zero.
    #[inline(always)]
    fn zeroed(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
        buffer.clear();
        buffer.resize(length, 0.0);
        buffer
    }
}

/// Writes rows `[rows, size]` (distance `stride`) as `[size, padded]`; what is beyond `rows` stays zero.
#[inline(always)]
fn transpose(source: &[f32], stride: usize, rows: usize, size: usize, padded: usize, target: &mut [f32]) {
    for row in 0..rows {
        for (i, x) in source[row * stride..][..size].iter().enumerate() {
            target[i * padded + row] = *x;
        }
    }
}

impl Attention {
    /// softmax(q kᵀ * scale) of the queries `rows` (counted from the sequence's first) into `probabilities` [rows, padded].
    #[inline(always)]
    fn probabilities(&self, head: Head<'_>, rows: Range<usize>, hidden: &[Range<usize>], scratch: &mut Scratch) {
        let padded = head.keys.next_multiple_of(LANES);
        let count = rows.len();
        let keys_transposed = Scratch::zeroed(&mut scratch.keys_transposed, head.size * padded);
        transpose(head.k, head.width, head.keys, head.size, padded, keys_transposed);
        let scores = Scratch::zeroed(&mut scratch.probabilities, count * padded);
        let queries = View { values: &head.q[rows.start * head.width..], stride: head.width };
        product(count, head.size, padded, queries, View { values: keys_transposed, stride: padded }, scores, padded);
        let scale = 1.0 / (head.size as f32).sqrt();
        for (row, scores) in scores.chunks_exact_mut(padded).enumerate() {
            let (scores, padding) = scores.split_at_mut(head.keys);
            if let Some(range) = hidden.get(row) {
                scores[range.clone()].fill(f32::NEG_INFINITY);
            }
            let highest = scores.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            for score in scores.iter_mut() {
                *score = exp((*score - highest) * scale);
            }
            let inverse = 1.0 / sum(scores);
            for score in scores.iter_mut() {
                *score *= inverse;
            }
            padding.fill(0.0);
        }
    }

    /// Copies the probabilities of `rows`, each times its dropout factor.
    #[inline(always)]
    fn drop_out(mask: Mask, head: u32, first_query: usize, padded: usize, probabilities: &[f32], dropped: &mut [f32]) {
        for (row, (from, to)) in probabilities.chunks_exact(padded).zip(dropped.chunks_exact_mut(padded)).enumerate() {
            let start = head.wrapping_mul(0x9E37_79B9).wrapping_add(((first_query + row) as u32).wrapping_mul(1 << 10));
            for (i, (to, from)) in to.iter_mut().zip(from).enumerate() {
                *to = from * mask.factor(start.wrapping_add(i as u32));
            }
        }
    }

    #[inline(always)]
    /// All heads of one block of queries into `out` [rows, width].
    fn forward_block(&self, sequence: usize, rows: Range<usize>, inputs: [&[f32]; 3], out: &mut [f32]) {
        let [q, k, v] = inputs;
        let (queries, keys) = self.shape.sequence(sequence);
        let width = out.len() / rows.len();
        let size = width / self.shape.heads;
        let hidden = self.shape.hidden.get(queries.start + rows.start..queries.start + rows.end).unwrap_or(&[]);
        let mut scratch = Scratch::default();
        for h in 0..self.shape.heads {
            let head = Head::new(h, size, width, (&queries, &keys), [q, k, v]);
            let padded = head.keys.next_multiple_of(LANES);
            self.probabilities(head, rows.clone(), hidden, &mut scratch);
            let probabilities = match self.mask {
                Some(mask) => {
                    let dropped = Scratch::zeroed(&mut scratch.dropped, rows.len() * padded);
                    Self::drop_out(mask, h as u32, queries.start + rows.start, padded, &scratch.probabilities, dropped);
                    &*dropped
                }
                None => &scratch.probabilities[..],
            };
            let probabilities = View { values: probabilities, stride: padded };
            let values = View { values: head.v, stride: width };
            product(rows.len(), head.keys, size, probabilities, values, &mut out[h * size..], width);
        }
    }

    #[inline(always)]
    /// All heads of one sequence, backward. With p the probabilities, m the dropout factors and do the gradient of the result:
    /// dv = (p m)ᵀ do, dp = (do vᵀ) m, ds = p (dp - sum(p dp)) * scale, dq = ds k, dk = dsᵀ q.
    fn backward_sequence(&self, sequence: usize, width: usize, inputs: [&[f32]; 4], grads: [&mut [f32]; 3]) {
        let [q, k, v, grad] = inputs;
        let [grad_q, grad_k, grad_v] = grads;
        let (queries, keys) = self.shape.sequence(sequence);
        if queries.is_empty() || keys.is_empty() {
            return;
        }
        let size = width / self.shape.heads;
        let scale = 1.0 / (size as f32).sqrt();
        let hidden = self.shape.hidden.get(queries.clone()).unwrap_or(&[]);
        let mut scratch = Scratch::default();
        for h in 0..self.shape.heads {
            let head = Head::new(h, size, width, (&queries, &keys), [q, k, v]);
            let grad = View { values: &grad[queries.start * width + h * size..], stride: width };
            let (rows, padded) = (queries.len(), head.keys.next_multiple_of(LANES));
            self.probabilities(head, 0..rows, hidden, &mut scratch);
            let dropped = Scratch::zeroed(&mut scratch.dropped, rows * padded);
            match self.mask {
                Some(mask) => Self::drop_out(mask, h as u32, queries.start, padded, &scratch.probabilities, dropped),
                None => dropped.copy_from_slice(&scratch.probabilities),
            }
            let transposed = Scratch::zeroed(&mut scratch.transposed, head.keys * rows);
            transpose(dropped, padded, rows, head.keys, rows, transposed);
            product(head.keys, rows, size, View { values: transposed, stride: rows }, grad, &mut grad_v[h * size..], width);

            let values_transposed = Scratch::zeroed(&mut scratch.values_transposed, size * padded);
            transpose(head.v, width, head.keys, size, padded, values_transposed);
            let scores_grad = Scratch::zeroed(&mut scratch.scores_grad, rows * padded);
            let values_transposed = View { values: values_transposed, stride: padded };
            product(rows, size, padded, grad, values_transposed, scores_grad, padded);
            let probabilities = scratch.probabilities.chunks_exact(padded).zip(dropped.chunks_exact(padded));
            for (ds, (p, pm)) in scores_grad.chunks_exact_mut(padded).zip(probabilities) {
                // sum(p dp) = sum((p m) (do vᵀ)).
                let mean = dot(pm, ds);
                for ((ds, p), pm) in ds.iter_mut().zip(p).zip(pm) {
                    *ds = (*pm * *ds - *p * mean) * scale;
                }
            }
            let keys_view = View { values: head.k, stride: width };
            let scores_view = View { values: scores_grad, stride: padded };
            product(rows, head.keys, size, scores_view, keys_view, &mut grad_q[h * size..], width);
            let transposed = Scratch::zeroed(&mut scratch.transposed, head.keys * rows);
            transpose(scores_grad, padded, rows, head.keys, rows, transposed);
            let queries_view = View { values: head.q, stride: width };
            product(
                head.keys,
                rows,
                size,
                View { values: transposed, stride: rows },
                queries_view,
                &mut grad_k[h * size..],
                width,
            );
        }
    }
}

vectorised! {
    fn forward_block<'a>(op: &'a Attention, sequence: usize, rows: Range<usize>, inputs: [&'a [f32]; 3], out: &'a mut [f32]) {
        op.forward_block(sequence, rows, inputs, out);
    }
}

vectorised! {
    fn backward_sequence<'a>(op: &'a Attention, sequence: usize, width: usize, inputs: [&'a [f32]; 4], grads: [&'a mut [f32]; 3]) {
        op.backward_sequence(sequence, width, inputs, grads);
    }
}

/// Splits `[rows, width]` at the offsets: one slice for each sequence.
fn split_rows<'a>(mut rest: &'a mut [f32], offsets: &[usize], width: usize) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::with_capacity(offsets.len());
    for pair in offsets.windows(2) {
        let (part, tail) = rest.split_at_mut((pair[1] - pair[0]) * width);
        parts.push(part);
        rest = tail;
    }
    parts
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (queries, width) = q_layout.shape().dims2()?;
        let (keys, _) = k_layout.shape().dims2()?;
        self.shape.check(width, queries, keys)?;
        let (q, k, v) = (values(q, q_layout)?, values(k, k_layout)?, values(v, v_layout)?);
        if v.len() != k.len() {
            bail!("attention: {} keys but {} values", k.len(), v.len());
        }
        let mut out = vec![0f32; queries * width];
        let sequences = split_rows(&mut out, &self.shape.query_offsets, width);
        let tasks: Vec<(usize, Range<usize>, &mut [f32])> = sequences
            .into_iter()
            .enumerate()
            .flat_map(|(sequence, rows)| {
                rows.chunks_mut(QUERY_BLOCK * width).enumerate().map(move |(block, out)| {
                    let start = block * QUERY_BLOCK;
                    (sequence, start..start + out.len() / width, out)
                })
            })
            .collect();
        tasks.into_par_iter().for_each(|(sequence, rows, out)| forward_block(self, sequence, rows, [q, k, v], out));
        Ok((CpuStorage::F32(out), q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (queries, width) = q.dims2()?;
        let (keys, _) = k.dims2()?;
        let mut grads = [vec![0f32; queries * width], vec![0f32; keys * width], vec![0f32; keys * width]];
        let [grad_q, grad_k, grad_v] = &mut grads;
        let tasks: Vec<[&mut [f32]; 3]> = split_rows(grad_q, &self.shape.query_offsets, width)
            .into_iter()
            .zip(split_rows(grad_k, &self.shape.key_offsets, width))
            .zip(split_rows(grad_v, &self.shape.key_offsets, width))
            .map(|((q, k), v)| [q, k, v])
            .collect();
        with_values(q, |q| {
            with_values(k, |k| {
                with_values(v, |v| {
                    with_values(grad, |grad| {
                        tasks.into_par_iter().enumerate().for_each(|(sequence, grads)| {
                            backward_sequence(self, sequence, width, [q, k, v, grad], grads);
                        });
                    })
                })
            })
        })????;
        let [grad_q, grad_k, grad_v] = grads;
        let device = q.device();
        Ok((
            Some(Tensor::from_vec(grad_q, (queries, width), device)?),
            Some(Tensor::from_vec(grad_k, (keys, width), device)?),
            Some(Tensor::from_vec(grad_v, (keys, width), device)?),
        ))
    }
}
