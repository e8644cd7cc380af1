//! Which orders may go out alone: the surest ones first, as far as a wanted precision carries.

use serde::{Deserialize, Serialize};

/// The largest share of orders that reaches a wanted precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// The precision that was asked for.
    pub precision: f64,
    /// Share of all orders that may go out alone; 0 if none reaches it.
    pub share: f64,
    /// The least confidence among them: the threshold to set. `None` if none reaches it.
    pub threshold: Option<f64>,
}

/// One point of the curve of share against precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CoveragePoint {
    /// Least confidence that goes out alone.
    pub threshold: f64,
    /// Share of all orders at or above it.
    pub share: f64,
    /// Share of those that were right.
    pub precision: f64,
}

/// The whole curve, surest orders first, one point for each distinct confidence: orders that are equally sure go out together,
/// since no threshold can tell them apart.
pub fn coverage_points(pairs: &[(f32, bool)]) -> Vec<CoveragePoint> {
    let sorted = surest_first(pairs);
    let mut points = Vec::new();
    let mut right = 0_u64;
    for (index, &(confidence, correct)) in sorted.iter().enumerate() {
        right += u64::from(correct);
        let last_of_its_kind = sorted.get(index + 1).is_none_or(|next| next.0 != confidence);
        if last_of_its_kind {
            let taken = (index + 1) as f64;
            points.push(CoveragePoint {
                threshold: f64::from(confidence),
                share: taken / sorted.len() as f64,
                precision: right as f64 / taken,
            });
        }
    }
    points
}

/// The largest share, surest orders first, whose precision is at least `precision`; `None` without orders.
pub fn coverage_at(points: &[CoveragePoint], precision: f64) -> Option<Coverage> {
    if points.is_empty() {
        return None;
    }
    let reached = points.iter().rev().find(|p| p.precision >= precision);
    Some(Coverage { precision, share: reached.map_or(0.0, |p| p.share), threshold: reached.map(|p| p.threshold) })
}

/// Sorted by score, highest first; NaN counts as the lowest.
pub(super) fn surest_first(pairs: &[(f32, bool)]) -> Vec<(f32, bool)> {
    let mut sorted: Vec<(f32, bool)> =
        pairs.iter().map(|&(s, t)| (if s.is_nan() { f32::NEG_INFINITY } else { s }, t)).collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    sorted
}
