//! Who takes over when a department has returned an order: counts of past re-dispatches, kept in `calibration.json`.
//!
//! By Bayes' rule, if what an appeal says and who objected are independent given who is responsible,
//! `P(department | text, objector) ∝ P(department | text) · P(department | objector) / P(department)`.
//! The first factor is the model's, the last the share of training orders, and the middle one is counted, smoothed towards the
//! shares among all re-dispatched orders, which are themselves smoothed towards those among all orders.
//!
//! A department of which there are two orders, one of them re-dispatched, would become forty times as likely by that rule. So the
//! factor is bounded; the bound was chosen on the validation months. And they are not independent: what an appeal says often tells
//! already who would object and to whom it would go. So the factor is raised to a strength between none and all of it, which is
//! fitted on past re-dispatches by models that had not learnt from them (`paidan-train crossfit`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Department;

/// Pseudo-counts of either smoothing: a department that took over once in two is not yet known to take over every other time.
const SMOOTHING: f32 = 10.0;

/// By how much a department becomes more or less likely at most.
const BOUND: f32 = 5.0;

/// How often orders that a department was asked first were handled by another in the end, by ids: `redispatched[first][last]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Redispatches(pub BTreeMap<String, BTreeMap<String, u32>>);

impl Redispatches {
    /// Counts one.
    pub fn add(&mut self, first: &str, last: &str) {
        *self.0.entry(first.to_owned()).or_default().entry(last.to_owned()).or_default() += 1;
    }

    /// True if none was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many were counted.
    pub fn total(&self) -> u32 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }
}

/// The factors that follow from the counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Takeover {
    /// For an objector of whom nothing is known.
    general: BTreeMap<String, f32>,
    by_objector: BTreeMap<String, BTreeMap<String, f32>>,
    strength: f32,
}

impl Takeover {
    /// `None` if nothing was ever counted: then a return takes the objector out and moves nothing else.
    pub fn of(counts: &Redispatches, departments: &[Arc<Department>]) -> Option<Self> {
        let all: usize = departments.iter().map(|one| one.training_orders).sum();
        if counts.total() == 0 || all == 0 {
            return None;
        }
        // A department without training orders has no share to compare with, so nothing moves it.
        let known: Vec<(&str, f32)> = departments
            .iter()
            .filter(|one| one.training_orders > 0)
            .map(|one| (one.id.as_str(), one.training_orders as f32 / all as f32))
            .collect();
        let towards = |counted: &dyn Fn(&str) -> f32, prior: &dyn Fn(usize) -> f32| -> Vec<f32> {
            let total: f32 = known.iter().map(|(id, _)| counted(id)).sum();
            known.iter().enumerate().map(|(i, (id, _))| (counted(id) + SMOOTHING * prior(i)) / (total + SMOOTHING)).collect()
        };
        let ended = |id: &str| counts.0.values().filter_map(|last| last.get(id)).sum::<u32>() as f32;
        let general = towards(&ended, &|i| known[i].1);
        let factors = |shares: &[f32]| -> BTreeMap<String, f32> {
            known.iter().zip(shares).map(|((id, share), own)| ((*id).to_owned(), own / share)).collect()
        };
        let by_objector = counts.0.iter().map(|(first, last)| {
            let took = |id: &str| last.get(id).copied().unwrap_or_default() as f32;
            (first.clone(), factors(&towards(&took, &|i| general[i])))
        });
        Some(Self { by_objector: by_objector.collect(), general: factors(&general), strength: 1.0 })
    }

    /// The same, its factors raised to this: 0 moves nothing, 1 is all that was counted.
    #[must_use]
    pub fn with_strength(self, strength: f32) -> Self {
        Self { strength, ..self }
    }

    /// By how much more likely a department is, now that these have objected; each is named once. 1 if nothing is known.
    pub fn factor(&self, objectors: &[&str], department: &str) -> f32 {
        let general = self.general.get(department).copied().unwrap_or(1.0);
        let own = |objector: &&str| {
            self.by_objector.get(*objector).and_then(|factors| factors.get(department)).copied().unwrap_or(general)
        };
        let factor = match objectors {
            [] => 1.0,
            // That an order comes back at all counts once, however often it does.
            [first, more @ ..] => own(first) * more.iter().map(|objector| own(objector) / general).product::<f32>(),
        };
        factor.clamp(1.0 / BOUND, BOUND).powf(self.strength)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departments() -> Vec<Arc<Department>> {
        let department = |id: &str, training_orders| Arc::new(Department { id: id.into(), name: id.into(), training_orders });
        vec![department("城管", 60), department("街镇", 20), department("公安", 20), department("新设", 0)]
    }

    fn counts() -> Redispatches {
        let mut counts = Redispatches::default();
        (0..8).for_each(|_| counts.add("城管", "街镇"));
        (0..2).for_each(|_| counts.add("公安", "城管"));
        counts
    }

    #[test]
    fn who_used_to_take_over_becomes_likelier_and_the_others_less_likely() {
        let takeover = Takeover::of(&counts(), &departments()).expect("counted");
        let factor = |department: &str| takeover.factor(&["城管"], department);
        // (8 + 10 · (8 + 10 · 0.2) / 20) / 18 / 0.2
        assert!((factor("街镇") - 13.0 / 18.0 / 0.2).abs() < 1e-5, "{}", factor("街镇"));
        assert!(factor("公安") < 1.0);
        assert_eq!(factor("新设"), 1.0, "of a department without orders nothing is known");
    }

    #[test]
    fn an_objector_nobody_has_seen_leaves_what_is_known_of_all_redispatches() {
        let takeover = Takeover::of(&counts(), &departments()).expect("counted");
        assert!((takeover.factor(&["教育"], "街镇") - 0.5 / 0.2).abs() < 1e-5);
        let both = takeover.factor(&["城管", "教育"], "街镇");
        assert!((both - takeover.factor(&["城管"], "街镇")).abs() < 1e-5, "that it came back counts once");
        assert_eq!(takeover.factor(&[], "街镇"), 1.0);
    }

    #[test]
    fn a_department_of_few_orders_does_not_become_any_number_of_times_as_likely() {
        let rare = Department { id: "铁塔".into(), name: "铁塔".into(), training_orders: 1 };
        let departments: Vec<Arc<Department>> = departments().into_iter().chain([Arc::new(rare)]).collect();
        let mut counts = counts();
        counts.add("城管", "铁塔");
        assert_eq!(Takeover::of(&counts, &departments).expect("counted").factor(&["城管"], "铁塔"), BOUND);
    }

    #[test]
    fn at_half_strength_a_factor_is_its_square_root() {
        let whole = Takeover::of(&counts(), &departments()).expect("counted");
        let (half, none) = (whole.clone().with_strength(0.5), whole.clone().with_strength(0.0));
        let factor = |takeover: &Takeover| takeover.factor(&["城管"], "街镇");
        assert!((factor(&half).powi(2) - factor(&whole)).abs() < 1e-5);
        assert_eq!(factor(&none), 1.0);
    }

    #[test]
    fn nothing_counted_moves_nothing() {
        assert_eq!(Takeover::of(&Redispatches::default(), &departments()), None);
    }
}
