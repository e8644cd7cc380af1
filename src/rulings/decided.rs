//! Which rulings name an order: every ruling in force lists the orders that it was made on, and for those it needs no likeness.

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

    /// The rulings that name an order.
    pub fn naming(&self, order: &str) -> impl Iterator<Item = &Arc<Ruling>> {
        let wanted = digest(order);
        let first = self.orders.partition_point(|(digest, _)| *digest < wanted);
        let same = self.orders[first..].iter().take_while(move |(digest, _)| *digest == wanted).map(|(_, ruling)| ruling);
        same.filter(move |ruling| ruling.orders.iter().any(|one| one == order))
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

    fn ruling(id: &str, orders: &[&str]) -> Arc<Ruling> {
        let draft = RulingDraft {
            id: id.into(),
            scope: "case".into(),
            matter: "占道经营".into(),
            lead: "城管".into(),
            body: "committee".into(),
            decided_on: "2026-03-01".into(),
            orders: orders.iter().map(|order| (*order).to_owned()).collect(),
            ..RulingDraft::default()
        };
        Arc::new(draft.parse(None).expect("a ruling"))
    }

    fn naming<'a>(decided: &'a Decided, order: &str) -> Vec<&'a str> {
        let mut ids: Vec<&str> = decided.naming(order).map(|ruling| ruling.id.as_str()).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn an_order_is_found_in_every_ruling_that_names_it_and_no_longer_in_one_that_is_gone() {
        let [a, b, c] = [("a", &["1", "2"][..]), ("b", &["2"]), ("c", &[])].map(|(id, orders)| ruling(id, orders));
        let decided = Decided::default().with([&a, &b, &c].into_iter());
        assert_eq!((naming(&decided, "1"), naming(&decided, "2"), naming(&decided, "3")), (vec!["a"], vec!["a", "b"], vec![]));
        assert_eq!(naming(&decided.without(&BTreeSet::from(["b"])), "2"), ["a"]);
    }
}
