//! Labels made by hand (`training/labels`): tab-separated rows, comments behind `#`, and the halves that they are split into.
//!
//! A bound is chosen on the development half and stated on the test half. Which half a row belongs to follows from its order id
//! alone, so that nobody can move a row that does not suit.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A file of labels.
pub struct Labelled {
    /// Its rows, cell by cell.
    pub rows: Vec<Vec<String>>,
    /// How many orders of the whole training set each stratum stands for.
    pub population: BTreeMap<String, usize>,
}

impl Labelled {
    /// Reads a file whose rows have `columns` cells each, the stratum in the second.
    pub fn read(path: &Path, columns: usize) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let mut labelled = Self { rows: Vec::new(), population: BTreeMap::new() };
        for (number, line) in text.lines().enumerate() {
            if let Some(comment) = line.strip_prefix('#') {
                let counts = comment.trim().strip_prefix("population ").unwrap_or_default();
                labelled.population.extend(counts.split_whitespace().filter_map(stratum));
                continue;
            }
            let row: Vec<String> = line.split('\t').map(str::to_owned).collect();
            if row.len() != columns {
                bail!("{}:{}: {} cells, {columns} are needed", path.display(), number + 1, row.len());
            }
            labelled.rows.push(row);
        }
        Ok(labelled)
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
        let labelled = Labelled::read(&path, 3)?;
        assert_eq!((labelled.rows.len(), labelled.weight("plain"), labelled.weight("other")), (2, 15.0, 0.0));
        assert!(Labelled::read(&path, 4).is_err());
        Ok(())
    }

    /// What is bundled: enough of it, in both halves, and nothing but ids and labels.
    #[test]
    fn the_bundled_labels_can_be_read_and_hold_no_text() -> Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("labels");
        for (name, columns, least) in [("matters.tsv", 5, 900), ("repeats.tsv", 3, 250), ("repeats_named.tsv", 3, 200)] {
            let labelled = Labelled::read(&folder.join(name), columns)?;
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
