//! Attention of the last layer, for the [CLS] rows that the heads read and for no others, without ever computing keys or values.
//!
//! With one query for many tokens the products can be turned round: q·(W x + b) = (Wᵀ q)·x + q·b, where q·b is the same for every
//! token and falls out of the softmax; and Σ p (W x + b) = W Σ p x + b. So instead of two products with every token there are two
//! with every [CLS] row, and the tokens are only weighed and summed: a sixth of the encoder's work becomes a hundredth of it.
//!
//! A look that may not see some tokens shares the sums of the look that sees all, less those tokens' part.

use std::ops::Range;

use super::cores::each;
use super::linear::{PackedLinear, Then};
use super::rows::Rows;
use crate::model::kernels::{Aligned, Kernel};
use crate::model::vector::{LANES, View, exp, product, vectorised};

/// Below this share of the whole weight what is left after subtraction has lost too many digits, and is summed anew.
const LEAST_REST: f32 = 0.05;

/// Projections of the last layer's attention, turned round.
pub(super) struct LastAttention {
    query: PackedLinear,
    /// For each head W_kᵀ, from the head's part of a query to hidden size.
    keys: Vec<PackedLinear>,
    /// For each head W_v, from hidden size to the head's part.
    values: Vec<PackedLinear>,
    heads: usize,
    hidden: usize,
}

/// Weight [outer, inner] and bias [outer] of a linear layer.
pub(super) struct Weights {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// Memory that is used again.
#[derive(Default)]
pub(super) struct LastScratch {
    rows: Rows,
    queries: Vec<f32>,
    part: Vec<f32>,
    /// One for each head.
    heads: Vec<HeadScratch>,
    /// [hidden, heads to whole lanes]: the turned queries of one sequence, as `product` reads its right side.
    turned: Vec<f32>,
    /// [sequences, heads, hidden].
    all_turned: Vec<f32>,
    /// [tokens, heads to whole lanes].
    scores: Vec<f32>,
    /// [heads, tokens].
    weights: Vec<f32>,
    /// [heads, hidden]: sums over all tokens, over the hidden ones, and over the rest.
    whole: Vec<f32>,
    hidden: Vec<f32>,
    /// [heads, looks, hidden].
    sums: Vec<f32>,
}

/// A head's part of the memory.
#[derive(Default)]
struct HeadScratch {
    rows: Rows,
    part: Vec<f32>,
    outs: Vec<f32>,
}

/// The last layer's input, and who looks at what.
#[derive(Clone, Copy)]
pub(super) struct LastInput<'a> {
    /// Hidden states [tokens, hidden].
    pub(super) states: &'a [f32],
    /// Where each sequence begins, and the end of the last.
    pub(super) offsets: &'a [usize],
    /// For each look the tokens that it may not see.
    pub(super) hidden: &'a [Range<usize>],
    /// Where each sequence's looks begin, and the end of the last.
    pub(super) first_look: &'a [usize],
}

impl<'a> LastInput<'a> {
    /// The sequences that are looked at.
    fn looked(self, width: usize) -> impl Iterator<Item = Looked<'a>> {
        self.offsets.windows(2).zip(self.first_look.windows(2)).filter(|(_, looks)| looks[0] < looks[1]).map(
            move |(ends, looks)| Looked {
                states: &self.states[ends[0] * width..ends[1] * width],
                hidden: &self.hidden[looks[0]..looks[1]],
            },
        )
    }
}

/// One sequence and the looks at it.
struct Looked<'a> {
    /// Its hidden states [tokens, hidden].
    states: &'a [f32],
    /// For each look the tokens that it may not see.
    hidden: &'a [Range<usize>],
}

impl LastAttention {
    /// Turns the projections round. All in f32: they are a hundredth of the work.
    pub(super) fn new(kernel: Kernel, heads: usize, [query, key, value]: [&Weights; 3]) -> Self {
        let hidden = query.bias.len();
        let size = hidden / heads;
        let keys = |head: usize| {
            let mut turned = vec![0f32; hidden * size];
            for (at, row) in key.weight[head * size * hidden..][..size * hidden].chunks_exact(hidden).enumerate() {
                for (column, x) in row.iter().enumerate() {
                    turned[column * size + at] = *x;
                }
            }
            PackedLinear::pack(kernel, &turned, &vec![0.0; hidden])
        };
        let values = |head: usize| {
            let rows = head * size..(head + 1) * size;
            PackedLinear::pack(kernel, &value.weight[rows.start * hidden..rows.end * hidden], &value.bias[rows])
        };
        Self {
            query: PackedLinear::pack(kernel, &query.weight, &query.bias),
            keys: (0..heads).map(keys).collect(),
            values: (0..heads).map(values).collect(),
            heads,
            hidden,
        }
    }

    /// What the [CLS] row of each look gathers: `context` [looks, hidden], before the output projection. As many cores as there are
    /// `shares` share the weights.
    pub(super) fn run(&self, input: LastInput<'_>, scratch: &mut LastScratch, shares: &mut [Aligned], context: &mut [f32]) {
        let (hidden, size) = (self.hidden, self.hidden / self.heads);
        let (looks, parallel) = (input.hidden.len(), shares.len() > 1);
        scratch.heads.resize_with(self.heads, HeadScratch::default);
        self.turn_queries(input, scratch, shares);
        scratch.sums.resize(self.heads * looks * hidden, 0.0);
        let mut look = 0;
        for (index, sequence) in input.looked(hidden).enumerate() {
            self.weigh(index, sequence.states, scratch);
            for range in sequence.hidden {
                self.gather(sequence.states, range.clone(), scratch);
                for head in 0..self.heads {
                    let target = &mut scratch.sums[(head * looks + look) * hidden..][..hidden];
                    target.copy_from_slice(&scratch.hidden[head * hidden..][..hidden]);
                }
                look += 1;
            }
        }
        // Nobody may be looking.
        let sums = scratch.sums.chunks_exact((looks * hidden).max(1));
        each(parallel, self.values.iter().zip(sums).zip(&mut scratch.heads), |((values, sums), scratch)| {
            values.prepare(&mut scratch.rows, sums);
            scratch.outs.resize(looks * size, 0.0);
            values.run(&scratch.rows, Then::Keep, &mut scratch.outs);
        });
        for (head, scratch) in scratch.heads.iter().enumerate() {
            for (row, out) in context.chunks_exact_mut(hidden).zip(scratch.outs.chunks_exact(size)) {
                row[head * size..][..size].copy_from_slice(out);
            }
        }
    }

    /// W_kᵀ q of each sequence's first row, for each head, times the softmax's scale.
    fn turn_queries(&self, input: LastInput<'_>, scratch: &mut LastScratch, shares: &mut [Aligned]) {
        let (hidden, size) = (self.hidden, self.hidden / self.heads);
        scratch.part.clear();
        for sequence in input.looked(hidden) {
            scratch.part.extend_from_slice(&sequence.states[..hidden]);
        }
        let count = scratch.part.len() / hidden;
        self.query.prepare(&mut scratch.rows, &scratch.part);
        scratch.queries.resize(count * hidden, 0.0);
        self.query.run_shared(&scratch.rows, Then::Keep, &mut scratch.queries, shares);
        let scale = 1.0 / (size as f32).sqrt();
        scratch.all_turned.resize(count * self.heads * hidden, 0.0);
        let queries = &scratch.queries;
        each(shares.len() > 1, self.keys.iter().zip(&mut scratch.heads).enumerate(), |(head, (keys, scratch))| {
            scratch.part.clear();
            for query in queries.chunks_exact(hidden) {
                scratch.part.extend(query[head * size..][..size].iter().map(|x| x * scale));
            }
            keys.prepare(&mut scratch.rows, &scratch.part);
            scratch.outs.resize(count * hidden, 0.0);
            keys.run(&scratch.rows, Then::Keep, &mut scratch.outs);
        });
        for (head, scratch_of_head) in scratch.heads.iter().enumerate() {
            for (sequence, out) in scratch_of_head.outs.chunks_exact(hidden).enumerate() {
                scratch.all_turned[(sequence * self.heads + head) * hidden..][..hidden].copy_from_slice(out);
            }
        }
    }

    /// e^(score - highest) of every token for every head of sequence `index`, and their weighted sum over all tokens.
    fn weigh(&self, index: usize, states: &[f32], scratch: &mut LastScratch) {
        let (hidden, lanes, tokens) = (self.hidden, self.heads.next_multiple_of(LANES), states.len() / self.hidden);
        scratch.turned.clear();
        scratch.turned.resize(hidden * lanes, 0.0);
        let turned = &scratch.all_turned[index * self.heads * hidden..][..self.heads * hidden];
        for (head, turned) in turned.chunks_exact(hidden).enumerate() {
            for (at, x) in turned.iter().enumerate() {
                scratch.turned[at * lanes + head] = *x;
            }
        }
        scratch.scores.resize(tokens * lanes, 0.0);
        multiply([tokens, hidden, lanes], [states, &scratch.turned], [hidden, lanes], &mut scratch.scores);
        scratch.weights.resize(self.heads * tokens, 0.0);
        for (head, weights) in scratch.weights.chunks_exact_mut(tokens).enumerate() {
            for (weight, scores) in weights.iter_mut().zip(scratch.scores.chunks_exact(lanes)) {
                *weight = scores[head];
            }
            exponentials(weights);
        }
        scratch.whole.resize(self.heads * hidden, 0.0);
        multiply([self.heads, tokens, hidden], [&scratch.weights, states], [tokens, hidden], &mut scratch.whole);
    }

    /// The weighted mean of the tokens outside `range`, for each head, into `scratch.hidden`.
    fn gather(&self, states: &[f32], range: Range<usize>, scratch: &mut LastScratch) {
        let (hidden, tokens) = (self.hidden, states.len() / self.hidden);
        scratch.hidden.clear();
        scratch.hidden.resize(self.heads * hidden, 0.0);
        if !range.is_empty() {
            let (weights, part) = (&scratch.weights[range.start..], &states[range.start * hidden..range.end * hidden]);
            multiply([self.heads, range.len(), hidden], [weights, part], [tokens, hidden], &mut scratch.hidden);
        }
        for head in 0..self.heads {
            let weights = &scratch.weights[head * tokens..][..tokens];
            let whole: f32 = weights.iter().sum();
            let seen: f32 = weights[..range.start].iter().sum::<f32>() + weights[range.end..].iter().sum::<f32>();
            let target = &mut scratch.hidden[head * hidden..][..hidden];
            if seen >= LEAST_REST * whole {
                for (x, whole) in target.iter_mut().zip(&scratch.whole[head * hidden..][..hidden]) {
                    *x = (whole - *x) / seen;
                }
                continue;
            }
            let scores = scratch.scores.chunks_exact(self.heads.next_multiple_of(LANES)).map(|scores| scores[head]);
            anew(states, scores, &range, target);
        }
    }
}

/// The weighted mean of the tokens outside `range`, from their scores.
fn anew(states: &[f32], scores: impl Iterator<Item = f32> + Clone, range: &Range<usize>, target: &mut [f32]) {
    let seen = || scores.clone().enumerate().filter(|(token, _)| !range.contains(token));
    let highest = seen().fold(f32::NEG_INFINITY, |highest, (_, score)| highest.max(score));
    let hidden = target.len();
    target.fill(0.0);
    let mut total = 0.0;
    for (token, score) in seen() {
        let weight = exp(score - highest);
        total += weight;
        add_weighted(weight, &states[token * hidden..], target);
    }
    for x in target.iter_mut() {
        *x /= total;
    }
}

vectorised! {
    /// `out` [m, n] = `a` [m, k] times `b` [k, n]; strides of a and b.
    fn multiply<'a>(sizes: [usize; 3], factors: [&'a [f32]; 2], strides: [usize; 2], out: &'a mut [f32]) {
        let [m, k, n] = sizes;
        let (a, b) = (View { values: factors[0], stride: strides[0] }, View { values: factors[1], stride: strides[1] });
        product(m, k, n, a, b, out, n);
    }
}

vectorised! {
    fn add_weighted<'a>(weight: f32, row: &'a [f32], sum: &'a mut [f32]) {
        for (sum, x) in sum.iter_mut().zip(row) {
            *sum = weight.mul_add(*x, *sum);
        }
    }
}

vectorised! {
    fn exponentials<'a>(scores: &'a mut [f32]) {
        let highest = scores.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        for score in scores.iter_mut() {
            *score = exp(*score - highest);
        }
    }
}
