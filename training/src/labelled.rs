//! Labels made by hand (`training/labels`): tab-separated rows, comments behind `#`, and the halves that they are split into.
//!
//! A bound is chosen on the development half and stated on the test half. Which half a row belongs to follows from its order id
//! alone, so that nobody can move a row that does not suit.
//!
//! Labels are written by hand, so there are slips in them, and a slip changes the figures without a word: a row of a stratum that
//! stands for no order has no weight, a value that is misread counts for its opposite. All that can be checked is checked here and
//! by who reads the cells, and refused by file and line.

use std::collections::{BTreeMap, HashMap};
use std::ops::Index;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A file of labels, of which each order or composition of orders has one.
pub struct Labelled {
    /// Where it came from.
    pub path: PathBuf,
    /// Its rows.
    pub rows: Vec<LabelledRow>,
    /// How many orders of the whole training set each stratum stands for.
    pub population: BTreeMap<String, usize>,
}

/// A row, cell by cell: the order's id, the stratum, the labels.
pub struct LabelledRow {
    line: usize,
    cells: Vec<String>,
}

impl Index<usize> for LabelledRow {
    type Output = String;

    fn index(&self, cell: usize) -> &String {
        &self.cells[cell]
    }
}

/// The line that tells how many orders each stratum stands for.
const POPULATION: &str = "population ";

impl Labelled {
    /// Reads a file whose rows have `columns` cells each, the stratum in the second. Composed rows, whose id has a `+`, are of the
    /// strata `composed`; all others of those that the line of the population names.
    pub fn read(path: &Path, columns: usize, composed: &[&str]) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let mut labelled = Self { path: path.to_owned(), rows: Vec::new(), population: BTreeMap::new() };
        let mut lines: HashMap<&str, usize> = HashMap::new();
        // Editors put a byte order mark before the first line: it belongs to no cell.
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let (number, place) = (number + 1, format!("{}:{}", path.display(), number + 1));
            if let Some(comment) = line.strip_prefix('#') {
                let counts = comment.trim().strip_prefix(POPULATION).unwrap_or_default();
                for count in counts.split_whitespace() {
                    let (name, count) = stratum(count).with_context(|| format!("{place}: {count:?} is not STRATUM=COUNT"))?;
                    let before = labelled.population.insert(name.clone(), count);
                    ensure!(before.is_none(), "{place}: stratum {name:?} is counted twice");
                }
                continue;
            }
            let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
            ensure!(cells.len() == columns, "{place}: {} cells, {columns} are needed, with a tab between them", cells.len());
            let id = line.split('\t').next().unwrap_or_default();
            if let Some(before) = lines.insert(id, number) {
                bail!("{place}: order {id:?} is labelled in line {before} already; remove one of the two");
            }
            labelled.rows.push(LabelledRow { line: number, cells });
        }
        ensure!(!labelled.rows.is_empty(), "{}: no order is labelled", path.display());
        labelled.rows.iter().try_for_each(|row| labelled.ensure_stratum(row, composed))?;
        Ok(labelled)
    }

    /// A row whose stratum is none would have no weight, and those of its stratum would stand for all the orders that it shares.
    fn ensure_stratum(&self, row: &LabelledRow, composed: &[&str]) -> Result<()> {
        let (place, stratum) = (self.place(row), &row[1]);
        if row[0].contains('+') {
            let known = composed.contains(&stratum.as_str());
            ensure!(known, "{place}: stratum {stratum:?} of composed orders is none of {}", composed.join(", "));
            return Ok(());
        }
        let counted: Vec<&str> = self.population.keys().map(String::as_str).collect();
        ensure!(
            self.population.contains_key(stratum),
            "{place}: stratum {stratum:?} is not counted; the line \"# {POPULATION}STRATUM=COUNT ...\" says how many orders each \
             stratum stands for, and names {}",
            if counted.is_empty() { "none".to_owned() } else { counted.join(", ") }
        );
        Ok(())
    }

    /// File and line of a row.
    pub fn place(&self, row: &LabelledRow) -> String {
        format!("{}:{}", self.path.display(), row.line)
    }

    /// What is known of an order that a row names, among the orders of the file `path`.
    pub fn find<T: Copy>(&self, row: &LabelledRow, id: &str, orders: &HashMap<&str, T>, path: &Path) -> Result<T> {
        let there = orders.get(id).copied();
        there.with_context(|| format!("{}: there is no order {id:?} in {}", self.place(row), path.display()))
    }

    /// How many orders of the training set a row of a stratum stands for.
    pub fn weight(&self, stratum: &str) -> f64 {
        let read = self.rows.iter().filter(|row| row[1] == stratum).count();
        self.population.get(stratum).map_or(0.0, |population| *population as f64 / read.max(1) as f64)
    }
}

fn stratum(count: &str) -> Option<(String, usize)> {
    let (name, count) = count.split_once('=')?;
    Some((name.to_owned(), count.parse().ok()?))
}

/// A half of the labels, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// Bounds may be chosen on it.
    Development,
    /// Nothing was chosen on it.
    Test,
    /// Both.
    Whole,
}

impl Half {
    /// All three, in the order of a table.
    pub const ALL: [Self; 3] = [Self::Development, Self::Test, Self::Whole];

    /// Whether a row belongs to it: by the first hexadecimal digit of SHA-256 of its order id, of the first one where two orders were
    /// composed.
    pub fn has(self, id: &str) -> bool {
        let first = id.split('+').next().unwrap_or_default();
        let development = Sha256::digest(first.as_bytes())[0] < 0x80;
        match self {
            Self::Development => development,
            Self::Test => !development,
            Self::Whole => true,
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Whole => "whole",
        }
    }
}

/// Right, wrong and missed, and what follows from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Said, and so it was.
    pub right: usize,
    /// Said, and it was not.
    pub wrong: usize,
    /// Not said, though it was.
    pub missed: usize,
}

impl Tally {
    /// Counts one case.
    pub fn count(&mut self, said: bool, was: bool) {
        match (said, was) {
            (true, true) => self.right += 1,
            (true, false) => self.wrong += 1,
            (false, true) => self.missed += 1,
            (false, false) => {}
        }
    }

    /// Share of what was said that was so; `None` if nothing was said.
    pub fn precision(&self) -> Option<f64> {
        share(self.right, self.right + self.wrong)
    }

    /// Share of what was so that was said; `None` if nothing was so.
    pub fn recall(&self) -> Option<f64> {
        share(self.right, self.right + self.missed)
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Three figures, or a dash.
pub fn figure(share: Option<f64>) -> String {
    share.map_or("  -  ".to_owned(), |share| format!("{share:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_comments_and_populations_are_read_and_short_rows_refused() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("labels.tsv");
        std::fs::write(&path, "# about\n# population plain=30 marked=4\nA1\tplain\t1\nA2\tplain\t0\n")?;
        let labelled = Labelled::read(&path, 3, &[])?;
        assert_eq!((labelled.rows.len(), labelled.weight("plain"), labelled.weight("other")), (2, 15.0, 0.0));
        assert!(Labelled::read(&path, 4, &[]).is_err());
        Ok(())
    }

    #[test]
    fn a_slip_is_refused_by_file_and_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("labels.tsv");
        let head = "# population same=30 rest=4\n";
        for (text, line, reason) in [
            (format!("{head}A\tsame\t1\nB\tsaem\t1\n"), 3, "stratum \"saem\" is not counted"),
            (format!("{head}A\tsame\t1\nB\tsame \t1\n"), 3, "and names rest, same"),
            ("A\tsame\t1\n".to_owned(), 1, "and names none"),
            (format!("{head}A\tsame\t1\nB\tsame\t1\nA\trest\t0\n"), 4, "order \"A\" is labelled in line 2 already"),
            (format!("{head}A+B\tcompsoed\t1\n"), 2, "stratum \"compsoed\" of composed orders is none of composed"),
            ("# population same=3o\nA\tsame\t1\n".to_owned(), 1, "\"same=3o\" is not STRATUM=COUNT"),
            ("# population same=3\n# population same=4\n".to_owned(), 2, "stratum \"same\" is counted twice"),
            (format!("{head}A same 1\n"), 2, "1 cells, 3 are needed"),
        ] {
            // A byte order mark blames no line, and moves none.
            for mark in ["", "\u{feff}"] {
                std::fs::write(&path, format!("{mark}{text}")).expect("written");
                let refused = Labelled::read(&path, 3, &["composed"]).err().expect("refused").to_string();
                assert!(refused.contains(&format!("labels.tsv:{line}: ")) && refused.contains(reason), "{refused}");
            }
        }
        std::fs::write(&path, head).expect("written");
        let refused = Labelled::read(&path, 3, &[]).err().expect("refused").to_string();
        assert!(refused.contains("labels.tsv: no order is labelled"), "{refused}");
        std::fs::write(&path, format!("\u{feff}{head}A\tsame\t1\nA+B\tcomposed\t1\n")).expect("written");
        assert_eq!(Labelled::read(&path, 3, &["composed"]).expect("no slip").rows.len(), 2);
    }

    /// What is bundled: enough of it, in both halves, and nothing but ids and labels.
    #[test]
    fn the_bundled_labels_can_be_read_and_hold_no_text() -> Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("labels");
        for (name, columns, least) in [("matters.tsv", 5, 900), ("repeats.tsv", 3, 250), ("repeats_named.tsv", 3, 200)] {
            let labelled = Labelled::read(&folder.join(name), columns, &crate::matters::COMPOSED)?;
            for half in [Half::Development, Half::Test] {
                assert!(labelled.rows.iter().filter(|row| half.has(&row[0])).count() > least / 3, "{name}");
            }
            assert!(
                labelled.rows.len() > least && labelled.rows.iter().all(|row| row[0].len() < 40 && row[1].is_ascii()),
                "{name}"
            );
            let strata = labelled.rows.iter().filter(|row| !row[0].contains('+'));
            assert!(strata.clone().all(|row| labelled.weight(&row[1]) >= 1.0), "{name}: each stratum stands for orders");
        }
        Ok(())
    }

    #[test]
    fn each_order_is_in_one_half_whatever_it_is_composed_with() {
        for id in ["A1", "A2", "A3", "A4"] {
            assert_ne!(Half::Development.has(id), Half::Test.has(id));
            assert_eq!(Half::Test.has(id), Half::Test.has(&format!("{id}+B7")));
        }
    }

    #[test]
    fn a_tally_without_cases_has_no_figures() {
        let mut tally = Tally::default();
        assert_eq!((tally.precision(), tally.recall()), (None, None));
        for (said, was) in [(true, true), (true, false), (false, true), (false, false), (true, true)] {
            tally.count(said, was);
        }
        assert_eq!((tally.right, tally.wrong, tally.missed), (2, 1, 1));
        assert_eq!(figure(tally.precision()), "0.667");
    }
}
