//! Fits how the witnesses of a dispute are weighed, and measures what the weights are worth on orders that they were not fitted on.
//!
//! Validation holds some fifty disputes: too few for as many free weights. So the witnesses, each brought to the same spread,
//! begin as equals (equal weights are hard to beat with few data: Dawes 1979); one weight for all of them is fitted freely, and
//! each may only depart from it as far as a strong ridge lets it. What would speak against its own sense is not heard at all.
//!
//! Training holds some hundreds. Where each training order was answered by a model that did not learn from it
//! ([`crate::crossfit`]), the weights are fitted freely on those, and only a common factor and the bias on validation. Which of the two
//! ways is taken is decided for each risk by what it is worth on held-out validation orders.

use std::collections::BTreeMap;

use paidan::catalog::Day;
use paidan::evaluation::{REVIEW_BUDGETS, RiskMeasures, RiskScores};
use paidan::model::{Weighing, Weight, Witness};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::logistic;

/// Keeps the common weight from running away.
const RIDGE: f64 = 0.1;
/// How freely a witness departs from the common weight: by this the ridge on it is 400 times as strong.
const FREEDOM: f64 = 0.05;
/// Less spread than this is none.
const LEAST_SPREAD: f64 = 1e-6;
/// Folds, and how often they are drawn anew: one drawing of so few disputes is chance.
const FOLDS: usize = 5;
const DRAWINGS: u64 = 10;

/// What the witnesses said of orders whose outcome is known, in the orders' order.
#[derive(Debug, Clone, Default)]
pub struct Hearing {
    /// One row an order.
    pub values: Vec<Vec<(Witness, Option<f32>)>>,
    /// Whether it came as the risk says.
    pub outcomes: Vec<bool>,
    /// When each was taken in, if that is known.
    pub days: Vec<Option<Day>>,
    /// How the witnesses are weighed, if that was fitted on other orders; then only a common factor and the bias are fitted here.
    pub weights: Option<Weighing>,
}

/// Figures on orders that the weights were not fitted on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeldOut {
    /// By name: `auc_cross_validated`, ….
    pub figures: Vec<(String, f64)>,
}

impl Hearing {
    fn only(&self, rows: &[usize]) -> Self {
        Self {
            values: rows.iter().map(|row| self.values[*row].clone()).collect(),
            outcomes: rows.iter().map(|row| self.outcomes[*row]).collect(),
            days: rows.iter().map(|row| self.days[*row]).collect(),
            weights: self.weights.clone(),
        }
    }

    /// The weights; `None` if there is nothing to learn: no witness, or one outcome only.
    pub fn weighing(&self) -> Option<Weighing> {
        match &self.weights {
            Some(weights) => self.rescaled(weights),
            None => self.fitted(FREEDOM),
        }
    }

    /// Each witness by a weight of its own: for hundreds of disputes.
    pub fn freely(&self) -> Option<Weighing> {
        self.fitted(1.0)
    }

    /// Keeps the given weights only if they foretell these orders no worse than weights of their own would: past disputes were of
    /// other months.
    pub fn settled(mut self) -> Self {
        let own = Self { weights: None, ..self.clone() };
        if self.weights.is_some() {
            let (own, given) = held_out_losses(&own, &self);
            if own < given {
                self.weights = None;
            }
        }
        self
    }

    /// These weights, by a common factor, on witnesses as they speak here.
    fn rescaled(&self, weights: &Weighing) -> Option<Weighing> {
        let mut scaled = self.scaled(&weights.witnesses.keys().copied().collect::<Vec<_>>());
        scaled.iter_mut().for_each(|one| one.weight = f64::from(weights.witnesses[&one.witness].weight));
        let sum = |i: usize| vec![scaled.iter().map(|one| one.weight * one.values[i]).sum::<f64>()];
        let sums: Vec<Vec<f64>> = (0..self.values.len()).map(sum).collect();
        let found = logistic::fit(&sums, &self.outcomes, RIDGE)?;
        let factor = found[0].max(0.0);
        let witnesses = scaled.iter().map(|one| (one.witness, one.weighed(factor * one.weight))).collect();
        Some(Weighing { bias: found[1] as f32, witnesses })
    }

    fn fitted(&self, freedom: f64) -> Option<Weighing> {
        let mut heard: Vec<Witness> = self.values.first()?.iter().map(|(witness, _)| *witness).collect();
        loop {
            let weighing = self.weighing_of(&heard, freedom)?;
            let least = weighing.witnesses.iter().min_by(|a, b| a.1.weight.total_cmp(&b.1.weight))?;
            if least.1.weight >= 0.0 {
                return Some(weighing);
            }
            let against = *least.0;
            heard.retain(|witness| *witness != against);
        }
    }

    /// The witnesses as they speak of all orders, each brought to a mean of nought and a spread of one.
    fn scaled(&self, heard: &[Witness]) -> Vec<Scaled> {
        let value = |row: &Vec<(Witness, Option<f32>)>, witness: Witness| {
            row.iter().find(|(one, _)| *one == witness).and_then(|(_, value)| *value).map(f64::from)
        };
        let mut scaled = Vec::new();
        for witness in heard {
            // Only who spoke of every order can be measured against a typical one.
            let Some(values) = self.values.iter().map(|row| value(row, *witness)).collect::<Option<Vec<f64>>>() else {
                continue;
            };
            let typical = values.iter().sum::<f64>() / values.len() as f64;
            let spread = (values.iter().map(|x| (x - typical).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
            if spread > LEAST_SPREAD {
                let values = values.iter().map(|x| (x - typical) / spread).collect();
                scaled.push(Scaled { witness: *witness, typical, spread, weight: 0.0, values });
            }
        }
        scaled
    }

    fn weighing_of(&self, heard: &[Witness], freedom: f64) -> Option<Weighing> {
        let scaled = self.scaled(heard);
        let row = |i: usize| {
            let each = scaled.iter().map(|one| one.values[i]);
            std::iter::once(each.clone().sum()).chain(each.map(|x| freedom * x)).collect()
        };
        let features: Vec<Vec<f64>> = (0..self.values.len()).map(row).collect();
        if scaled.is_empty() {
            return None;
        }
        let weights = logistic::fit(&features, &self.outcomes, RIDGE)?;
        let weight = |(k, one): (usize, &Scaled)| (one.witness, one.weighed(weights[0] + freedom * weights[k + 1]));
        let bias = *weights.last()? as f32;
        Some(Weighing { bias, witnesses: scaled.iter().enumerate().map(weight).collect() })
    }

    /// The risks by these weights.
    pub fn scores(&self, weighing: &Weighing) -> RiskScores {
        let mut scores = RiskScores::default();
        for (values, outcome) in self.values.iter().zip(&self.outcomes) {
            scores.push(weighing.risk(&weighing.contributions(values)), *outcome);
        }
        scores
    }

    /// The rows by their days, those of one day as they stand; `None` if a day is not known.
    fn by_day(&self) -> Option<Vec<usize>> {
        let days = self.days.iter().copied().collect::<Option<Vec<Day>>>()?;
        let mut rows: Vec<usize> = (0..days.len()).collect();
        rows.sort_by_key(|row| days[*row]);
        Some(rows)
    }

    /// Fitted on four fifths and measured on the fifth, the mean of several drawings; and, where all days are known, fitted on the
    /// earlier two thirds, measured on the last.
    pub fn held_out(&self) -> HeldOut {
        let mut sums: BTreeMap<String, (f64, usize)> = BTreeMap::new();
        let mut add = |name: String, value: Option<f64>| {
            if let Some(value) = value {
                let (sum, count) = sums.entry(name).or_default();
                *sum += value;
                *count += 1;
            }
        };
        for drawing in 0..DRAWINGS {
            let measures = self.cross_validated(drawing).measures();
            for (name, value) in common(&measures) {
                add(format!("{name}_cross_validated"), value);
            }
            for (budget, percent) in measures.review_budgets.iter().zip(REVIEW_BUDGETS.map(|share| share * 100.0)) {
                add(format!("caught_at_{percent:02.0}_cross_validated"), Some(budget.caught));
            }
        }
        // Where a line stands in a file says nothing of when it came in.
        let by_day = self.by_day().unwrap_or_default();
        let (earlier, later) = by_day.split_at(by_day.len() * 2 / 3);
        if let Some(weighing) = self.only(earlier).weighing() {
            for (name, value) in common(&self.only(later).scores(&weighing).measures()) {
                add(format!("{name}_last_third"), value);
            }
        }
        HeldOut { figures: sums.into_iter().map(|(name, (sum, count))| (name, sum / count as f64)).collect() }
    }

    fn cross_validated(&self, seed: u64) -> RiskScores {
        let mut scores = RiskScores::default();
        self.held_out_risks(seed).iter().for_each(|(row, risk)| scores.push(*risk, self.outcomes[*row]));
        scores
    }

    /// Rows with their risk, each by weights that were fitted on the other folds. A fold is left out where nothing could be fitted.
    fn held_out_risks(&self, seed: u64) -> Vec<(usize, f32)> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Each outcome is dealt out by itself, so that no fold is without disputes.
        let mut fold = vec![0; self.outcomes.len()];
        let mut dealt = 0;
        for outcome in [true, false] {
            let mut rows: Vec<usize> = (0..self.outcomes.len()).filter(|row| self.outcomes[*row] == outcome).collect();
            rows.shuffle(&mut rng);
            for row in rows {
                fold[row] = dealt % FOLDS;
                dealt += 1;
            }
        }
        let mut risks = Vec::with_capacity(fold.len());
        for held_out in 0..FOLDS {
            let (inside, outside): (Vec<usize>, Vec<usize>) = (0..fold.len()).partition(|row| fold[*row] != held_out);
            if let Some(weighing) = self.only(&inside).weighing() {
                let risk = |row: usize| weighing.risk(&weighing.contributions(&self.values[row]));
                risks.extend(outside.into_iter().map(|row| (row, risk(row))));
            }
        }
        risks
    }
}

/// Mean `-ln` of what two weighings of the same orders said of the outcomes, on folds that the weights were not fitted on; the mean
/// of several drawings. Only where both said something: infinite if that is nowhere, so that to say nothing is not the best.
fn held_out_losses(one: &Hearing, other: &Hearing) -> (f64, f64) {
    let (mut sums, mut count) = ((0.0, 0.0), 0usize);
    for drawing in 0..DRAWINGS {
        let others: BTreeMap<usize, f32> = other.held_out_risks(drawing).into_iter().collect();
        for (row, risk) in one.held_out_risks(drawing) {
            let Some(other) = others.get(&row) else { continue };
            let surprise = |risk: f32| {
                let said = if one.outcomes[row] { risk } else { 1.0 - risk };
                -f64::from(said.max(1e-6)).ln()
            };
            sums = (sums.0 + surprise(risk), sums.1 + surprise(*other));
            count += 1;
        }
    }
    match count {
        0 => (f64::INFINITY, f64::INFINITY),
        _ => (sums.0 / count as f64, sums.1 / count as f64),
    }
}

/// One witness on all orders.
struct Scaled {
    witness: Witness,
    typical: f64,
    spread: f64,
    weight: f64,
    values: Vec<f64>,
}

impl Scaled {
    fn weighed(&self, weight: f64) -> Weight {
        Weight { typical: self.typical as f32, spread: self.spread as f32, weight: weight as f32 }
    }
}

fn common(measures: &RiskMeasures) -> [(&'static str, Option<f64>); 3] {
    [("auc", measures.auc), ("average_precision", measures.average_precision), ("ece", measures.ece)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every seventh order is disputed; the head sees it dimly, the words say the reverse, the length nothing.
    fn hearing() -> Hearing {
        let outcomes: Vec<bool> = (0..210).map(|i| i % 7 == 0).collect();
        let noise = |i: usize| ((i * 37) % 11) as f32 / 11.0;
        let values = outcomes.iter().enumerate().map(|(i, disputed)| {
            let sign = if *disputed { 1.0 } else { 0.0 };
            vec![
                (Witness::Head, Some(sign + noise(i))),
                (Witness::Words, Some(noise(i + 3) - 2.0 * sign)),
                (Witness::Length, Some(3.0)),
            ]
        });
        let days = (0..210).map(|i| Day::from_num_days_from_ce_opt(730_000 + i / 3)).collect();
        Hearing { values: values.collect(), outcomes, days, weights: None }
    }

    #[test]
    fn who_speaks_against_his_own_sense_or_says_nothing_is_not_heard() {
        let weighing = hearing().weighing().expect("a fit");
        assert_eq!(weighing.witnesses.keys().copied().collect::<Vec<_>>(), [Witness::Head]);
        assert!(weighing.witnesses[&Witness::Head].weight > 0.0);
    }

    #[test]
    fn given_weights_keep_their_proportions_and_find_their_scale() {
        let mut hearing = hearing();
        for (row, values) in hearing.values.iter_mut().enumerate() {
            values[1].1 = Some(((row * 53) % 17) as f32);
        }
        let weight = |weight| Weight { typical: 9.0, spread: 9.0, weight };
        let witnesses = BTreeMap::from([(Witness::Head, weight(0.2)), (Witness::Words, weight(0.1))]);
        hearing.weights = Some(Weighing { bias: 7.0, witnesses });
        let weighing = hearing.weighing().expect("a fit");
        let of = |witness| weighing.witnesses[&witness];
        assert!((of(Witness::Head).weight / of(Witness::Words).weight - 2.0).abs() < 1e-5);
        assert!(of(Witness::Head).weight > 0.2, "it is worth more here: {weighing:?}");
        assert!(of(Witness::Head).typical < 2.0, "measured against these orders, not those");
        let scores = hearing.scores(&weighing);
        let mean = scores.pairs().iter().map(|(risk, _)| f64::from(*risk)).sum::<f64>() / scores.pairs().len() as f64;
        assert!((mean - 1.0 / 7.0).abs() < 1e-3, "{mean}");
    }

    #[test]
    fn weights_of_other_months_are_kept_only_if_they_are_no_worse_than_own_ones() {
        let given = |head: f32, words: f32| {
            let mut hearing = hearing();
            for (row, values) in hearing.values.iter_mut().enumerate() {
                values[1].1 = Some(((row * 53) % 17) as f32);
            }
            let weight = |weight| Weight { typical: 0.0, spread: 1.0, weight };
            let witnesses = BTreeMap::from([(Witness::Head, weight(head)), (Witness::Words, weight(words))]);
            hearing.weights = Some(Weighing { bias: 0.0, witnesses });
            hearing.settled().weights.is_some()
        };
        assert!(given(1.0, 0.0), "the head knows");
        assert!(!given(0.0, 1.0), "the words do not");
    }

    #[test]
    fn own_weights_that_cannot_be_fitted_are_not_the_best_that_can_be() {
        let mut hearing = hearing();
        // Everybody speaks against his own sense, so that nobody is heard.
        for (values, disputed) in hearing.values.iter_mut().zip(&hearing.outcomes) {
            *values = vec![(Witness::Head, Some(if *disputed { -1.0 } else { 1.0 }))];
        }
        assert_eq!(hearing.weighing(), None);
        let witnesses = BTreeMap::from([(Witness::Head, Weight { typical: 0.0, spread: 1.0, weight: 1.0 })]);
        hearing.weights = Some(Weighing { bias: 0.0, witnesses });
        assert!(hearing.settled().weights.is_some(), "nothing foretold better");
    }

    #[test]
    fn the_mean_risk_is_the_share_of_disputes() {
        let hearing = hearing();
        let scores = hearing.scores(&hearing.weighing().expect("a fit"));
        let mean = scores.pairs().iter().map(|(risk, _)| f64::from(*risk)).sum::<f64>() / scores.pairs().len() as f64;
        assert!((mean - 1.0 / 7.0).abs() < 1e-3, "{mean}");
    }

    #[test]
    fn held_out_figures_are_of_every_drawing_and_of_later_orders() {
        let figures: BTreeMap<String, f64> = hearing().held_out().figures.into_iter().collect();
        for name in [
            "auc_cross_validated",
            "ece_cross_validated",
            "caught_at_01_cross_validated",
            "caught_at_10_cross_validated",
            "auc_last_third",
        ] {
            assert!(figures.contains_key(name), "{figures:?}");
        }
        assert!(figures["auc_cross_validated"] > 0.9);
    }

    #[test]
    fn the_last_third_is_of_the_last_days_wherever_they_stand_in_the_file() {
        let last_third = |hearing: &Hearing| -> Vec<(String, f64)> {
            let figures = hearing.held_out().figures.into_iter();
            figures.filter(|(name, _)| name.ends_with("last_third")).collect()
        };
        let mut hearing = hearing();
        let sorted = last_third(&hearing);
        assert_eq!(sorted.len(), 3, "{sorted:?}");
        // The later half first; each day stays in one piece.
        let mut rows: Vec<usize> = (0..210).collect();
        rows.rotate_left(105);
        hearing = hearing.only(&rows);
        for ((name, value), (_, other)) in sorted.iter().zip(last_third(&hearing)) {
            assert!((value - other).abs() < 1e-6, "{name} is {value} of a sorted file, {other} of another");
        }
        hearing.days[7] = None;
        assert_eq!(last_third(&hearing), [], "nobody knows which third that order belongs to");
    }

    #[test]
    fn one_outcome_only_gives_no_weights() {
        let mut hearing = hearing();
        hearing.outcomes.fill(false);
        assert_eq!(hearing.weighing(), None);
        assert_eq!(Hearing::default().weighing(), None);
    }
}
