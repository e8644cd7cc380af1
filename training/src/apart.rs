//! That validation orders are apart from the training orders, and whether they are later.
//!
//! An order that was learnt from flatters whoever is judged by it: the epoch, the temperatures and the review thresholds would all
//! be chosen on answers that the model knows by heart.

use std::collections::HashSet;

use anyhow::{Result, bail, ensure};
use paidan::catalog::Day;
use paidan::evaluation::WorkOrder;

use crate::dataset::Orders;

/// When the validation orders came in, beside the training orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Each on the last training day or after it.
    Later,
    /// Some before the last training day.
    Mixed,
    /// Not every order has its day.
    Unknown,
}

/// Refuses validation orders that say nothing, or that were learnt from; says it if some are earlier than what was learnt from.
pub fn ensure_apart(training: &Orders, validation: &Orders) -> Result<()> {
    let (learnt, judged) = (training.path.display(), validation.path.display());
    ensure!(
        training.sha256 != validation.sha256,
        "{judged}: the same file as {learnt}; validation needs orders that are not learnt from, best the latest ones"
    );
    let departments: HashSet<Option<&str>> = training.orders.iter().map(|order| order.department.as_deref()).collect();
    ensure!(
        validation.orders.iter().any(|order| departments.contains(&order.department.as_deref())),
        "{judged}: none of its {} good rows has a department of {learnt}, so nothing can be measured; name labelled orders",
        validation.orders.len()
    );
    let ids: HashSet<&str> = training.orders.iter().map(|order| order.order_id.as_str()).collect();
    let both: Vec<&str> = validation.orders.iter().map(|order| order.order_id.as_str()).filter(|id| ids.contains(id)).collect();
    if let [first, ..] = both[..] {
        bail!(
            "{judged}: {} of its {} orders are in {learnt} too, the first is {first}; leave them out of one of the two files",
            both.len(),
            validation.orders.len()
        );
    }
    if let Some((first, last)) = bounds(training, validation).filter(|(first, last)| first < last) {
        crate::say(&format!(
            "{judged}: its first order came in on {first}, before the last training order ({last}): a model is asked about days to \
             come, and judged on days that it knows it looks better than it is"
        ));
    }
    Ok(())
}

/// When the validation orders came in. Only what is known of every order is called later.
pub fn when(training: &Orders, validation: &Orders) -> When {
    let has_day = |order: &WorkOrder| order.received_on.is_some();
    match bounds(training, validation) {
        Some((first, last)) if first < last => When::Mixed,
        Some(_) if training.orders.iter().chain(&validation.orders).all(has_day) => When::Later,
        _ => When::Unknown,
    }
}

/// The first day of validation and the last of training, as far as days are known.
fn bounds(training: &Orders, validation: &Orders) -> Option<(Day, Day)> {
    let days = |orders: &'_ Orders| orders.orders.iter().filter_map(|order| order.received_on).collect::<Vec<Day>>();
    Some((days(validation).into_iter().min()?, days(training).into_iter().max()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orders by number and day, all of one department; the file is known by their text.
    fn orders(rows: &[(&str, Option<&str>)]) -> Orders {
        let line = |(id, day): &(&str, Option<&str>)| {
            serde_json::json!({"order_id": id, "appeal": "路灯坏了", "department": "城管", "received_on": day}).to_string()
        };
        let lines: Vec<String> = rows.iter().map(line).collect();
        let parsed = lines.iter().map(|line| WorkOrder::parse(line.as_bytes()).expect("an order")).collect();
        let sha256 = paidan::model::sha256_hex(lines.join("\n").as_bytes());
        Orders { path: "orders.jsonl".into(), orders: parsed, faults: Vec::new(), sha256 }
    }

    const TRAINING: [(&str, Option<&str>); 3] =
        [("A", Some("2018-01-31")), ("B", Some("2017-12-18")), ("C", Some("2018-01-02"))];

    fn refusal(validation: &[(&str, Option<&str>)]) -> String {
        ensure_apart(&orders(&TRAINING), &orders(validation)).expect_err("refused").to_string()
    }

    #[test]
    fn orders_that_were_learnt_from_are_counted_and_the_first_is_named() {
        assert!(refusal(&TRAINING).contains("the same file as"), "{}", refusal(&TRAINING));
        let shared = refusal(&[("X", None), ("C", None), ("A", None), ("Y", None)]);
        assert!(shared.contains("2 of its 4 orders") && shared.contains("the first is C"), "{shared}");
        ensure_apart(&orders(&TRAINING), &orders(&[("X", None)])).expect("apart");
    }

    #[test]
    fn a_file_without_an_order_to_judge_by_is_refused() {
        assert!(refusal(&[]).contains("none of its 0 good rows"), "{}", refusal(&[]));
        let mut others = orders(&[("X", None)]);
        others.orders[0].department = Some("税务".to_owned());
        let refused = ensure_apart(&orders(&TRAINING), &others).expect_err("another city's").to_string();
        assert!(refused.contains("none of its 1 good rows has a department"), "{refused}");
    }

    #[test]
    fn validation_is_later_only_if_every_order_is_known_to_be() {
        let when = |validation: &[(&str, Option<&str>)]| when(&orders(&TRAINING), &orders(validation));
        assert_eq!(when(&[("X", Some("2018-02-01")), ("Y", Some("2018-01-31"))]), When::Later, "the last day itself will do");
        assert_eq!(when(&[("X", Some("2018-02-01")), ("Y", Some("2018-01-30"))]), When::Mixed);
        assert_eq!(when(&[("X", Some("2018-02-01")), ("Y", None)]), When::Unknown);
        assert_eq!(when(&[("X", None), ("Y", Some("2017-01-01"))]), When::Mixed, "one is enough to know");
        assert_eq!(when(&[("X", None)]), When::Unknown);
        let dayless = orders(&[("A", None), ("B", Some("2018-01-31"))]);
        assert_eq!(super::when(&dayless, &orders(&[("X", Some("2018-02-01"))])), When::Unknown, "that of A may be any day");
    }
}
