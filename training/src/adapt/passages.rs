//! What there is to read: each order's appeal with its category or with the note of how it was handled, personal data masked.
//!
//! A note is written after an order was dispatched and never helps to route it. Here nothing is routed: who did what about such an
//! appeal is what the model is to learn of its trade.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use paidan::evaluation::WorkOrder;
use paidan::routing::second_sentence;
use paidan::text::{AppealTokenizer, CleanText, Encoding, clean, masked};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;

use super::config::AdaptConfig;
use super::hiding::{Hidden, Hider};
use crate::dataset::{read_rows, report_faults, share_of};

/// One order of this many is kept aside.
const KEPT_ASIDE: usize = 25;
/// At most so many are: more would only take time.
const MOST_KEPT_ASIDE: usize = 1_000;

/// One order's words.
pub struct Passage {
    text: CleanText,
    category: Option<String>,
    note: Option<String>,
    is_kept_aside: bool,
}

#[derive(Deserialize)]
struct Noted {
    handling_note: Option<String>,
}

impl Passage {
    /// Of an order; a note's repeated lines, which exporters like to write, are read once.
    fn new(order: &WorkOrder, note: Option<&str>) -> Self {
        let fields = order.appeal.fields();
        let mut lines: Vec<&str> = Vec::new();
        for line in note.unwrap_or_default().lines().map(str::trim) {
            if !line.is_empty() && !lines.contains(&line) {
                lines.push(line);
            }
        }
        let note = Some(masked(&lines.join(" "))).filter(|note| !note.is_empty());
        Self {
            text: clean(&masked(&fields.text)),
            category: second_sentence(&fields.category, &fields.appeal_type),
            note,
            is_kept_aside: share_of(order, KEPT_ASIDE) == 0,
        }
    }

    fn encode(&self, tokenizer: &AppealTokenizer, config: &AdaptConfig, rng: &mut ChaCha8Rng) -> Result<Encoding> {
        let (draw, other) = (rng.random::<f64>(), rng.random::<bool>());
        let second = match &self.note {
            Some(note) if draw < config.with_note => Some(note),
            _ if other => self.category.as_ref(),
            _ => None,
        };
        tokenizer.encode(&self.text, second.map(String::as_str), config.max_tokens).context("an order cannot be tokenized")
    }
}

/// All of them.
pub struct Passages {
    all: Vec<Passage>,
    /// Of each file, in hexadecimal.
    pub sha256: Vec<String>,
    /// How many have a note.
    pub noted: usize,
    read: HashSet<String>,
    again: usize,
}

impl Passages {
    /// Reads files of JSON lines, labelled or not. Rows that cannot be read are named and left out. A file that is named twice is
    /// refused: each of its orders would count twice. An order that stands in two files does, and that is said.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut passages = Self { all: Vec::new(), sha256: Vec::new(), noted: 0, read: HashSet::new(), again: 0 };
        for (at, path) in paths.iter().enumerate() {
            passages.add(path, &paths[..at])?;
        }
        if passages.all.is_empty() {
            bail!("no order can be read; each line is a JSON object with order_id and appeal or content");
        }
        crate::say(&format!("{} orders to read, {} with a note", passages.all.len(), passages.noted));
        if passages.again > 0 {
            crate::say(&format!("{} of them were read before under the same order_id, and count once more", passages.again));
        }
        Ok(passages)
    }

    fn add(&mut self, path: &Path, before: &[PathBuf]) -> Result<()> {
        let (read, again) = (&mut self.read, &mut self.again);
        let rows = read_rows(path, |order, _, bytes| {
            // A note that is no text is as good as none.
            let note = serde_json::from_slice::<Noted>(bytes).ok().and_then(|noted| noted.handling_note);
            *again += usize::from(!read.insert(order.order_id.clone()));
            Ok(Passage::new(&order, note.as_deref()))
        })?;
        if let Some(same) = self.sha256.iter().position(|sha256| *sha256 == rows.sha256) {
            let same = before[same].display();
            bail!("--orders {}: holds the same as --orders {same}; name it once", path.display());
        }
        report_faults(path, &rows.faults);
        self.noted += rows.good.iter().filter(|passage| passage.note.is_some()).count();
        self.all.extend(rows.good);
        self.sha256.push(rows.sha256);
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The steps of one epoch. The same seed and epoch give the same steps, so a resumed run goes on with the very next one.
    pub fn epoch(&self, tokenizer: &AppealTokenizer, hider: &Hider, config: &AdaptConfig, epoch: usize) -> Result<Vec<Hidden>> {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed.wrapping_mul(1_000_003).wrapping_add(epoch as u64));
        let mut read: Vec<&Passage> = self.all.iter().filter(|passage| !passage.is_kept_aside).collect();
        read.shuffle(&mut rng);
        steps(&read, tokenizer, hider, config, &mut rng)
    }

    /// The orders that are kept aside, the same words hidden at every epoch.
    pub fn kept_aside(&self, tokenizer: &AppealTokenizer, hider: &Hider, config: &AdaptConfig) -> Result<Vec<Hidden>> {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let kept: Vec<&Passage> = self.all.iter().filter(|passage| passage.is_kept_aside).take(MOST_KEPT_ASIDE).collect();
        steps(&kept, tokenizer, hider, config, &mut rng)
    }
}

/// Passages in their order, as many to a step as fit.
fn steps(
    passages: &[&Passage],
    tokenizer: &AppealTokenizer,
    hider: &Hider,
    config: &AdaptConfig,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Hidden>> {
    let (mut steps, mut step, mut tokens) = (Vec::new(), Vec::new(), 0);
    for passage in passages {
        let encoding = passage.encode(tokenizer, config, rng)?;
        if tokens + encoding.ids.len() > config.step_tokens && !step.is_empty() {
            steps.extend(hider.hide(&std::mem::take(&mut step), rng)?);
            tokens = 0;
        }
        tokens += encoding.ids.len();
        step.push(encoding);
    }
    steps.extend(hider.hide(&step, rng)?);
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_once_and_without_the_phone_number_in_it() {
        let order = WorkOrder::parse("{\"order_id\": \"A\", \"appeal\": \"请回电13876543210\"}".as_bytes()).expect("an order");
        let passage = Passage::new(&order, Some("已联系13876543210办结\n\n已联系13876543210办结\n"));
        let note = passage.note.expect("a note");
        assert_eq!(note.matches("办结").count(), 1, "{note}");
        assert!(!note.contains("1387654") && !passage.text.as_str().contains("1387654"), "{note} {}", passage.text.as_str());
        assert!(Passage::new(&order, Some(" \n")).note.is_none(), "blank lines are no note");
    }
}
