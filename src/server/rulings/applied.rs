//! How far the router's book of rulings has come, and which rulings wait to be embedded.
//!
//! Embedding takes its time, so it is done while the book is free for others, and what changed in the meantime must not be put back
//! as it was. Changes come in the order of their numbers, and whoever applies them notes here which rulings they concern. So an
//! embedding of a ruling that was noted since the ruling was read is thrown away: the book has what is newer, or will.

use std::collections::HashSet;

use crate::rulings::Scope;

/// The state of the book; whoever changes the book holds it.
#[derive(Default)]
pub(super) struct Applied {
    /// Number of the last change in the book.
    pub(super) number: i64,
    /// Standing rulings that have no embedding by this model yet. They are few, and until they have one they lead nothing.
    standing: Vec<String>,
    /// Case rulings that have none: after a change of models there may be very many.
    cases: Vec<String>,
    /// Rulings that changed since the last were taken; `None` while nobody embeds.
    changed: Option<HashSet<String>>,
}

impl Applied {
    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.standing.len() + self.cases.len()
    }

    /// How many of them are standing rulings.
    pub(super) fn standing_waiting(&self) -> usize {
        self.standing.len()
    }

    /// True if this one waits.
    pub(super) fn waits(&self, id: &str) -> bool {
        self.all().any(|waiting| waiting == id)
    }

    /// It waits from now on, and is the first of its kind to be taken.
    pub(super) fn wait(&mut self, id: String, scope: Scope) {
        match scope {
            Scope::Standing => self.standing.push(id),
            Scope::Case => self.cases.push(id),
        }
    }

    /// It waits no more: it was embedded out of turn.
    pub(super) fn served(&mut self, id: &str) {
        self.keep(|waiting| waiting != id);
    }

    /// A change of it is about to be applied.
    pub(super) fn note(&mut self, id: &str) {
        if let Some(changed) = &mut self.changed {
            changed.insert(id.to_owned());
        }
    }

    /// The next to be embedded, at most so many: standing rulings first, and the latest of either kind. They go on waiting until
    /// [`Self::finish`]: an embedding may fail.
    pub(super) fn take(&mut self, most: usize) -> Vec<String> {
        let mut seen = HashSet::new();
        let taken: Vec<String> = self.all().filter(|id| seen.insert(*id)).take(most).cloned().collect();
        self.changed = (!taken.is_empty()).then(HashSet::new);
        taken
    }

    /// Of those that were embedded the ones that did not change since they were taken.
    pub(super) fn unchanged<'a>(&self, embedded: impl Iterator<Item = &'a str>) -> HashSet<String> {
        let changed = |id: &str| self.changed.as_ref().is_none_or(|changed| changed.contains(id));
        embedded.filter(|id| !changed(id)).map(str::to_owned).collect()
    }

    /// These are in the book, and wait no more.
    pub(super) fn finish(&mut self, embedded: &HashSet<String>) {
        self.changed = None;
        self.keep(|waiting| !embedded.contains(waiting));
    }

    /// In the order in which they are taken.
    fn all(&self) -> impl Iterator<Item = &String> {
        self.standing.iter().rev().chain(self.cases.iter().rev())
    }

    fn keep(&mut self, waits: impl Fn(&str) -> bool) {
        self.standing.retain(|id| waits(id));
        self.cases.retain(|id| waits(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(ids: &[&str]) -> Applied {
        let mut applied = Applied::default();
        ids.iter().for_each(|id| applied.wait((*id).to_owned(), Scope::Case));
        applied
    }

    /// Embeds these, and says which came into the book.
    fn embed(applied: &mut Applied, ids: &[&str]) -> Vec<String> {
        let unchanged = applied.unchanged(ids.iter().copied());
        applied.finish(&unchanged);
        let mut unchanged: Vec<String> = unchanged.into_iter().collect();
        unchanged.sort();
        unchanged
    }

    #[test]
    fn what_changed_while_it_was_embedded_is_not_put_back_and_waits_on() {
        let mut applied = waiting(&["a", "b", "c"]);
        assert_eq!(applied.take(2), ["c", "b"]);
        applied.note("c");
        assert_eq!(embed(&mut applied, &["c", "b"]), ["b"]);
        assert!(applied.waits("a") && applied.waits("c") && !applied.waits("b"));
        assert_eq!(applied.take(2), ["c", "a"]);
        assert_eq!(embed(&mut applied, &["c", "a"]), ["a", "c"], "what was noted before they were taken is in them");
        assert_eq!(applied.waiting(), 0);
    }

    #[test]
    fn what_is_not_finished_is_taken_again() {
        let mut applied = waiting(&["a", "b"]);
        assert_eq!(applied.take(2), ["b", "a"]);
        // No room for the texts of the other.
        assert_eq!(embed(&mut applied, &["b"]), ["b"]);
        // The model failed once.
        assert_eq!(applied.take(2), ["a"]);
        assert_eq!(applied.take(2), ["a"]);
        assert_eq!(embed(&mut applied, &["a"]), ["a"]);
        assert!(applied.take(2).is_empty());
    }

    #[test]
    fn one_that_waits_twice_is_taken_once_and_one_that_was_served_not_at_all() {
        let mut applied = waiting(&["a", "b", "a", "c"]);
        applied.served("c");
        assert_eq!(applied.take(9), ["a", "b"]);
        assert_eq!(embed(&mut applied, &["a"]), ["a"]);
        assert_eq!(applied.waiting(), 1);
    }

    #[test]
    fn standing_rulings_go_before_all_cases_however_late_these_came() {
        let mut applied = waiting(&["a"]);
        applied.wait("s".to_owned(), Scope::Standing);
        applied.wait("b".to_owned(), Scope::Case);
        assert_eq!((applied.waiting(), applied.standing_waiting()), (3, 1));
        assert_eq!(applied.take(2), ["s", "b"]);
        assert_eq!(embed(&mut applied, &["s"]), ["s"]);
        assert_eq!((applied.waiting(), applied.standing_waiting()), (2, 0));
    }
}
