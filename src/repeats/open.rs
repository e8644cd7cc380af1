//! The open orders, to be searched by place and caller.
//!
//! A repeat must share a place or a caller with its order, so these are the index: an order is compared with the few that share one.
//! Names of places are found by their last characters, since that is where two names of one place agree. Days are kept apart, so
//! that a day is forgotten at once and a copy of the whole shares what does not change.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use super::{CallerMark, Marks};
use crate::catalog::Day;

/// Days back that an order may be repeated.
pub const WINDOW_DAYS: u32 = 30;

/// Most orders that are kept: the largest city's for some days. Beyond, the oldest day is forgotten first.
pub const MAX_OPEN_ORDERS: usize = 500_000;

/// Least likeness of two orders that share one place, that share several, of which one came in more than `SOON` days after the other,
/// and that have the same caller. The first three were chosen for precision on the development half of `training/labels/repeats.tsv`
/// and on all of its sample of what an earlier rule had named. No data has callers: the fourth is a guess on the safe side of the
/// second, to be measured by whoever has them.
const LEAST_LIKENESS: f32 = 0.6;
const LEAST_WITH_PLACES: f32 = 0.35;
const LEAST_LATER: f32 = 0.75;
const LEAST_WITH_CALLER: f32 = 0.35;
/// Days within which a thing that is reported in like words at one place is most likely the same thing.
const SOON: i64 = 3;
/// Least share of what the shorter order says beside places that the other says too: a street has more than one trouble.
const LEAST_TOPIC: f32 = 0.35;
/// Least share of the places of the order that names fewer.
const LEAST_PLACES: f32 = 0.5;

/// An order that is not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOrder {
    /// The hotline's own id of it.
    pub id: String,
    /// The day on which it came in.
    pub day: Day,
    /// What it is recognised by.
    pub marks: Marks,
    /// Who called, if the hotline says.
    pub caller: Option<CallerMark>,
    /// The district that it is about, always by one and the same name; empty if nobody said.
    pub district: String,
    /// When it was first asked for: it repeats none that came after it.
    pub first_seen: DateTime<Utc>,
}

/// The order that another repeats.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    /// Its id.
    pub order_id: String,
    /// How like the two are: from 0 to 1.
    pub similarity: f32,
    /// A place that both name; empty if there is none.
    pub shared_place: String,
    /// Whether the hotline's token says that the same person calls.
    pub same_caller: bool,
}

/// All open orders.
#[derive(Debug, Clone, Default)]
pub struct OpenOrders {
    days: BTreeMap<Day, Arc<OfDay>>,
    known: HashMap<String, Day>,
    /// Orders that were closed, by the day on which that was heard: each may be asked for again, and is no candidate for it.
    closed: BTreeMap<Day, HashSet<String>>,
    /// The latest moment at which an order was first asked for.
    latest: DateTime<Utc>,
}

/// The orders of one day.
#[derive(Debug, Clone, Default)]
struct OfDay {
    orders: BTreeMap<String, Arc<OpenOrder>>,
    by_place: HashMap<String, BTreeSet<String>>,
    by_caller: HashMap<CallerMark, BTreeSet<String>>,
}

impl OpenOrders {
    /// Of stored orders.
    pub fn of(orders: impl IntoIterator<Item = OpenOrder>) -> Self {
        let mut all = Self::default();
        orders.into_iter().for_each(|order| all.insert(order));
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What is known of an order.
    pub fn get(&self, id: &str) -> Option<&OpenOrder> {
        let day = self.known.get(id)?;
        self.days.get(day)?.orders.get(id).map(Arc::as_ref)
    }

    /// The moment for an order that is asked for now, and was not before: after all that are known, whatever the clocks of several
    /// servers say. Otherwise two orders could repeat each other.
    pub fn moment(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now.max(self.latest + Duration::microseconds(1))
    }

    /// Adds an order, in place of one of the same id: it was first asked for when that was. One that was closed stays closed.
    pub fn insert(&mut self, mut order: OpenOrder) {
        if self.closed.values().any(|ids| ids.contains(&order.id)) {
            return;
        }
        if let Some(before) = self.get(&order.id) {
            order.first_seen = order.first_seen.min(before.first_seen);
        }
        self.remove(&order.id);
        self.latest = self.latest.max(order.first_seen);
        self.known.insert(order.id.clone(), order.day);
        Arc::make_mut(self.days.entry(order.day).or_default()).insert(order);
        while self.known.len() > MAX_OPEN_ORDERS {
            let Some((_, oldest)) = self.days.pop_first() else { break };
            self.known.retain(|id, _| !oldest.orders.contains_key(id));
        }
    }

    /// Takes out an order that was closed, of which somebody hears on a day. It does not come back, whoever asks for it.
    pub fn close(&mut self, id: &str, day: Day) {
        self.remove(id);
        if self.closed.values().any(|ids| ids.contains(id)) {
            return;
        }
        // Beyond the limit those of earlier days go; where all are of one day, one that is asked for again is a candidate until the
        // database says better.
        if self.closed.values().map(HashSet::len).sum::<usize>() >= MAX_OPEN_ORDERS {
            if self.closed.len() == 1 {
                return;
            }
            self.closed.pop_first();
        }
        self.closed.entry(day).or_default().insert(id.to_owned());
    }

    /// Takes an order out. Nothing happens if there is none of that id.
    pub fn remove(&mut self, id: &str) {
        let Some(day) = self.known.remove(id) else { return };
        if let Some(orders) = self.days.get_mut(&day) {
            Arc::make_mut(orders).remove(id);
            if orders.orders.is_empty() {
                self.days.remove(&day);
            }
        }
    }

    /// Forgets all orders that came in, or were closed, before a day.
    pub fn forget_before(&mut self, day: Day) {
        while self.closed.first_key_value().is_some_and(|(heard, _)| *heard < day) {
            self.closed.pop_first();
        }
        if self.days.first_key_value().is_none_or(|(first, _)| *first >= day) {
            return;
        }
        self.days = self.days.split_off(&day);
        self.known.retain(|_, of| *of >= day);
    }

    /// The order that another repeats: the likest of those of the days before it, the newest of equals. Never itself: an order of the
    /// same id is passed over. One that is known already repeats only what came before it: what came after it repeats it, and of two
    /// that repeat each other nobody would handle either.
    pub fn find(&self, new: &OpenOrder, window_days: u32) -> Option<Repeat> {
        let first = new.day.checked_sub_days(chrono::Days::new(u64::from(window_days)))?;
        let days = self.days.range(first..=new.day).rev();
        let known = self.get(&new.id);
        let came_before = |order: &&OpenOrder| {
            order.id != new.id && known.is_none_or(|known| (order.first_seen, &order.id) < (known.first_seen, &known.id))
        };
        let mut best: Option<Repeat> = None;
        for order in days.flat_map(|(_, orders)| orders.near(new)).filter(came_before) {
            if let Some(repeat) = compared(new, order)
                && best
                    .as_ref()
                    .is_none_or(|best| (repeat.same_caller, repeat.similarity) > (best.same_caller, best.similarity))
            {
                best = Some(repeat);
            }
        }
        best
    }
}

impl OfDay {
    fn insert(&mut self, order: OpenOrder) {
        for place in order.marks.places() {
            self.by_place.entry(ending(&place.name)).or_default().insert(order.id.clone());
        }
        if let Some(caller) = order.caller {
            self.by_caller.entry(caller).or_default().insert(order.id.clone());
        }
        self.orders.insert(order.id.clone(), Arc::new(order));
    }

    fn remove(&mut self, id: &str) {
        let Some(order) = self.orders.remove(id) else { return };
        for place in order.marks.places() {
            let ending = ending(&place.name);
            if let Some(ids) = self.by_place.get_mut(&ending) {
                ids.remove(id);
                if ids.is_empty() {
                    self.by_place.remove(&ending);
                }
            }
        }
        if let Some(caller) = order.caller
            && let Some(ids) = self.by_caller.get_mut(&caller)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.by_caller.remove(&caller);
            }
        }
    }

    /// The orders that share a place's ending or the caller, each once.
    fn near(&self, new: &OpenOrder) -> Vec<&OpenOrder> {
        let places = new.marks.places().iter().filter_map(|place| self.by_place.get(&ending(&place.name)));
        let callers = new.caller.iter().filter_map(|caller| self.by_caller.get(caller));
        let ids: BTreeSet<&String> = places.chain(callers).flatten().collect();
        ids.into_iter().filter_map(|id| self.orders.get(id).map(Arc::as_ref)).collect()
    }
}

/// The last characters of a name, in which two names of one place agree.
fn ending(name: &str) -> String {
    let start = name.char_indices().rev().nth(2).map_or(0, |(at, _)| at);
    name[start..].to_owned()
}

/// What two orders have in common, if that is enough for a repeat.
fn compared(new: &OpenOrder, order: &OpenOrder) -> Option<Repeat> {
    // The same words in two districts are two things: a road may have a namesake, and the units that handle it differ.
    if !new.district.is_empty() && !order.district.is_empty() && new.district != order.district {
        return None;
    }
    let similarity = new.marks.likeness(&order.marks);
    let same_caller = new.caller.is_some() && new.caller == order.caller;
    if similarity < LEAST_WITH_PLACES.min(LEAST_WITH_CALLER) {
        return None;
    }
    let shared = new.marks.count_shared_places(&order.marks);
    let fewer = new.marks.places().len().min(order.marks.places().len()).max(1);
    let placed = shared as f32 / fewer as f32 >= LEAST_PLACES && !new.marks.next_door(&order.marks);
    let by_places = if shared > 1 { LEAST_WITH_PLACES } else { LEAST_LIKENESS };
    let least = if (new.day - order.day).num_days() > SOON { LEAST_LATER } else { by_places };
    let same_topic = || new.marks.topic_likeness(&order.marks) >= LEAST_TOPIC;
    let enough = (placed && similarity >= least && same_topic()) || (same_caller && similarity >= LEAST_WITH_CALLER);
    enough.then(|| Repeat {
        order_id: order.id.clone(),
        similarity,
        shared_place: new.marks.shared_places(&order.marks).next().map(|place| place.to_string()).unwrap_or_default(),
        same_caller,
    })
}
