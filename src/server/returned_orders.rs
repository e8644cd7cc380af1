//! The orders that came back, and who objected: whoever opens such an order again is not told to send it where it has been. Kept in
//! memory, since no answer waits for the database; what other servers were told comes from there within a second or two.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::in_step::Turns;
use crate::disputes::{Course, Objected};
use crate::routing::{Objection, day_in_the_city};
use crate::rulings::RulingId;
use crate::store::{Store, StoreError};

/// How soon a server hears of returns that were reported to another.
const FOLLOW: Duration = Duration::from_secs(1);
/// Returns that are looked at again each time: clocks of servers differ, and a transaction takes its time.
const AGAIN: chrono::Duration = chrono::Duration::minutes(1);
/// Days back that are read at the start: an order is not on its way for longer.
const DAYS: i64 = 90;
/// Most orders that are kept. Once they are that many, those of more days ago go; beyond, those that come are not known here.
const MOST: usize = 200_000;

/// What is known of an order that came back.
#[derive(Debug, Clone, Default)]
pub(super) struct Returned {
    /// By the time at which they were made.
    pub objections: Vec<Objection>,
    /// The ruling that settled them. Whether it counts is asked when the order is routed: rulings and returns are followed apart.
    pub settled_by: Option<RulingId>,
    /// The district that it was found to belong to.
    pub district: Option<String>,
}

/// The orders, shared by all calls.
#[derive(Debug, Clone, Default)]
pub(super) struct ReturnedOrders(Arc<RwLock<HashMap<String, Returned>>>);

impl ReturnedOrders {
    /// What is known of an order; nothing if it never came back.
    pub(super) fn of(&self, order_id: &str) -> Returned {
        let orders = self.0.read().unwrap_or_else(PoisonError::into_inner);
        orders.get(order_id).cloned().unwrap_or_default()
    }

    /// An order as it now is.
    pub(super) fn learn(&self, course: &Course) {
        self.know([Objected::of(course)]);
    }

    fn know(&self, objected: impl IntoIterator<Item = Objected>) {
        let mut orders = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if orders.len() >= MOST {
            forget_old(&mut orders);
        }
        for Objected { order_id, objections, settled_by, district } in objected {
            if objections.is_empty() {
                orders.remove(&order_id);
            } else if orders.len() < MOST || orders.contains_key(&order_id) {
                orders.insert(order_id, Returned { objections, settled_by, district });
            }
        }
    }

    /// Keeps in step with the database until the server drains.
    pub(super) async fn follow(self, store: Store, draining: watch::Receiver<bool>) {
        let mut since = Utc::now() - chrono::Duration::days(DAYS);
        let mut turns = Turns::new(FOLLOW, draining, "the returned orders cannot be read; those known are heeded");
        while turns.next().await {
            let now = Utc::now();
            let outcome = self.catch_up(&store, since).await;
            if outcome.is_ok() {
                since = now - AGAIN;
            }
            turns.ended(outcome);
        }
    }

    async fn catch_up(&self, store: &Store, since: DateTime<Utc>) -> Result<(), StoreError> {
        self.know(store.objected_since(since).await?);
        Ok(())
    }
}

/// Lets go of orders that nobody objected to for so long that they are not on their way any more.
fn forget_old(orders: &mut HashMap<String, Returned>) {
    let first = day_in_the_city(Utc::now() - chrono::Duration::days(DAYS));
    orders.retain(|_, order| order.objections.iter().map(|one| one.day).max() >= first);
}
