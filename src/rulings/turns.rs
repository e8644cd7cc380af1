//! In which order the rulings of a file are recorded: a row may supersede one that stands further down.

use std::collections::{HashMap, VecDeque};

use super::Ruling;

/// Each with its place; a ruling whose predecessor is among them comes after it. Those that name each other in a circle come last.
pub fn predecessors_first(rulings: Vec<Ruling>) -> Vec<(usize, Ruling)> {
    // How many rows of an id are still to come, and who waits for the last of them.
    let mut to_come: HashMap<String, usize> = HashMap::new();
    rulings.iter().for_each(|ruling| *to_come.entry(ruling.id.clone()).or_default() += 1);
    let mut held: HashMap<String, Vec<(usize, Ruling)>> = HashMap::new();
    let mut ordered: Vec<(usize, Ruling)> = Vec::with_capacity(rulings.len());
    for row in rulings.into_iter().enumerate() {
        let mut free = VecDeque::from([row]);
        while let Some((place, ruling)) = free.pop_front() {
            let former = ruling.supersedes.as_ref().filter(|former| to_come.get(*former).is_some_and(|count| *count > 0));
            if let Some(former) = former.cloned() {
                held.entry(former).or_default().push((place, ruling));
                continue;
            }
            if let Some(count) = to_come.get_mut(&ruling.id) {
                *count -= 1;
                if *count == 0 {
                    free.extend(held.remove(&ruling.id).into_iter().flatten());
                }
            }
            ordered.push((place, ruling));
        }
    }
    let mut circles: Vec<(usize, Ruling)> = held.into_values().flatten().collect();
    circles.sort_by_key(|(place, _)| *place);
    ordered.extend(circles);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulings::RulingDraft;

    fn order(rulings: &[(&str, &str)]) -> Vec<usize> {
        let ruling = |(id, supersedes): &(&str, &str)| {
            let draft = RulingDraft {
                id: (*id).to_owned(),
                supersedes: (*supersedes).to_owned(),
                scope: "case".to_owned(),
                matter: "路灯".to_owned(),
                lead: "城管".to_owned(),
                body: "committee".to_owned(),
                decided_on: "2026-03-01".to_owned(),
                ..RulingDraft::default()
            };
            draft.parse(None).expect("a ruling")
        };
        predecessors_first(rulings.iter().map(ruling).collect()).into_iter().map(|(place, _)| place).collect()
    }

    #[test]
    fn whoever_supersedes_another_row_comes_after_it_and_all_others_stay_in_their_order() {
        assert_eq!(order(&[("c", "b"), ("x", ""), ("b", "a"), ("a", ""), ("y", "elsewhere")]), [1, 3, 2, 0, 4]);
        assert_eq!(order(&[("a", "b"), ("b", "a"), ("x", "")]), [2, 0, 1], "a circle is not waited for");
        assert_eq!(order(&[("a", ""), ("b", "a"), ("a", "")]), [0, 2, 1], "after every row of its predecessor");
        assert!(order(&[]).is_empty());
    }
}
