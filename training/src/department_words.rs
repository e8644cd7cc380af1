//! The words' own opinion of who is responsible: fits [`DepartmentWords`] to the training orders, one department against all others
//! at a time.
//!
//! A support vector machine with squared hinge loss, `|w|^2 / 2 + COST * sum of max(0, 1 - y w x)^2`, found by dual coordinate
//! descent (Hsieh et al. 2008, algorithm 1 with L2 loss, as liblinear has it), the bias a feature of value one.

use paidan::model::DepartmentWords;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use crate::words::{bucket_sets, rarities, weighted};

/// How many buckets; half as many lose little, twice as many find nothing.
const BUCKETS: usize = 1 << 15;
/// How much an order counts against the ridge. From .3 to 1 it makes no difference.
const COST: f64 = 0.5;
/// Most passes over the orders.
const PASSES: usize = 200;
/// How far the gradient may be from the optimum's.
const TOLERANCE: f64 = 0.01;

/// From tokens of orders and their department's row, of `departments` rows.
pub fn fit<'a>(orders: impl Iterator<Item = (&'a [u32], usize)>, departments: usize) -> DepartmentWords {
    let (texts, rows): (Vec<&[u32]>, Vec<usize>) = orders.unzip();
    let sets = bucket_sets(texts.into_iter(), BUCKETS);
    let rarities = rarities(sets.iter(), BUCKETS);
    let points: Vec<Vec<(u32, f64)>> = sets.iter().map(|set| weighted(set, &rarities)).collect();
    let one = |department: usize| descend(&points, |i| rows[i] == department, department as u64);
    let fitted: Vec<Vec<f64>> = (0..departments).into_par_iter().map(one).collect();
    let bias = fitted.iter().map(|weights| weights[BUCKETS] as f32).collect();
    let weights: Vec<Vec<f32>> =
        fitted.iter().map(|weights| weights[..BUCKETS].iter().map(|weight| *weight as f32).collect()).collect();
    DepartmentWords::new(&weights, bias, &rarities)
}

/// Weights of all buckets, then the bias. Each point is of length one.
fn descend(points: &[Vec<(u32, f64)>], is_own: impl Fn(usize) -> bool, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut weights, mut duals) = (vec![0f64; BUCKETS + 1], vec![0f64; points.len()]);
    let mut order: Vec<usize> = (0..points.len()).collect();
    let diagonal = 1.0 / (2.0 * COST);
    for _ in 0..PASSES {
        order.shuffle(&mut rng);
        let (mut highest, mut lowest) = (f64::NEG_INFINITY, f64::INFINITY);
        for &i in &order {
            let sign = if is_own(i) { 1.0 } else { -1.0 };
            let dot = points[i].iter().map(|(bucket, value)| weights[*bucket as usize] * value).sum::<f64>() + weights[BUCKETS];
            let gradient = sign * dot - 1.0 + diagonal * duals[i];
            let projected = if duals[i] > 0.0 { gradient } else { gradient.min(0.0) };
            highest = highest.max(projected);
            lowest = lowest.min(projected);
            if projected == 0.0 {
                continue;
            }
            // A point of length one, and the bias' one.
            let length = 2.0 + diagonal;
            let dual = (duals[i] - gradient / length).max(0.0);
            let step = (dual - duals[i]) * sign;
            duals[i] = dual;
            points[i].iter().for_each(|(bucket, value)| weights[*bucket as usize] += step * value);
            weights[BUCKETS] += step;
        }
        if highest - lowest < TOLERANCE {
            break;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_department_speak_for_it() {
        let orders: Vec<(Vec<u32>, usize)> = (0..60).map(|i| (vec![5, 100 + i as u32 % 7, 8 + i as u32 % 3], i % 3)).collect();
        let words = fit(orders.iter().map(|(tokens, row)| (&tokens[..], *row)), 4);
        for department in 0..3 {
            let margins = words.margins([5, 8 + department as u32].into_iter());
            let best = (0..4).max_by(|a, b| margins[*a].total_cmp(&margins[*b]));
            assert_eq!(best, Some(department), "{margins:?}");
            assert!(margins[3] < -0.5, "nobody's department: {margins:?}");
        }
    }

    /// At the optimum every dual is `2 COST` times its point's hinge, and the weights are the sum of `dual * y * x`.
    #[test]
    fn at_the_optimum_the_ridge_balances_the_loss() {
        let points = [vec![(0u32, 1.0)], vec![(1, 1.0)], vec![(0, 0.6), (1, 0.8)]];
        let own = |i: usize| i == 0;
        let weights = descend(&points, own, 1);
        let mut sum = vec![0f64; 3];
        for (i, point) in points.iter().enumerate() {
            let sign = if own(i) { 1.0 } else { -1.0 };
            let dot = point.iter().map(|(bucket, value)| weights[*bucket as usize] * value).sum::<f64>() + weights[BUCKETS];
            let dual = 2.0 * COST * (1.0 - sign * dot).max(0.0);
            point.iter().for_each(|(bucket, value)| sum[*bucket as usize] += dual * sign * value);
            sum[2] += dual * sign;
        }
        for (found, balanced) in [weights[0], weights[1], weights[BUCKETS]].iter().zip(&sum) {
            assert!((found - balanced).abs() < 0.02, "{found} is not {balanced}");
        }
    }
}
