//! Where an order should go after it came back, measured on past re-dispatches: was the department that handled it in the end first,
//! once the one that was asked first is out? And the counts of who takes over from whom, for the model folder.
//!
//! The answers are the router's own, in the precision that the service has. Counts are of training orders only.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use paidan::catalog::Day;
use paidan::evaluation::WorkOrder;
use paidan::model::{Artifacts, Redispatches, Setting};
use paidan::routing::{Decision, Objection, PreparedAppeal, ReturnReason, Router};
use paidan::text::{Appeal, AppealFields};
use serde::Serialize;

use crate::amend::amend;
use crate::held::Held;
use crate::opening::Opened;

/// Appeals in one pass.
const AT_ONCE: usize = 16;

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReturnsRow {
    /// `text_only` or `with_category`.
    pub input: String,
    /// Re-dispatched orders whose departments the model knows.
    pub orders: usize,
    /// The finally right department was first before anybody objected.
    pub before: usize,
    /// It was first once the one asked first was out, all else as it was.
    pub excluded: usize,
    /// The same with the counts of who takes over: what the service answers.
    pub next: usize,
    /// It was among the first three of that answer.
    pub next_top3: usize,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct ReturnsReport {
    /// Training orders that were re-dispatched, and counted.
    pub counted: u32,
    /// By input.
    pub rows: Vec<ReturnsRow>,
}

impl ReturnsReport {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("{} past re-dispatches counted\n", self.counted);
        text.push_str("next answer after a return: input, orders; finally right department first before the return, without the objector, with takeovers (as served), among three\n");
        for row in &self.rows {
            let share = |count: usize| format!("{count} ({:.1} %)", 100.0 * count as f64 / row.orders.max(1) as f64);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:14} {:4}  {}  {}  {}  {}",
                row.input,
                row.orders,
                share(row.before),
                share(row.excluded),
                share(row.next),
                share(row.next_top3)
            );
        }
        text
    }
}

/// Counts takeovers in the training orders and tries them on later ones. `write` puts the counts into the folder.
pub fn measure(model: &Path, training: &Path, validation: &Path, write: Option<&Held>) -> Result<ReturnsReport> {
    let Opened { training, validation, .. } = Opened::read(model, training, validation)?;
    let counts = redispatches(&training.orders);
    let with = |redispatches: Redispatches| -> Result<Router> {
        let mut artifacts = Artifacts::open(model).context("the model was refused")?;
        artifacts.calibration.redispatches = redispatches;
        Ok(Router::from_artifacts(artifacts, Setting::default())?)
    };
    let (without, router) = (with(Redispatches::default())?, with(counts.clone())?);
    let redispatched: Vec<&WorkOrder> = validation
        .orders
        .iter()
        .filter(|order| order.rerouted == Some(true) && pair(order).is_some())
        .filter(|order| order.department.as_deref().is_some_and(|name| router.department(name).is_some()))
        .collect();
    ensure!(!redispatched.is_empty(), "{}: no order of it was re-dispatched", validation.path.display());
    let mut report = ReturnsReport { counted: counts.total(), rows: Vec::new() };
    for (input, categories) in [("text_only", false), ("with_category", true)] {
        let appeals = redispatched.iter().map(|order| appeal(order, categories)).collect::<Result<Vec<_>>>()?;
        let routed = |router: &Router, objecting: bool| -> Result<Vec<Decision>> {
            let prepare = |(order, appeal): (&&WorkOrder, &Appeal)| -> Result<PreparedAppeal> {
                let mut prepared = router.prepare(appeal)?;
                prepared.objections =
                    pair(order).filter(|_| objecting).map(|(first, _)| objection(first)).into_iter().collect();
                Ok(prepared)
            };
            let prepared = redispatched.iter().zip(&appeals).map(prepare).collect::<Result<Vec<_>>>()?;
            let mut decisions = Vec::with_capacity(prepared.len());
            for batch in prepared.chunks(AT_ONCE) {
                decisions.extend(router.route(batch)?);
            }
            Ok(decisions)
        };
        let right = |decisions: &[Decision], most: usize| {
            let among = |(order, decision): &(&&WorkOrder, &Decision)| {
                let last = order.department.as_deref();
                decision.departments.iter().take(most).any(|one| last == Some(one.department.id.as_str()))
            };
            redispatched.iter().zip(decisions).filter(among).count()
        };
        let (before, excluded, next) = (routed(&without, false)?, routed(&without, true)?, routed(&router, true)?);
        report.rows.push(ReturnsRow {
            input: input.to_owned(),
            orders: redispatched.len(),
            before: right(&before, 1),
            excluded: right(&excluded, 1),
            next: right(&next, 1),
            next_top3: right(&next, 3),
        });
    }
    if let Some(held) = write {
        amend(held, |calibration| calibration.redispatches = counts)?;
    }
    Ok(report)
}

/// Who was asked first and who handled it, if one department was asked and it was another.
pub(crate) fn pair(order: &WorkOrder) -> Option<(&str, &str)> {
    match (&order.instructed[..], &order.department) {
        ([first], Some(last)) if first != last => Some((first, last)),
        _ => None,
    }
}

/// Who took over from whom: orders that one department was asked to handle and another did.
pub fn redispatches<'a>(orders: impl IntoIterator<Item = &'a WorkOrder>) -> Redispatches {
    let mut counts = Redispatches::default();
    for (first, last) in orders.into_iter().filter(|order| order.rerouted == Some(true)).filter_map(pair) {
        counts.add(first, last);
    }
    counts
}

fn objection(department: &str) -> Objection {
    // No day is asked of it here: without a catalogue there are no units.
    let (department, day) = (department.to_owned(), Day::default());
    Objection { department, other_names: Vec::new(), unit: None, reason: ReturnReason::DutiesOverlap, day }
}

/// The appeal as it was, or its text alone.
fn appeal(order: &WorkOrder, categories: bool) -> Result<Appeal> {
    let fields = order.appeal.fields().clone();
    let fields = if categories { fields } else { AppealFields { category: Vec::new(), appeal_type: String::new(), ..fields } };
    Ok(Appeal::parse(fields)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(line: &str) -> WorkOrder {
        WorkOrder::parse(line.as_bytes()).expect("an order")
    }

    #[test]
    fn only_orders_that_one_department_returned_to_another_are_counted() {
        let orders = [
            order(r#"{"order_id":"1","appeal":"路灯不亮","department":"市政","instructed":["供电"],"rerouted":true}"#),
            order(r#"{"order_id":"2","appeal":"路灯不亮","department":"市政","instructed":["供电"],"rerouted":false}"#),
            order(r#"{"order_id":"3","appeal":"路灯不亮","department":"市政","instructed":["供电","城管"],"rerouted":true}"#),
            order(r#"{"order_id":"4","appeal":"路灯不亮","department":"市政","instructed":["市政"],"rerouted":true}"#),
        ];
        let counts = redispatches(&orders);
        assert_eq!(counts.total(), 1);
        assert_eq!(counts.0["供电"]["市政"], 1);
    }
}
