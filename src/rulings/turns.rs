//! In which order the rulings of a file are recorded: a row may supersede one that stands further down.

use std::collections::HashMap;

use super::Ruling;

/// Each with its place; a ruling whose predecessor is among them comes after it. Those that name each other in a circle come last.
pub fn predecessors_first(rulings: Vec<Ruling>) -> Vec<(usize, Ruling)> {
    let mut waiting: HashMap<String, usize> = HashMap::new();
    rulings.iter().for_each(|ruling| *waiting.entry(ruling.id.clone()).or_default() += 1);
    let (mut ordered, mut rest): (Vec<(usize, Ruling)>, Vec<_>) = (Vec::new(), rulings.into_iter().enumerate().collect());
    loop {
        let before = rest.len();
        for (place, ruling) in std::mem::take(&mut rest) {
            let waits = ruling.supersedes.as_ref().is_some_and(|former| waiting.get(former).is_some_and(|count| *count > 0));
            if waits {
                rest.push((place, ruling));
                continue;
            }
            if let Some(count) = waiting.get_mut(&ruling.id) {
                *count -= 1;
            }
            ordered.push((place, ruling));
        }
        if rest.len() == before || rest.is_empty() {
            ordered.append(&mut rest);
            return ordered;
        }
    }
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
        assert_eq!(order(&[("c", "b"), ("x", ""), ("b", "a"), ("a", ""), ("y", "elsewhere")]), [1, 3, 4, 2, 0]);
        assert_eq!(order(&[("a", "b"), ("b", "a"), ("x", "")]), [2, 0, 1], "a circle is not waited for");
        assert_eq!(order(&[("a", ""), ("b", "a"), ("a", "")]), [0, 2, 1], "after every row of its predecessor");
        assert!(order(&[]).is_empty());
    }
}
