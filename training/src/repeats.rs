//! How well repeats are recognised: each labelled order is looked up among all orders of the days before it, as if none were closed.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use paidan::evaluation::WorkOrder;
use paidan::repeats::{Marks, OpenOrder, OpenOrders, WINDOW_DAYS};
use serde::Serialize;

use crate::dataset::Orders;
use crate::labelled::{Half, Labelled, LabelledRow, Tally, figure};

/// Open orders that the cost is measured among: a city's of a month.
const COST_ORDERS: usize = 60_000;

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Which half.
    pub half: Half,
    /// Orders.
    pub orders: usize,
    /// A repeat is right if it names one of the label's orders; one that names another is wrong, and the right one missed.
    pub tally: Tally,
    /// Precision and recall with each order counted for as many as its stratum stands for.
    pub weighted: [Option<f64>; 2],
}

/// What a look-up costs.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Open orders.
    pub open_orders: usize,
    /// Milliseconds to find the marks of an order in its text: the mean, on the labelled orders.
    pub marks_ms: f64,
    /// Milliseconds to look one up: the mean and the longest.
    pub find_ms: [f64; 2],
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Precision and recall.
    pub rows: Vec<Row>,
    /// Cost.
    pub cost: Cost,
    /// Every labelled order whose answer is not the label's: its id, what was said and what the label says.
    pub faults: Vec<[String; 3]>,
}

/// Measures on labels and on all orders that they are of.
pub fn measure(orders: &Path, labels: &Path) -> Result<Report> {
    let orders = Orders::read(orders)?;
    orders.report_faults();
    // The cost is measured among copies of the orders, as many as a city has: of none there are never enough.
    ensure!(!orders.orders.is_empty(), "{}: no order of it can be used", orders.path.display());
    let labelled = Labelled::read(labels, 3, &[])?;
    let open = |order| open(order).with_context(|| format!("{}: repeats are looked for by day", orders.path.display()));
    let all: Vec<OpenOrder> = orders.orders.iter().map(open).collect::<Result<_>>()?;
    let by_id: HashMap<&str, &OpenOrder> = all.iter().map(|order| (order.id.as_str(), order)).collect();
    let asked = labelled.rows.iter().map(|row| checked(&labelled, row, &by_id, &orders.path)).collect::<Result<Vec<_>>>()?;
    let mut answers = Vec::new();
    for order in asked {
        // Of its own day those with a smaller number came before it.
        let earlier = all.iter().filter(|one| (one.day, &one.id) < (order.day, &order.id));
        let recent = earlier.filter(|one| (order.day - one.day).num_days() <= i64::from(WINDOW_DAYS));
        answers.push(OpenOrders::of(recent.cloned()).find(order, WINDOW_DAYS).map(|repeat| repeat.order_id));
    }
    let rows = Half::ALL.map(|half| {
        let mut row = Row { half, orders: 0, tally: Tally::default(), weighted: [None; 2] };
        let (mut right, mut said, mut was) = (0.0, 0.0, 0.0);
        for (label, answer) in labelled.rows.iter().zip(&answers).filter(|(label, _)| half.has(&label[0])) {
            let is_repeat = label[2] != "-";
            let is_right = answer.as_ref().is_some_and(|id| label[2].split(',').any(|one| one == id));
            row.orders += 1;
            row.tally.right += usize::from(is_right);
            row.tally.wrong += usize::from(answer.is_some() && !is_right);
            row.tally.missed += usize::from(is_repeat && !is_right);
            let weight = labelled.weight(&label[1]);
            right += if is_right { weight } else { 0.0 };
            said += if answer.is_some() { weight } else { 0.0 };
            was += if is_repeat { weight } else { 0.0 };
        }
        let share = |whole: f64| (whole > 0.0).then(|| right / whole);
        row.weighted = [share(said), share(was)];
        row
    });
    let differs = |(label, answer): (&LabelledRow, &Option<String>)| {
        let said = answer.clone().unwrap_or_else(|| "-".to_owned());
        let agrees = label[2].split(',').any(|one| one == said);
        (!agrees).then(|| [label[0].clone(), said, label[2].clone()])
    };
    Ok(Report {
        rows: rows.to_vec(),
        cost: cost(&orders, &all, &labelled, &by_id),
        faults: labelled.rows.iter().zip(&answers).filter_map(differs).collect(),
    })
}

/// The order of a row. Those that it is said to repeat must be there too, and earlier: the rule looks among no others, so that a slip
/// of the pen would count as missed.
fn checked<'a>(
    labelled: &Labelled,
    row: &LabelledRow,
    by_id: &HashMap<&str, &'a OpenOrder>,
    orders: &Path,
) -> Result<&'a OpenOrder> {
    let order = labelled.find(row, &row[0], by_id, orders)?;
    for id in row[2].split(',').filter(|_| row[2] != "-") {
        let earlier = labelled.find(row, id, by_id, orders)?;
        let place = labelled.place(row);
        let is_earlier = (earlier.day, &earlier.id) < (order.day, &order.id);
        ensure!(is_earlier, "{place}: order {id} came in no earlier than {}, so it is none that this one repeats", order.id);
    }
    Ok(order)
}

fn open(order: &WorkOrder) -> Result<OpenOrder> {
    let day = order.received_on.with_context(|| format!("order {} has no day", order.order_id))?;
    let fields = order.appeal.fields();
    Ok(OpenOrder {
        id: order.order_id.clone(),
        day,
        marks: Marks::of(&fields.text),
        caller: None,
        district: fields.district.trim().to_owned(),
        // Each is looked up among those that came before it.
        first_seen: chrono::DateTime::UNIX_EPOCH,
    })
}

/// The orders, copied until they are a large city's, and the labelled ones looked up among them.
fn cost(orders: &Orders, all: &[OpenOrder], labelled: &Labelled, by_id: &HashMap<&str, &OpenOrder>) -> Cost {
    let copies =
        (0..).flat_map(|copy| all.iter().map(move |order| OpenOrder { id: format!("{}-{copy}", order.id), ..order.clone() }));
    let open = OpenOrders::of(copies.take(COST_ORDERS));
    let texts: HashMap<&str, &str> =
        orders.orders.iter().map(|order| (order.order_id.as_str(), order.appeal.fields().text.as_str())).collect();
    let asked: Vec<&OpenOrder> = labelled.rows.iter().filter_map(|row| by_id.get(row[0].as_str()).copied()).collect();
    let started = Instant::now();
    let places: usize =
        asked.iter().filter_map(|order| texts.get(order.id.as_str())).map(|text| Marks::of(text).places().len()).sum();
    let marks = started.elapsed().as_secs_f64() * 1e3;
    used(places);
    let mut longest = 0f64;
    let started = Instant::now();
    for order in &asked {
        let one = Instant::now();
        used(open.find(order, WINDOW_DAYS).map_or(0, |repeat| repeat.order_id.len()));
        longest = longest.max(one.elapsed().as_secs_f64() * 1e3);
    }
    let found = started.elapsed().as_secs_f64() * 1e3;
    let count = asked.len().max(1) as f64;
    Cost { open_orders: open.len(), marks_ms: marks / count, find_ms: [found / count, longest] }
}

/// Keeps the compiler from leaving out what is only timed.
fn used(value: usize) {
    std::hint::black_box(value);
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = "half         orders  repeats  said  right  precision  recall  weighted by stratum\n".to_owned();
        for Row { half, orders, tally, weighted } in &self.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:12} {orders:6}  {:7}  {:4}  {:5}  {:>9}  {:>6}  {} {}",
                half.name(),
                tally.right + tally.missed,
                tally.right + tally.wrong,
                tally.right,
                figure(tally.precision()),
                figure(tally.recall()),
                figure(weighted[0]),
                figure(weighted[1])
            );
        }
        let Cost { open_orders, marks_ms, find_ms: [mean, longest] } = &self.cost;
        let _ = writeln!(
            text,
            "cost: {marks_ms:.3} ms to mark an order; among {open_orders} open ones {mean:.3} ms to look it up, {longest:.3} at most"
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_order_or_a_label_nothing_is_measured_and_that_is_said_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("none.jsonl"), "no json\n").expect("written");
        std::fs::write(path("one.jsonl"), order("1", "2018-01-05")).expect("written");
        std::fs::write(path("labels.tsv"), "# about\n").expect("written");
        let refused = |orders: &str| measure(&path(orders), &path("labels.tsv")).expect_err("refused").to_string();
        assert!(refused("none.jsonl").contains("none.jsonl: no order of it can be used"));
        assert!(refused("one.jsonl").contains("labels.tsv: no order is labelled"));
    }

    fn order(id: &str, day: &str) -> String {
        let row = serde_json::json!({"order_id": id, "appeal": "路灯不亮", "department": "城管", "received_on": day});
        format!("{row}\n")
    }

    #[test]
    fn a_repeat_of_an_order_that_is_not_there_or_not_earlier_is_refused_by_file_and_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let orders = [order("A", "2018-01-05"), order("B", "2018-01-06"), order("C", "2018-01-06")].concat();
        std::fs::write(path("orders.jsonl"), orders).expect("written");
        let measured = |rows: &str| {
            std::fs::write(path("labels.tsv"), format!("# population same=3\n{rows}")).expect("written");
            measure(&path("orders.jsonl"), &path("labels.tsv"))
        };
        for (rows, reason) in [
            ("A\tsame\t-\nX\tsame\t-\n", "labels.tsv:3: there is no order \"X\" in "),
            ("B\tsame\tA\nC\tsame\tA,Y\n", "labels.tsv:3: there is no order \"Y\" in "),
            ("C\tsame\tA,\n", "labels.tsv:2: there is no order \"\" in "),
            ("B\tsame\tC\n", "labels.tsv:2: order C came in no earlier than B"),
            ("B\tsame\tB\n", "labels.tsv:2: order B came in no earlier than B"),
        ] {
            let refused = measured(rows).expect_err("refused").to_string();
            assert!(refused.contains(reason), "{refused}");
        }
        std::fs::write(path("orders.jsonl"), [order("A", "2018-01-05"), order("B", "")].concat()).expect("written");
        let refused = format!("{:#}", measured("A\tsame\t-\n").expect_err("refused"));
        assert!(refused.contains("orders.jsonl: repeats are looked for by day: order B has no day"), "{refused}");
    }
}
