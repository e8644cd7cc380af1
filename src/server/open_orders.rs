//! The open orders that the server knows, and what a new appeal repeats among them.
//!
//! An appeal is looked up while the model is at work on it, so that it costs no caller any time. It becomes an open order itself
//! once it was answered, if it has a number; asked for again it stays what it was where nothing else is said. Where there is a
//! database, orders of before a restart and of other servers come from it ([`OpenOrderDesk::follow`]), and closed ones go: at once on
//! the server that closes them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::in_step::Turns;
use super::text_threads::{Panicked, TextThreads};
use super::{Route, proto};
use crate::catalog::Day;
use crate::disputes::OrderRecord;
use crate::repeats::{CallerMark, Marks, OpenOrder, OpenOrders, Repeat};
use crate::routing::{day_in_the_city, day_of};
use crate::store::{ChangedOrders, Store, StoreError};

/// How soon a server hears of orders that others took, and of those that were closed.
const FOLLOW: Duration = Duration::from_secs(1);
/// Orders that are read at once.
const AT_ONCE: usize = 500;
/// How far the clocks of servers may be apart.
const CLOCKS_DIFFER: chrono::Duration = chrono::Duration::minutes(1);
/// How long an order that never came back is remembered, in days: longer than anybody may take to handle and to return it.
const KEPT_DAYS: i64 = 90;
/// How often that is looked at.
const FORGET: Duration = Duration::from_secs(3_600);

/// The open orders, shared by all calls.
#[derive(Clone)]
pub(super) struct OpenOrderDesk {
    orders: Arc<RwLock<OpenOrders>>,
    /// Its catalogue knows the districts by all their names.
    router: Arc<dyn Route>,
    /// Days back; 0 switches all of it off.
    window_days: u32,
}

/// What is asked of an appeal before anything is known of it.
pub(super) struct Sought {
    pub id: String,
    pub text: String,
    /// RFC 3339, or nothing: today.
    pub received_at: String,
    pub district: String,
    pub caller: Option<CallerMark>,
}

/// An appeal as an order, and what it repeats.
#[derive(Debug)]
pub(super) struct Found {
    order: OpenOrder,
    repeat: Option<Repeat>,
}

impl Found {
    /// When the order was first asked for.
    pub(super) fn first_seen(&self) -> DateTime<Utc> {
        self.order.first_seen
    }
}

impl OpenOrderDesk {
    /// Without any yet.
    pub(super) fn new(window_days: u32, router: Arc<dyn Route>) -> Self {
        Self { orders: Arc::default(), router, window_days }
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

    fn compare(&self, Sought { id, text, received_at, district, caller }: Sought) -> Option<Found> {
        let today = today()?;
        let (marks, district) = (Marks::of(&text), self.district(&district));
        let orders = self.orders.read().unwrap_or_else(PoisonError::into_inner);
        let known = orders.get(&id);
        // A day that is still to come would never be forgotten.
        let day = day_of(&received_at).or(known.map(|known| known.day)).map_or(today, |day| day.min(today));
        let before = || known.map(|known| known.district.clone()).unwrap_or_default();
        let order = OpenOrder {
            day,
            marks,
            caller: caller.or_else(|| known.and_then(|known| known.caller)),
            district: if district.is_empty() { before() } else { district },
            first_seen: known.map_or_else(|| orders.moment(Utc::now()), |known| known.first_seen),
            id,
        };
        let repeat = orders.find(&order, self.window_days);
        Some(Found { order, repeat })
    }

    /// A district by the catalogue's name of it. What the catalogue knows as none, such as the whole city, tells no two orders apart.
    fn district(&self, given: &str) -> String {
        match self.router.catalog() {
            None => given.trim().to_owned(),
            Some(catalog) => catalog.district(given.trim()).map(|known| known.name.clone()).unwrap_or_default(),
        }
    }

    /// Takes out an order that was closed just now.
    pub(super) fn close(&self, order_id: &str) {
        let Some(today) = today().filter(|_| self.window_days > 0) else { return };
        self.orders.write().unwrap_or_else(PoisonError::into_inner).close(order_id, today);
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
        let started = Utc::now() - CLOCKS_DIFFER;
        let (mut number, mut forgotten) = (0, None::<Instant>);
        let mut turns = Turns::new(FOLLOW, draining, trouble);
        while turns.next().await {
            let mut outcome = self.catch_up(&store, started, &mut number).await;
            if outcome.is_ok() && forgotten.is_none_or(|last| last.elapsed() >= FORGET) {
                outcome = forget(&store).await;
                forgotten = Some(Instant::now());
            }
            turns.ended(outcome);
        }
    }

    async fn catch_up(&self, store: &Store, started: DateTime<Utc>, number: &mut i64) -> Result<(), StoreError> {
        let since = today().and_then(|day| day.checked_sub_days(chrono::Days::new(self.window_days.into())));
        let Some(since) = since.filter(|_| self.window_days > 0) else { return Ok(()) };
        loop {
            // What was closed while this server runs goes, whenever it was received.
            let ChangedOrders { orders: changed, end } = store.orders_after(*number, since, started, AT_ONCE).await?;
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
        let Some(today) = today() else { return };
        let open = |OrderRecord { fields, caller, closed, first_seen }| {
            // A day that is still to come would never be forgotten.
            let day = day_of(&fields.received_at).filter(|_| !closed).map(|day| day.min(today));
            let order = day.map(|day| OpenOrder {
                id: fields.id.clone(),
                day,
                marks: Marks::of(&fields.text),
                caller,
                district: self.district(&fields.district),
                first_seen,
            });
            (fields.id, closed, order)
        };
        // Made before the lock is taken: callers wait for it.
        let made: Vec<_> = changed.into_iter().map(open).collect();
        let mut orders = self.orders.write().unwrap_or_else(PoisonError::into_inner);
        for (id, closed, order) in made {
            match order {
                _ if closed => orders.close(&id, today),
                Some(order) => orders.insert(order),
                None => orders.remove(&id),
            }
        }
    }
}

async fn forget(store: &Store) -> Result<(), StoreError> {
    let gone = store.forget_orders(Utc::now() - chrono::Duration::days(KEPT_DAYS)).await?;
    if gone > 0 {
        tracing::info!(gone, "orders that never came back were forgotten");
    }
    Ok(())
}

fn today() -> Option<Day> {
    day_in_the_city(Utc::now())
}
