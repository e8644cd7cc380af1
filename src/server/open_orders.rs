//! The open orders that the server knows, and what a new appeal repeats among them.
//!
//! An appeal is looked up while the model is at work on it, so that it costs no caller any time. It becomes an open order itself
//! once it was answered, if it has a number. Where there is a database, orders of before a restart and of other servers come from it
//! ([`OpenOrderDesk::follow`]), and closed ones go.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::in_step::Turns;
use super::proto;
use super::text_threads::{Panicked, TextThreads};
use crate::catalog::Day;
use crate::disputes::OrderRecord;
use crate::repeats::{CallerMark, Marks, OpenOrder, OpenOrders, Repeat};
use crate::routing::{day_in_the_city, day_of};
use crate::store::{ChangedOrders, Store, StoreError};

/// How soon a server hears of orders that others took, and of those that were closed.
const FOLLOW: Duration = Duration::from_secs(1);
/// Orders that are read at once.
const AT_ONCE: usize = 500;
/// How long an order that never came back is remembered, in days: longer than anybody may take to handle and to return it.
const KEPT_DAYS: i64 = 90;
/// How often that is looked at.
const FORGET: Duration = Duration::from_secs(3_600);

/// The open orders, shared by all calls.
#[derive(Debug, Clone)]
pub(super) struct OpenOrderDesk {
    orders: Arc<RwLock<OpenOrders>>,
    /// Days back; 0 switches all of it off.
    window_days: u32,
}

/// What is asked of an appeal before anything is known of it.
pub(super) struct Sought {
    pub id: String,
    pub text: String,
    /// RFC 3339, or nothing: today.
    pub received_at: String,
    pub caller: Option<CallerMark>,
}

/// An appeal as an order, and what it repeats.
#[derive(Debug)]
pub(super) struct Found {
    order: OpenOrder,
    repeat: Option<Repeat>,
}

impl OpenOrderDesk {
    /// Without any yet.
    pub(super) fn new(window_days: u32) -> Self {
        Self { orders: Arc::default(), window_days }
    }

    /// Looks for the order that an appeal repeats. One that cannot be compared repeats nothing: the answer goes out all the same.
    pub(super) async fn seek(&self, sought: Sought, texts: &TextThreads) -> Option<Found> {
        if self.window_days == 0 {
            return None;
        }
        let desk = self.clone();
        let found = texts.run(sought.text.len(), move || desk.compare(sought)).await;
        found.unwrap_or_else(|Panicked| {
            tracing::error!("comparing an appeal with the open orders panicked");
            None
        })
    }

    fn compare(&self, Sought { id, text, received_at, caller }: Sought) -> Option<Found> {
        let today = today()?;
        // A day that is still to come would never be forgotten.
        let day = day_of(&received_at).map_or(today, |day| day.min(today));
        let order = OpenOrder { id, day, marks: Marks::of(&text), caller };
        let orders = self.orders.read().unwrap_or_else(PoisonError::into_inner);
        let repeat = orders.find(&order, self.window_days);
        Some(Found { order, repeat })
    }

    /// Says in the answer what the appeal repeats, and keeps the appeal as an open order if it has a number. Days out of the window
    /// are forgotten on the way.
    pub(super) fn answered(&self, found: Option<Found>, response: &mut proto::RouteAppealResponse) {
        let Some(Found { order, repeat }) = found else { return };
        response.repeated_order = repeat.map(|repeat| proto::RepeatedOrder {
            order_id: repeat.order_id,
            similarity: repeat.similarity,
            shared_place: repeat.shared_place,
            same_caller: repeat.same_caller,
        });
        if order.id.is_empty() {
            return;
        }
        let first = today().and_then(|day| day.checked_sub_days(chrono::Days::new(self.window_days.into())));
        let mut orders = self.orders.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = first {
            orders.forget_before(first);
        }
        orders.insert(order);
    }
}

impl OpenOrderDesk {
    /// Keeps in step with the orders of the database until the server drains, and lets the database forget old ones.
    pub(super) async fn follow(self, store: Store, draining: watch::Receiver<bool>) {
        let trouble = "the open orders cannot be read; repeats are found among those known";
        let (mut number, mut forgotten) = (0, None::<Instant>);
        let mut turns = Turns::new(FOLLOW, draining, trouble);
        while turns.next().await {
            let mut outcome = self.catch_up(&store, &mut number).await;
            if outcome.is_ok() && forgotten.is_none_or(|last| last.elapsed() >= FORGET) {
                outcome = forget(&store).await;
                forgotten = Some(Instant::now());
            }
            turns.ended(outcome);
        }
    }

    async fn catch_up(&self, store: &Store, number: &mut i64) -> Result<(), StoreError> {
        let since = today().and_then(|day| day.checked_sub_days(chrono::Days::new(self.window_days.into())));
        let Some(since) = since.filter(|_| self.window_days > 0) else { return Ok(()) };
        loop {
            let ChangedOrders { orders: changed, end } = store.orders_after(*number, since, AT_ONCE).await?;
            let Some(end) = end else { return Ok(()) };
            *number = end;
            let desk = self.clone();
            // Reading the places out of a text takes its time.
            let applied = tokio::task::spawn_blocking(move || desk.apply(changed)).await;
            if applied.is_err() {
                tracing::error!("reading open orders panicked");
            }
        }
    }

    fn apply(&self, changed: Vec<OrderRecord>) {
        let today = today();
        let open = |OrderRecord { fields, caller, closed }| {
            // A day that is still to come would never be forgotten.
            let day =
                if closed { None } else { day_of(&fields.received_at).map(|day| today.map_or(day, |today| day.min(today))) };
            (fields.id, day.map(|day| (day, Marks::of(&fields.text), caller)))
        };
        // Made before the lock is taken: callers wait for it.
        let made: Vec<_> = changed.into_iter().map(open).collect();
        let mut orders = self.orders.write().unwrap_or_else(PoisonError::into_inner);
        for (id, order) in made {
            match order {
                Some((day, marks, caller)) => orders.insert(OpenOrder { id, day, marks, caller }),
                None => orders.remove(&id),
            }
        }
    }
}

async fn forget(store: &Store) -> Result<(), StoreError> {
    let gone = store.forget_orders(chrono::Utc::now() - chrono::Duration::days(KEPT_DAYS)).await?;
    if gone > 0 {
        tracing::info!(gone, "orders that never came back were forgotten");
    }
    Ok(())
}

fn today() -> Option<Day> {
    day_in_the_city(chrono::Utc::now())
}
