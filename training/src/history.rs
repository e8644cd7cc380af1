//! How often dispatches to each department came back: a witness of the disputes to come.

use paidan::evaluation::WorkOrder;

use crate::dataset::Labels;

/// Orders of nobody in particular that a department's history is mixed with.
const PRIOR_ORDERS: f64 = 20.0;

/// For each department how often dispatches to it came back, in log-odds above those of all; 0 where nobody was asked.
pub fn history<'a>(training: impl Iterator<Item = &'a WorkOrder>, labels: &Labels) -> Vec<f32> {
    let mut asked = vec![(0f64, 0f64); labels.departments.len()];
    let (mut all, mut back) = (0f64, 0f64);
    for order in training {
        let Some(disputed) = order.rerouted.map(|disputed| f64::from(u8::from(disputed))) else { continue };
        for row in order.instructed.iter().filter_map(|name| labels.row(name)) {
            asked[row].0 += 1.0;
            asked[row].1 += disputed;
            all += 1.0;
            back += disputed;
        }
    }
    if back <= 0.0 || back >= all {
        return vec![0.0; asked.len()];
    }
    let share = back / all;
    let log_odds = |share: f64| (share / (1.0 - share)).ln();
    let above =
        |(orders, back): &(f64, f64)| log_odds((back + PRIOR_ORDERS * share) / (orders + PRIOR_ORDERS)) - log_odds(share);
    asked.iter().map(|one| above(one) as f32).collect()
}
