//! What models say of the training orders that did not learn from them: each of a few models learns from all orders but its own
//! share, and answers that share ("cross-fitting").
//!
//! Four uses: a teacher for the model to be released ([`crate::teacher`]); weights for the witnesses of a dispute, fitted on all the
//! training orders' disputes; honest figures within the training months; and a list of orders whose label such models doubt, most
//! doubted first, for a data team to read again (Northcutt et al. 2021).
//!
//! An order's share follows from its number alone, so that it does not move when orders are added. What is done stays done: a run
//! that was stopped goes on with the next step of the same model.

mod said;
mod takeover;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use paidan::evaluation::WorkOrder;
use paidan::model::Artifacts;
use paidan::text::AppealTokenizer;
use serde::{Deserialize, Serialize};

pub use said::CrossWeights;
use said::{Row, Said, hearings};
pub use takeover::StrengthRow;

use crate::checkpoint::{beside, rename, sync_folder, write_flushed};
use crate::config::{TrainConfig, ensure_fits};
use crate::dataset::{Labels, Orders, share_of};
use crate::dispute::Hearing;
use crate::examples::{Example, InputKind};
use crate::held::{Held, lock};
use crate::history::history;
use crate::lore::Lore;
use crate::optimizer::AdamW;
use crate::teacher::Lesson;
use crate::trainer::Trainer;
use crate::validate::answer;

/// The files that it writes.
pub const TEACHER: &str = "teacher.jsonl";
/// See [`CrossWeights`].
pub const WEIGHTS: &str = "weights.json";
const DOUBTS: &str = "doubts.tsv";
/// What the answers were made from.
const CLAIM: &str = "crossfit.json";

/// Below this a probability is left out of the file.
const LEAST: f32 = 1e-3;

/// What all models have in common.
pub struct Crossfit<'a> {
    /// The configuration.
    pub config: &'a TrainConfig,
    /// The base model.
    pub base: &'a Artifacts,
    /// Its tokenizer.
    pub tokenizer: &'a AppealTokenizer,
    /// All orders.
    pub orders: &'a Orders,
    /// Their departments.
    pub labels: &'a Labels,
    /// How many models, at least two.
    pub folds: usize,
}

/// What the answers in a folder are made from. It is compared as what it is, not as JSON: there a number of single precision has
/// other digits than where it is widened.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Claim {
    orders: String,
    base: String,
    folds: usize,
    configuration: TrainConfig,
}

/// How it went.
#[derive(Debug, Serialize)]
pub struct CrossfitReport {
    /// Orders that were answered.
    pub orders: usize,
    /// By kind of input.
    pub kinds: Vec<KindReport>,
    /// How strongly who used to take over should move the next answer after a return.
    pub takeover: Vec<StrengthRow>,
    /// Where the files are.
    pub folder: PathBuf,
}

/// Of one kind of input.
#[derive(Debug, Serialize)]
pub struct KindReport {
    /// `text_only` or `with_category`.
    pub input: &'static str,
    /// Share whose department came first.
    pub accuracy: f64,
    /// Area under the curve and average precision of the dispute risk, and of the risk of the operator's dispatch. The weights of the
    /// witnesses were fitted on these orders.
    pub dispute: [Option<f64>; 2],
    /// See `dispute`.
    pub proposal: [Option<f64>; 2],
}

impl CrossfitReport {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("{} orders answered by models that did not learn from them\n", self.orders);
        for kind in &self.kinds {
            let figure = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
            let [dispute, proposal] = [kind.dispute, kind.proposal].map(|[auc, ap]| format!("{} {}", figure(auc), figure(ap)));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:14} right {:.4}; AUC and average precision: disputed {dispute}, proposed dispatch {proposal}",
                kind.input, kind.accuracy
            );
        }
        for StrengthRow { strength, right, tried, loss } in &self.takeover {
            let _ = writeln!(text, "takeovers at strength {strength:.2}: next answer right {right} of {tried}, loss {loss:.3}");
        }
        let _ = write!(text, "{}: {TEACHER}, {WEIGHTS}, and labels to read again in {DOUBTS}", self.folder.display());
        text
    }
}

impl Crossfit<'_> {
    /// Trains all models, one after another, and writes `teacher.jsonl`, `weights.json` and `doubts.tsv` into `out`.
    pub fn run(&self, out: &Path) -> Result<CrossfitReport> {
        ensure!(self.folds >= 2, "--folds must be at least 2, not {}", self.folds);
        ensure_fits(self.config.max_tokens, self.base)?;
        std::fs::create_dir_all(out).with_context(|| format!("{}: cannot be created", out.display()))?;
        let _held = lock(out)?;
        self.claim(out)?;
        let mut said: BTreeMap<String, Said> = BTreeMap::new();
        for fold in 0..self.folds {
            let path = self.answers(out, fold);
            if !path.is_file() {
                crate::say(&format!("model {} of {}", fold + 1, self.folds));
                self.fold(fold, &path)?;
            }
            let text = std::fs::read_to_string(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
            for (line, row) in text.lines().enumerate() {
                let one: Said = serde_json::from_str(row)
                    .with_context(|| format!("{}:{}: remove the file to have it made anew", path.display(), line + 1))?;
                said.insert(one.order_id.clone(), one);
            }
        }
        let report = self.conclude(&said, out)?;
        for fold in 0..self.folds {
            // Hundreds of megabytes that nobody needs any more.
            let run = beside(&self.answers(out, fold), "run");
            if run.exists() {
                std::fs::remove_dir_all(&run).with_context(|| format!("{}: cannot be removed", run.display()))?;
            }
        }
        Ok(report)
    }

    /// Where the answers of one model are.
    fn answers(&self, out: &Path, fold: usize) -> PathBuf {
        out.join(format!("fold-{}.jsonl", fold + 1))
    }

    /// Writes down what the answers in `out` are made from; refuses a folder whose answers were made from something else.
    fn claim(&self, out: &Path) -> Result<()> {
        let path = out.join(CLAIM);
        let made_from = Claim {
            orders: self.orders.sha256.clone(),
            base: self.base.weights_sha256.clone(),
            folds: self.folds,
            configuration: self.config.clone(),
        };
        if !path.is_file() {
            let new = beside(&path, "new");
            write_flushed(&new, &serde_json::to_vec_pretty(&made_from)?)?;
            return rename(&new, &path);
        }
        let named = || format!("{}: cannot be read", path.display());
        let bytes = std::fs::read(&path).with_context(named)?;
        let before: Claim = serde_json::from_slice(&bytes).with_context(named)?;
        ensure!(
            before == made_from,
            "{}: made from other orders, another base, configuration or number of folds; name another folder",
            path.display()
        );
        Ok(())
    }

    /// Whose share an order is.
    fn fold_of(&self, order: &WorkOrder) -> usize {
        share_of(order, self.folds)
    }

    fn is_held_out(&self, order: &WorkOrder, fold: usize) -> bool {
        self.fold_of(order) == fold
    }

    /// Trains one model and writes what it says of the orders that it did not learn from.
    fn fold(&self, fold: usize, path: &Path) -> Result<()> {
        let (held_out, learnt_from): (Vec<&WorkOrder>, Vec<&WorkOrder>) =
            self.orders.orders.iter().partition(|order| self.is_held_out(order, fold));
        let examples =
            |orders: &[&WorkOrder]| -> Vec<Example> { orders.iter().map(|order| Example::new(order, self.labels)).collect() };
        let (learnt, asked) = (examples(&learnt_from), examples(&held_out));
        // The last epoch counts: to choose the best by the very orders that are asked would flatter the answers.
        let config = TrainConfig { patience: self.config.epochs, ..self.config.clone() };
        let share = format!("{} without share {} of {}", self.orders.sha256, fold + 1, self.folds);
        let trainer = Trainer {
            config: &config,
            base: self.base,
            labels: self.labels,
            training: &learnt,
            validation: &asked,
            tokenizer: self.tokenizer,
            has_dispute_head: Labels::has_disputes(self.orders),
            inputs: [share, self.orders.sha256.clone(), self.base.weights_sha256.clone()],
        };
        let held = Held::take(path)?;
        trainer.run(&held.run, true)?;
        let trainee = trainer.trainee()?;
        let mut adamw = AdamW::new(&trainee.variables, config.weight_decay, config.max_gradient_norm);
        trainer.restore(&held.run, &trainee, &mut adamw)?;
        let (encoder, limit) = (trainee.encoder(&self.base.config)?, self.base.config.max_position_embeddings);
        let seen = answer(&encoder, &learnt, self.tokenizer, InputKind::TextOnly, limit)?;
        let lore = Lore::of(learnt_from.iter().copied(), &learnt, &seen, self.labels)?;
        let mut text = answer(&encoder, &asked, self.tokenizer, InputKind::TextOnly, limit)?;
        let category = answer(&encoder, &asked, self.tokenizer, InputKind::WithCategory, limit)?;
        text.ask_words(&lore.department_words);
        let mut lines = String::new();
        for (at, order) in held_out.iter().enumerate() {
            lines.push_str(&serde_json::to_string(&Said::of(order, at, [&text, &category], &lore))?);
            lines.push('\n');
        }
        let new = beside(path, "new");
        write_flushed(&new, lines.as_bytes())?;
        rename(&new, path)
    }

    /// Calibrates what was said and writes it down.
    fn conclude(&self, said: &BTreeMap<String, Said>, out: &Path) -> Result<CrossfitReport> {
        let histories: Vec<Vec<f32>> = (0..self.folds)
            .map(|fold| history(self.orders.orders.iter().filter(|order| !self.is_held_out(order, fold)), self.labels))
            .collect();
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(said.len());
        for order in &self.orders.orders {
            let said = said.get(&order.order_id).filter(|said| said.is_whole(self.labels.departments.len()));
            let said = said.with_context(|| format!("{}: no whole answer to order {}", out.display(), order.order_id))?;
            let row = order.department.as_deref().and_then(|name| self.labels.row(name));
            rows.extend(row.map(|row| Row { order, row, said, history: &histories[self.fold_of(order)] }));
        }
        let scales = [0, 1].map(|kind| said::scales(&rows, kind));
        let heard = [0, 1].map(|kind| hearings(&rows, kind, &scales[kind], self.labels));
        let (mut teacher, mut doubts, mut right) = (String::new(), Vec::new(), [0usize; 2]);
        for Row { order, row, said, .. } in &rows {
            let kinds = [0, 1].map(|kind| said.probabilities(kind, &scales[kind]));
            for (kind, probabilities) in kinds.iter().enumerate() {
                right[kind] += usize::from(likeliest(probabilities) == *row);
            }
            let mean: Vec<f32> = kinds[0].iter().zip(&kinds[1]).map(|(a, b)| (a + b) / 2.0).collect();
            teacher.push_str(&serde_json::to_string(&self.lesson(order, &mean))?);
            teacher.push('\n');
            let other = likeliest(&mean);
            if other != *row {
                doubts.push((mean[*row], mean[other], &order.order_id, *row, other));
            }
        }
        doubts.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.total_cmp(&a.1)));
        let mut table = String::from("order_id\tdepartment\tprobability\tlikelier\tprobability\n");
        for (own, others, order_id, row, other) in doubts {
            let (department, likelier) = (&self.labels.departments[row].id, &self.labels.departments[other].id);
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{order_id}\t{department}\t{own:.3}\t{likelier}\t{others:.3}");
        }
        write_flushed(&out.join(DOUBTS), table.as_bytes())?;
        let figures = |hearing: &Hearing| {
            let measures = hearing.freely().map(|weighing| hearing.scores(&weighing).measures());
            measures.map_or([None; 2], |measures| [measures.auc, measures.average_precision])
        };
        let kind = |kind: usize| KindReport {
            input: ["text_only", "with_category"][kind],
            accuracy: right[kind] as f64 / rows.len().max(1) as f64,
            dispute: figures(&heard[kind].0),
            proposal: figures(&heard[kind].1),
        };
        let kinds = vec![kind(0), kind(1)];
        let takeover = takeover::strengths(&rows, &scales, &self.labels.departments, self.folds, |order| self.fold_of(order));
        if let Some(weights) = CrossWeights::fit(heard, takeover::best(&takeover)) {
            write_flushed(&out.join(WEIGHTS), &serde_json::to_vec_pretty(&weights)?)?;
        }
        put_last(&out.join(TEACHER), teacher.as_bytes())?;
        Ok(CrossfitReport { orders: rows.len(), kinds, takeover, folder: out.to_owned() })
    }

    fn lesson(&self, order: &WorkOrder, probabilities: &[f32]) -> Lesson {
        let kept = probabilities.iter().zip(&self.labels.departments).filter(|(probability, _)| **probability >= LEAST);
        let sum: f32 = kept.clone().map(|(probability, _)| probability).sum();
        let round = |probability: f32| (probability / sum * 1e4).round() / 1e4;
        let named = kept.map(|(probability, department)| (department.id.clone(), round(*probability)));
        Lesson { order_id: order.order_id.clone(), probabilities: named.collect() }
    }
}

/// Writes the file that says that all is done: it comes whole, by a rename, when everything else is on disk.
fn put_last(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = beside(path, "new");
    write_flushed(&new, bytes)?;
    rename(&new, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Refuses the folder of a crossfit that is not done, or of other orders: what was said of those, by models that learnt from them,
/// teaches nothing about these.
pub fn ensure_of(folder: &Path, orders: &Orders) -> Result<()> {
    let path = folder.join(CLAIM);
    let named = || format!("{}: cannot be read; name a folder that paidan-train crossfit wrote", path.display());
    let made_from: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).with_context(named)?).with_context(named)?;
    ensure!(
        made_from["orders"] == orders.sha256.as_str(),
        "{}: made from other orders than {}, whose sha-256 is {}; make a crossfit of these, in another folder",
        path.display(),
        orders.path.display(),
        orders.sha256
    );
    let is_done = folder.join(TEACHER).is_file();
    ensure!(is_done, "{}: no {TEACHER}; let paidan-train crossfit come to its end first", folder.display());
    Ok(())
}

fn likeliest(probabilities: &[f32]) -> usize {
    (0..probabilities.len()).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_with_a_number_of_single_precision_is_the_same_when_it_is_read_again() {
        let configuration = TrainConfig { dropout: 0.12, learning_rate: 1.1e-4, ..TrainConfig::default() };
        let claim = Claim { orders: "a".to_owned(), base: "b".to_owned(), folds: 5, configuration };
        let written = serde_json::to_vec_pretty(&claim).expect("json");
        assert_eq!(serde_json::from_slice::<Claim>(&written).expect("a claim"), claim);
        // As earlier programs wrote it: widened.
        let widened = serde_json::to_value(&claim).expect("json").to_string();
        assert!(widened.contains("0.1199"), "{widened}");
        assert_eq!(serde_json::from_str::<Claim>(&widened).expect("a claim"), claim);
    }
}
