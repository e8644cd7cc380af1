//! What a standing ruling on each of the disputes that come back most would have done to later orders: `paidan-train recurrences`.
//!
//! The re-dispatched training orders are grouped and drafted by the code that serves (`paidan::rulings::recurrences`), the ten
//! largest groups become standing rulings as drafted, and every later order is asked by the router's rule which one applies. Told
//! are the disputes that would have been settled, and everything else that the rulings would have touched: a ruling that carries
//! off undisputed orders does harm, however many disputes it settles.
//!
//! How like disputes must be to be grouped is looked up on the training orders alone: where the groups come nearest to "contested
//! by the same departments". The model learnt from these orders who handled them in the end, so groups of training orders agree on
//! their lead more than those of new disputes will; whom the operator had asked first it was never taught.

mod table;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use paidan::catalog::Day;
use paidan::evaluation::WorkOrder;
use paidan::model::Setting;
use paidan::routing::Router;
use paidan::rulings::{Dispute, Recurrence, recurrences};
use paidan::text::masked;
use serde::Serialize;

pub use trial::{Outcome, Touched};
use trial::{Trial, routed, same_as_served, tried};

use crate::amend::amend;
use crate::held::Held;
use crate::opening::Opened;

/// Rulings that are tried: those of the largest groups.
const RULINGS: usize = 10;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Re-dispatched training orders.
    pub disputes: usize,
    /// Of these in a group.
    pub grouped: usize,
    /// Least mean cosine at which the groups agree best with who contests them.
    pub bound: f32,
    /// The training orders' groups at each bound.
    pub choice: Vec<Agreement>,
    /// The largest groups of all training orders.
    pub groups: Vec<Recurrence>,
    /// Their rulings tried on the later orders, at the best bound and at others.
    pub outcomes: Vec<Outcome>,
}

/// How far groups are what the same departments contest, by pairs of disputes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Agreement {
    /// Least mean cosine of the groups.
    pub bound: f32,
    /// Groups of at least three.
    pub groups: usize,
    /// Disputes in the ten largest.
    pub largest: usize,
    /// Of the pairs in one group, the share that the same departments contest.
    pub precision: f64,
    /// Of the pairs that the same departments contest, the share in one group.
    pub recall: f64,
    /// Of both the harmonic mean.
    pub f1: f64,
}

/// Groups the training orders' disputes and tries their rulings on the validation orders; with `write` the bound goes into the model
/// folder.
pub fn backtest(model: &Path, training: &Path, validation: &Path, write: Option<&Held>) -> Result<Report> {
    let Opened { artifacts, training, validation } = Opened::read(model, training, validation)?;
    let router = Router::from_artifacts(artifacts, Setting::default()).context("the model was refused")?;
    let disputes = disputes(&router, &training.orders)?;
    ensure!(disputes.len() >= 3, "{}: fewer than three re-dispatched orders of a known day", training.path.display());
    let choice: Vec<Agreement> = bounds(&router).into_iter().map(|bound| Agreement::of(&disputes, bound)).collect();
    let best = choice.iter().max_by(|a, b| a.f1.total_cmp(&b.f1).then(a.bound.total_cmp(&b.bound)));
    let bound = best.context("our own bug: no bounds to choose from")?.bound;
    crate::say("reading the validation orders");
    let orders: Vec<&WorkOrder> = validation.orders.iter().filter(|order| order.received_on.is_some()).collect();
    let mut outcomes = Vec::new();
    for (input, category) in [("text_only", false), ("with_category", true)] {
        let later = routed(&router, &orders, category)?;
        for (bound, chosen) in bounds(&router).into_iter().map(|one| (one, one == bound)) {
            for worded in [true, false] {
                let (outcome, book) = tried(&router, &later, &Trial { disputes: &disputes, bound, worded, input })?;
                outcomes.push(outcome);
                if chosen && worded {
                    same_as_served(&router, book, &later)?;
                }
            }
        }
    }
    if let Some(held) = write {
        amend(held, |calibration| calibration.recurrence_similarity = bound)?;
    }
    let found = recurrences(disputes.clone(), |_| false, bound);
    let grouped = found.disputes - found.single;
    let groups = found.groups.into_iter().take(RULINGS).collect();
    Ok(Report { disputes: disputes.len(), grouped, bound, choice, groups, outcomes })
}

impl Agreement {
    fn of(disputes: &[Arc<Dispute>], bound: f32) -> Self {
        let groups = recurrences(disputes.to_vec(), |_| false, bound).groups;
        let parties: BTreeMap<&str, BTreeSet<&String>> =
            disputes.iter().map(|one| (one.id.as_str(), one.contesting.iter().collect())).collect();
        let mut sizes: BTreeMap<&BTreeSet<&String>, usize> = BTreeMap::new();
        parties.values().for_each(|names| *sizes.entry(names).or_default() += 1);
        let pairs = |count: usize| count * count.saturating_sub(1) / 2;
        let (mut together, mut both) = (0, 0);
        for group in &groups {
            together += pairs(group.disputes);
            let mut alike: BTreeMap<&BTreeSet<&String>, usize> = BTreeMap::new();
            group
                .members
                .iter()
                .filter_map(|id| parties.get(id.as_str()))
                .for_each(|names| *alike.entry(names).or_default() += 1);
            both += alike.into_values().map(pairs).sum::<usize>();
        }
        let (precision, recall) = (share(both, together), share(both, sizes.into_values().map(pairs).sum()));
        let f1 = if both == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
        let largest = groups.iter().take(RULINGS).map(|group| group.disputes).sum();
        Self { bound, groups: groups.iter().filter(|group| group.disputes >= 3).count(), largest, precision, recall, f1 }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The bounds that are tried: round ones, and the likeness of a precedent that is shown.
fn bounds(router: &Router) -> Vec<f32> {
    let mut bounds: Vec<f32> = (5..20).map(|step| step as f32 / 20.0).collect();
    bounds.push(router.likeness().precedent_similarity);
    bounds.sort_by(f32::total_cmp);
    bounds.dedup();
    bounds
}

/// The re-dispatched orders, as `paidan rulings import --from-orders` and the service read them.
fn disputes(router: &Router, orders: &[WorkOrder]) -> Result<Vec<Arc<Dispute>>> {
    let disputed: Vec<(&WorkOrder, Day)> = orders
        .iter()
        .filter(|order| order.rerouted == Some(true) && order.department.is_some())
        .filter_map(|order| Some((order, order.received_on?)))
        .collect();
    let texts: Vec<String> = disputed.iter().map(|(order, _)| masked(&order.appeal.fields().text)).collect();
    let embeddings = router.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    let dispute = |(((order, day), text), embedding): (((&WorkOrder, Day), String), Vec<f32>)| {
        let contesting: BTreeSet<&String> = order.instructed.iter().chain(&order.department).collect();
        Arc::new(Dispute {
            id: order.order_id.clone(),
            order: order.order_id.clone(),
            matter: order.appeal.fields().category.clone(),
            texts: vec![text],
            embedding,
            lead: order.department.clone(),
            contesting: contesting.into_iter().cloned().collect(),
            district: order.appeal.fields().district.clone(),
            day,
        })
    };
    Ok(disputed.into_iter().zip(texts).zip(embeddings).map(dispute).collect())
}
