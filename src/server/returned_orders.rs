//! The orders that came back, and who objected: whoever opens such an order again is not told to send it where it has been. Kept in
//! memory, since no answer waits for the database; what other servers were told comes from there within a second or two.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::disputes::Course;
use crate::routing::Objection;
use crate::store::{Store, StoreError};

/// How soon a server hears of returns that were reported to another.
const FOLLOW: Duration = Duration::from_secs(1);
/// Returns that are looked at again each time: clocks of servers differ, and a transaction takes its time.
const AGAIN: chrono::Duration = chrono::Duration::minutes(1);
/// Days back that are read at the start: an order is not on its way for longer.
const DAYS: i64 = 90;
/// Most orders that are kept; beyond, those that come are not known here until an order is reported again.
const MOST: usize = 200_000;

/// The orders, shared by all calls.
#[derive(Debug, Clone, Default)]
pub(super) struct ReturnedOrders(Arc<RwLock<HashMap<String, Vec<Objection>>>>);

impl ReturnedOrders {
    /// What was objected to an order, by the time at which it was; nothing if it never came back, or a ruling has settled it.
    pub(super) fn objections(&self, order_id: &str) -> Vec<Objection> {
        let orders = self.0.read().unwrap_or_else(PoisonError::into_inner);
        orders.get(order_id).cloned().unwrap_or_default()
    }

    /// An order as it now is.
    pub(super) fn learn(&self, course: &Course) {
        let objections = if course.settlement.is_some() { Vec::new() } else { course.objections() };
        let mut orders = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if objections.is_empty() {
            orders.remove(course.order_id());
        } else if orders.len() < MOST || orders.contains_key(course.order_id()) {
            orders.insert(course.order_id().to_owned(), objections);
        }
    }

    /// Keeps in step with the database until the server drains. One that does not answer is told once, and asked again.
    pub(super) async fn follow(self, store: Store, mut draining: watch::Receiver<bool>) {
        let (mut since, mut told) = (Utc::now() - chrono::Duration::days(DAYS), false);
        let mut every = tokio::time::interval(FOLLOW);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = draining.wait_for(|draining| *draining) => return,
                _ = every.tick() => {}
            }
            let now = Utc::now();
            match self.catch_up(&store, since).await {
                Ok(()) => (since, told) = (now - AGAIN, false),
                Err(error) if !told => {
                    tracing::error!(%error, "the returned orders cannot be read; those known are heeded");
                    told = true;
                }
                Err(_) => {}
            }
        }
    }

    async fn catch_up(&self, store: &Store, since: DateTime<Utc>) -> Result<(), StoreError> {
        for order_id in store.orders_returned_or_settled_since(since).await? {
            if let Some(course) = store.course(&order_id).await? {
                self.learn(&course);
            }
        }
        Ok(())
    }
}
