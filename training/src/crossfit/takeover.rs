//! How strongly who used to take over should move the next answer: tried on the re-dispatched training orders, with what models said
//! that had not learnt from them and counts of the other shares.

use std::sync::Arc;

use paidan::evaluation::WorkOrder;
use paidan::model::calibration::{Scales, surprise};
use paidan::model::{Department, Takeover};

use super::said::Row;
use crate::returns::{pair, redispatches};

/// The strengths that are tried. Finer steps would tell differences that a few hundred orders do not hold.
const STRENGTHS: [f32; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// What one strength is worth.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct StrengthRow {
    /// The counted factor is raised to it.
    pub strength: f32,
    /// Orders whose department came first once the one that was asked first was out, of both kinds of input together.
    pub right: usize,
    /// How many were tried.
    pub tried: usize,
    /// Mean `-ln` of the probability that the department had.
    pub loss: f64,
}

/// Tries all strengths; of nothing if no order was re-dispatched. `fold_of` tells whose share an order is.
pub fn strengths(
    rows: &[Row<'_>],
    scales: &[Scales; 2],
    departments: &[Department],
    folds: usize,
    fold_of: impl Fn(&WorkOrder) -> usize,
) -> Vec<StrengthRow> {
    let departments: Vec<Arc<Department>> = departments.iter().cloned().map(Arc::new).collect();
    let takeovers: Vec<Option<Takeover>> = (0..folds)
        .map(|fold| {
            let others = rows.iter().map(|row| row.order).filter(|order| fold_of(order) != fold);
            Takeover::of(&redispatches(others), &departments)
        })
        .collect();
    let returned = |row: &Row<'_>| Some((row.order.rerouted == Some(true)).then(|| pair(row.order))??.0.to_owned());
    let returned: Vec<(&Row<'_>, String)> = rows.iter().filter_map(|row| returned(row).map(|first| (row, first))).collect();
    if returned.is_empty() {
        return Vec::new();
    }
    let mut tried: Vec<StrengthRow> = STRENGTHS.map(|strength| StrengthRow { strength, right: 0, tried: 0, loss: 0.0 }).into();
    for (row, first) in &returned {
        let takeover = takeovers[fold_of(row.order)].as_ref();
        for (kind, scales) in scales.iter().enumerate() {
            let probabilities = row.said.probabilities(kind, scales);
            for one in &mut tried {
                let takeover = takeover.cloned().map(|takeover| takeover.with_strength(one.strength));
                let factor = |id: &str| takeover.as_ref().map_or(1.0, |takeover| takeover.factor(&[first.as_str()], id));
                let next = probabilities.iter().zip(&departments).map(|(probability, department)| {
                    if department.id == *first { 0.0 } else { probability * factor(&department.id) }
                });
                let next: Vec<f32> = next.collect();
                let total: f32 = next.iter().sum::<f32>().max(f32::MIN_POSITIVE);
                one.right += usize::from(super::likeliest(&next) == row.row);
                one.tried += 1;
                one.loss += f64::from(surprise(next[row.row] / total));
            }
        }
    }
    tried.iter_mut().for_each(|one| one.loss /= one.tried.max(1) as f64);
    tried
}

/// The strength that foretells best.
pub fn best(tried: &[StrengthRow]) -> Option<f32> {
    tried.iter().min_by(|a, b| a.loss.total_cmp(&b.loss)).map(|one| one.strength)
}
