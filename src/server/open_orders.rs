//! The open orders that the server knows, and what a new appeal repeats among them.
//!
//! An appeal is looked up while the model is at work on it, on a blocking thread, so that it costs no caller any time. It becomes an
//! open order itself once it was answered, if it has a number. Whoever keeps orders beyond a restart puts them in with
//! [`Server::with_open_orders`](super::Server::with_open_orders).

use std::sync::{Arc, PoisonError, RwLock};

use super::proto;
use crate::catalog::Day;
use crate::repeats::{CallerMark, Marks, OpenOrder, OpenOrders, Repeat};
use crate::routing::{day_in_the_city, day_of};

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
    /// With the orders that are there already.
    pub(super) fn new(orders: OpenOrders, window_days: u32) -> Self {
        Self { orders: Arc::new(RwLock::new(orders)), window_days }
    }

    /// Looks for the order that an appeal repeats. One that cannot be compared repeats nothing: the answer goes out all the same.
    pub(super) async fn seek(&self, sought: Sought) -> Option<Found> {
        if self.window_days == 0 {
            return None;
        }
        let desk = self.clone();
        let found = tokio::task::spawn_blocking(move || desk.compare(sought)).await;
        found.unwrap_or_else(|_| {
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

fn today() -> Option<Day> {
    day_in_the_city(chrono::Utc::now())
}
