//! Which ruling decided an order by name: every ruling in force lists the orders that it was made on, and for those it needs no
//! likeness.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::Ruling;

/// The rulings in force by the orders that they name. Cheap to copy while nothing changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Decided {
    /// By the digest of an order's number: a hundred thousand numbers would be copied whenever a ruling is recorded.
    orders: Arc<Vec<(u64, Arc<Ruling>)>>,
}

impl Decided {
    /// The same without the rulings of these ids.
    pub fn without(&self, ids: &BTreeSet<&str>) -> Self {
        let gone = |(_, ruling): &(u64, Arc<Ruling>)| ids.contains(ruling.id.as_str());
        if !self.orders.iter().any(gone) {
            return self.clone();
        }
        Self { orders: Arc::new(self.orders.iter().filter(|one| !gone(one)).cloned().collect()) }
    }

    /// The same with these as well.
    pub fn with<'a>(&self, rulings: impl Iterator<Item = &'a Arc<Ruling>>) -> Self {
        let named = rulings.flat_map(|ruling| ruling.orders.iter().map(|order| (digest(order), Arc::clone(ruling))));
        let mut fresh = named.peekable();
        if fresh.peek().is_none() {
            return self.clone();
        }
        let mut orders: Vec<_> = self.orders.iter().cloned().chain(fresh).collect();
        orders.sort_by_key(|(digest, _)| *digest);
        Self { orders: Arc::new(orders) }
    }

    /// The ruling on an order; of several the one that takes precedence.
    pub fn on(&self, order: &str) -> Option<&Arc<Ruling>> {
        let wanted = digest(order);
        let first = self.orders.partition_point(|(digest, _)| *digest < wanted);
        let same = self.orders[first..].iter().take_while(|(digest, _)| *digest == wanted).map(|(_, ruling)| ruling);
        same.filter(|ruling| ruling.orders.iter().any(|one| one == order)).max_by(|a, b| a.precedence().cmp(&b.precedence()))
    }
}

fn digest(order: &str) -> u64 {
    // With keys that never change, unlike a map's.
    let mut hasher = DefaultHasher::new();
    order.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulings::RulingDraft;

    fn ruling(id: &str, body: &str, orders: &[&str]) -> Arc<Ruling> {
        let draft = RulingDraft {
            id: id.into(),
            scope: "case".into(),
            matter: "占道经营".into(),
            lead: "城管".into(),
            body: body.into(),
            decided_on: "2026-03-01".into(),
            orders: orders.iter().map(|order| (*order).to_owned()).collect(),
            ..RulingDraft::default()
        };
        Arc::new(draft.parse(None).expect("a ruling"))
    }

    fn on<'a>(decided: &'a Decided, order: &str) -> Option<&'a str> {
        decided.on(order).map(|ruling| ruling.id.as_str())
    }

    #[test]
    fn an_order_is_decided_by_the_ruling_that_names_it_of_several_by_the_higher_bodys() {
        let [a, b, c] = [("a", "joint_meeting", &["1", "2"][..]), ("b", "committee", &["2"]), ("c", "committee", &[])]
            .map(|(id, body, orders)| ruling(id, body, orders));
        let decided = Decided::default().with([&a, &b, &c].into_iter());
        assert_eq!((on(&decided, "1"), on(&decided, "2"), on(&decided, "3")), (Some("a"), Some("b"), None));
        let without = decided.without(&BTreeSet::from(["b"]));
        assert_eq!((on(&without, "2"), on(&without.without(&BTreeSet::from(["a"])), "2")), (Some("a"), None));
    }
}
