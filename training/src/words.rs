//! The words' history: fits [`DisputeWords`] to the training orders of which it is known whether they were disputed.
//!
//! A logistic regression over tens of thousands of buckets, kept small by a ridge, found by Nesterov's accelerated gradient: the
//! ridge makes it strongly convex, so that some hundred steps do.

use paidan::model::{DisputeWords, buckets};

/// How many buckets; more found no more.
const BUCKETS: usize = 1 << 14;
/// How much an order counts against the ridge.
const COST: f64 = 3.0;
/// Most steps; a step reads every order once.
const STEPS: usize = 400;
/// Steps that find how steep the loss can be.
const POWER_STEPS: usize = 30;

/// An order's buckets, each with its value: rarity, the whole of length one.
struct Row {
    values: Vec<(u32, f64)>,
    disputed: bool,
}

impl Row {
    fn dot(&self, weights: &[f64]) -> f64 {
        self.values.iter().map(|(bucket, value)| weights[*bucket as usize] * value).sum()
    }

    fn add(&self, factor: f64, to: &mut [f64]) {
        for (bucket, value) in &self.values {
            to[*bucket as usize] += factor * value;
        }
    }
}

/// From tokens of orders and whether they were disputed. `None` if all of them were, or none.
pub fn fit<'a>(orders: impl Iterator<Item = (&'a [u32], bool)>) -> Option<DisputeWords> {
    let (texts, outcomes): (Vec<&[u32]>, Vec<bool>) = orders.unzip();
    let share = outcomes.iter().filter(|disputed| **disputed).count() as f64 / outcomes.len().max(1) as f64;
    if share <= 0.0 || share >= 1.0 {
        return None;
    }
    let sets = bucket_sets(texts.into_iter(), BUCKETS);
    let rarities = rarities(sets.iter(), BUCKETS);
    let row = |(set, disputed): (&Vec<u32>, &bool)| Row { values: weighted(set, &rarities), disputed: *disputed };
    let rows: Vec<Row> = sets.iter().zip(&outcomes).map(row).collect();
    // The share of disputes stands for the bias: whoever weighs this witness has a bias of his own.
    let weights = descend(&rows, (share / (1.0 - share)).ln());
    Some(DisputeWords::new(weights.iter().map(|weight| *weight as f32).collect(), &rarities))
}

/// Each text's buckets, of `count`.
pub fn bucket_sets<'a>(texts: impl Iterator<Item = &'a [u32]>, count: usize) -> Vec<Vec<u32>> {
    texts.map(|tokens| buckets(tokens.iter().copied(), count)).collect()
}

/// Each bucket of a set by its rarity, the whole of length one.
pub fn weighted(set: &[u32], rarities: &[f32]) -> Vec<(u32, f64)> {
    let rarity = |bucket: &u32| f64::from(rarities[*bucket as usize]);
    let length = set.iter().map(|bucket| rarity(bucket).powi(2)).sum::<f64>().sqrt().max(1e-9);
    set.iter().map(|bucket| (*bucket, rarity(bucket) / length)).collect()
}

/// `ln((1 + orders) / (1 + orders with it)) + 1` of each of `count` buckets, as scikit-learn's TfidfTransformer.
pub fn rarities<'a>(sets: impl Iterator<Item = &'a Vec<u32>>, count: usize) -> Vec<f32> {
    let (mut orders, mut with) = (0u32, vec![0u32; count]);
    for set in sets {
        orders += 1;
        set.iter().for_each(|bucket| with[*bucket as usize] += 1);
    }
    with.iter().map(|with| (f64::from(1 + orders) / f64::from(1 + with)).ln() as f32 + 1.0).collect()
}

/// Weights with the least `|w|^2 / 2 + COST * loss`.
fn descend(rows: &[Row], bias: f64) -> Vec<f64> {
    let steepest = 1.0 + COST / 4.0 * greatest_eigenvalue(rows);
    let momentum = (steepest.sqrt() - 1.0) / (steepest.sqrt() + 1.0);
    let (mut weights, mut ahead) = (vec![0f64; BUCKETS], vec![0f64; BUCKETS]);
    for _ in 0..STEPS {
        let mut gradient = ahead.clone();
        for row in rows {
            let p = 1.0 / (1.0 + (-(bias + row.dot(&ahead))).exp());
            row.add(COST * (p - f64::from(u8::from(row.disputed))), &mut gradient);
        }
        for ((weight, ahead), slope) in weights.iter_mut().zip(&mut ahead).zip(&gradient) {
            let next = *ahead - slope / steepest;
            *ahead = next + momentum * (next - *weight);
            *weight = next;
        }
        if gradient.iter().map(|slope| slope * slope).sum::<f64>() < 1e-8 {
            break;
        }
    }
    weights
}

/// Of the orders' second moments, by power iteration, a little above what it finds: too large a step would not converge.
fn greatest_eigenvalue(rows: &[Row]) -> f64 {
    let (mut vector, mut value) = (vec![1.0; BUCKETS], 0.0);
    for _ in 0..POWER_STEPS {
        let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        vector.iter_mut().for_each(|x| *x /= length);
        let mut next = vec![0f64; BUCKETS];
        rows.iter().for_each(|row| row.add(row.dot(&vector), &mut next));
        value = next.iter().map(|x| x * x).sum::<f64>().sqrt();
        vector = next;
    }
    1.1 * value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_disputed_orders_score_above_words_of_others() {
        let orders: Vec<(Vec<u32>, bool)> =
            (0..60).map(|i| (vec![5, 100 + i % 7, if i % 6 == 0 { 8 } else { 9 }], i % 6 == 0)).collect();
        let words = fit(orders.iter().map(|(tokens, disputed)| (&tokens[..], *disputed))).expect("both outcomes");
        let score = |token: u32| words.score([5, token].into_iter());
        assert!(score(8) > score(5) && score(5) > score(9), "{} {} {}", score(8), score(5), score(9));
    }

    #[test]
    fn at_the_optimum_the_ridge_balances_the_loss() {
        let rows = [Row { values: vec![(0, 1.0)], disputed: true }, Row { values: vec![(1, 1.0)], disputed: false }];
        let weights = descend(&rows, 0.0);
        // w = COST * (1 - sigmoid(w))
        assert!((weights[0] - COST * (1.0 - 1.0 / (1.0 + (-weights[0]).exp()))).abs() < 1e-4, "{}", weights[0]);
        assert!((weights[0] + weights[1]).abs() < 1e-6);
    }

    #[test]
    fn one_outcome_only_teaches_nothing() {
        assert!(fit([(&[1u32, 2][..], false)].into_iter()).is_none());
        assert!(fit(std::iter::empty()).is_none());
    }
}
