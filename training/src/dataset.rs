//! Labelled orders from files: good rows kept, bad rows named by file and line.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use paidan::evaluation::{MAX_LINE_BYTES, Rows, WorkOrder};
use paidan::model::Department;
use sha2::{Digest, Sha256};

/// A file of orders, read.
pub struct Orders {
    /// Where they came from.
    pub path: PathBuf,
    /// Rows that can be used; each has a department.
    pub orders: Vec<WorkOrder>,
    /// Rows that cannot.
    pub faults: Vec<Fault>,
    /// Of the file, in hexadecimal.
    pub sha256: String,
}

/// Hashes a file while it is read.
struct HashingReader {
    inner: std::fs::File,
    hash: Sha256,
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What a file of JSON lines came to.
pub struct Rowwise<T> {
    /// Of each row that can be used.
    pub good: Vec<T>,
    /// Rows that cannot.
    pub faults: Vec<Fault>,
    /// Of the file, in hexadecimal.
    pub sha256: String,
}

/// Reads a file of orders; `take` makes of each, its line and its bytes what is wanted, or says why it cannot.
pub fn read_rows<T>(path: &Path, mut take: impl FnMut(WorkOrder, u64, &[u8]) -> Result<T, String>) -> Result<Rowwise<T>> {
    let file = std::fs::File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
    let mut reader = HashingReader { inner: file, hash: Sha256::new() };
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for row in Rows::new(BufReader::with_capacity(1 << 18, &mut reader)) {
        let row = row.with_context(|| format!("{}: cannot be read", path.display()))?;
        let taken = match &row.bytes {
            Some(bytes) => WorkOrder::parse(bytes).and_then(|order| take(order, row.line, bytes)),
            None => Err(format!("line is longer than {MAX_LINE_BYTES} bytes")),
        };
        match taken {
            Ok(one) => good.push(one),
            Err(reason) => faults.push(Fault { line: row.line, reason }),
        }
    }
    let sha256 = reader.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Rowwise { good, faults, sha256 })
}

/// Says which rows were left out, the first twenty by name.
pub fn report_faults(path: &Path, faults: &[Fault]) {
    for fault in faults.iter().take(20) {
        crate::say(&format!("{}:{}: {}; row left out", path.display(), fault.line, fault.reason));
    }
    if faults.len() > 20 {
        crate::say(&format!("{}: {} more rows left out", path.display(), faults.len() - 20));
    }
}

/// In which of so many shares an order lies. It follows from its number alone, so that it does not move when orders are added.
pub fn share_of(order: &WorkOrder, shares: usize) -> usize {
    let hash = paidan::model::sha256_hex(order.order_id.as_bytes());
    // Eight digits are a number for sure.
    u32::from_str_radix(&hash[..8], 16).unwrap_or_default() as usize % shares
}

impl Orders {
    /// Reads a file of JSON lines.
    pub fn read(path: &Path) -> Result<Self> {
        let mut seen: HashMap<String, u64> = HashMap::new();
        let rows = read_rows(path, |order, line, _| match (&order.department, seen.get(&order.order_id)) {
            (None, _) => Err("department is missing: nothing to learn from".to_owned()),
            (_, Some(before)) => Err(format!("order_id stands in line {before} already")),
            _ => {
                seen.insert(order.order_id.clone(), line);
                Ok(order)
            }
        })?;
        Ok(Self { path: path.to_owned(), orders: rows.good, faults: rows.faults, sha256: rows.sha256 })
    }

    /// Says which rows were left out, the first twenty by name, and of how many orders the day is not known.
    pub fn report_faults(&self) {
        report_faults(&self.path, &self.faults);
        self.dayless().into_iter().for_each(|line| crate::say(&line));
    }

    /// A day that was written otherwise is not seen to be missing: such orders are of no month, and are not later than any other.
    fn dayless(&self) -> Option<String> {
        let mut dayless = self.orders.iter().filter(|order| order.received_on.is_none());
        let first = &dayless.next()?.order_id;
        Some(format!(
            "{}: {} of {} orders have no day, the first is {first}; received_on is written as 2018-03-01",
            self.path.display(),
            dayless.count() + 1,
            self.orders.len()
        ))
    }
}

/// The departments to tell apart, most frequent first, and what is odd about the data.
pub struct Labels {
    /// In the order of the department head's rows.
    pub departments: Vec<Department>,
    rows: HashMap<String, usize>,
}

impl Labels {
    /// Collects the labels of the training orders.
    pub fn collect(training: &Orders) -> Result<Self> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for order in &training.orders {
            *counts.entry(order.department.as_deref().unwrap_or_default()).or_default() += 1;
        }
        if counts.len() < 2 {
            bail!(
                "{}: {} good rows name {} department(s); at least two are needed to learn the difference",
                training.path.display(),
                training.orders.len(),
                counts.len()
            );
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let departments: Vec<Department> = counts
            .into_iter()
            .map(|(name, count)| Department { id: name.to_owned(), name: name.to_owned(), training_orders: count })
            .collect();
        let rows = departments.iter().enumerate().map(|(row, department)| (department.id.clone(), row)).collect();
        Ok(Self { departments, rows })
    }

    /// Row of a department; `None` if no training order has it.
    pub fn row(&self, department: &str) -> Option<usize> {
        self.rows.get(department).copied()
    }

    /// Says what a data team should know before it waits for hours.
    pub fn report(&self, training: &Orders, validation: &Orders, min_orders: usize) {
        let known = |orders: &Orders, value: bool| orders.orders.iter().filter(|order| order.rerouted == Some(value)).count();
        crate::say(&format!(
            "{} training orders of {} departments, {} validation orders",
            training.orders.len(),
            self.departments.len(),
            validation.orders.len()
        ));
        let rare: Vec<&str> =
            self.departments.iter().filter(|d| d.training_orders < min_orders).map(|d| d.id.as_str()).collect();
        if !rare.is_empty() {
            crate::say(&format!("fewer than {min_orders} training orders, will hardly be learnt: {}", rare.join(", ")));
        }
        let mut unknown: Vec<&str> = validation
            .orders
            .iter()
            .filter_map(|order| order.department.as_deref())
            .filter(|name| self.row(name).is_none())
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            crate::say(&format!("in the validation orders only, each counts as wrong: {}", unknown.join(", ")));
        }
        let absent: Vec<&str> = self
            .departments
            .iter()
            .map(|department| department.id.as_str())
            .filter(|id| !validation.orders.iter().any(|order| order.department.as_deref() == Some(id)))
            .collect();
        if !absent.is_empty() {
            crate::say(&format!(
                "no validation order, so each that has {min_orders} training orders counts as 0 in macro-F1, and accuracy says \
                 nothing of it: {}",
                absent.join(", ")
            ));
        }
        let mut judged = validation.orders.iter().filter_map(|order| self.row(order.department.as_deref()?));
        if !judged.any(|row| self.departments[row].training_orders >= min_orders) {
            crate::say(&format!(
                "no validation order is of a department with {min_orders} training orders (min_orders in the configuration): all \
                 departments choose the epoch, and int8 will not pass its gate"
            ));
        }
        let (disputed, quiet) = (known(training, true), known(training, false));
        match (disputed, quiet) {
            (0, 0) => crate::say("no training order says whether it was rerouted: the model will have no dispute head"),
            (0, _) | (_, 0) => crate::say("all training orders say the same of rerouted: the model will have no dispute head"),
            _ => crate::say(&format!("{disputed} training orders were disputed, {quiet} were not")),
        }
    }

    /// True if there is something to learn about disputes.
    pub fn has_disputes(training: &Orders) -> bool {
        let says = |value| training.orders.iter().any(|order| order.rerouted == Some(value));
        says(true) && says(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_without_a_day_are_counted_and_the_first_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("orders.jsonl");
        let row = |(id, day): (&str, &str)| {
            format!("{{\"order_id\": \"{id}\", \"appeal\": \"路灯坏了\", \"department\": \"城管\"{day}}}\n")
        };
        let day = ", \"received_on\": \"2018-03-01\"";
        std::fs::write(&path, [("A", day), ("B", ""), ("C", day), ("D", "")].map(row).concat()).expect("written");
        let said = Orders::read(&path).expect("orders").dayless().expect("two have none");
        assert!(said.contains("orders.jsonl: 2 of 4 orders have no day, the first is B"), "{said}");
        std::fs::write(&path, [("A", day), ("C", day)].map(row).concat()).expect("written");
        assert_eq!(Orders::read(&path).expect("orders").dayless(), None);
    }

    #[test]
    fn orders_whose_numbers_only_look_alike_are_not_taken_for_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("orders.jsonl");
        let row = |id: &str| format!("{{\"order_id\": {id}, \"appeal\": \"路灯坏了\", \"department\": \"城管\"}}\n");
        let ids = ["201801310000123456781", "201801310000123456782", "\"A|B/ 1\"", "\"A/B/1\"", "17"];
        std::fs::write(&path, ids.map(row).concat()).expect("written");
        let orders = Orders::read(&path).expect("orders");
        let kept: Vec<&str> = orders.orders.iter().map(|order| order.order_id.as_str()).collect();
        assert_eq!(kept, ["A|B/ 1", "A/B/1", "17"]);
        let faults: Vec<u64> = orders.faults.iter().map(|fault| fault.line).collect();
        assert_eq!(faults, [1, 2], "{:?}", orders.faults);
        assert!(orders.faults.iter().all(|fault| fault.reason.contains("write it in quotes")), "{:?}", orders.faults);
    }
}
