//! Export: from the best variables to a model folder that serves.
//!
//! Everything is made in a folder of its own beside the target, the manifest last, and takes the target's place by a rename.
//! What was there before stays as `<target>.previous`: rolling back is one rename too.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use paidan::model::{
    Artifacts, BertConfig, CENTRES, Calibration, DEPARTMENT_WORDS, DISPUTE_WORDS, DataRecord, Encoder, FileRecord, Int8Gate,
    Manifest, Precision, Setting, file, sha256_hex,
};
use paidan::text::AppealTokenizer;

use crate::amend::{CARD, version};
use crate::apart::when;
use crate::calibrate::{Judged, Scores, calibrate};
use crate::card;
use crate::checkpoint::{Progress, write_flushed, write_tensors};
use crate::config::TrainConfig;
use crate::crossfit::CrossWeights;
use crate::dataset::{Labels, Orders};
use crate::dispute::Hearing;
use crate::examples::{Example, InputKind};
use crate::gate;
use crate::held::Held;
use crate::likeness::{Read, study};
use crate::lore::Lore;
use crate::place::{fresh_beside, take_place};
use crate::report;
use crate::returns::redispatches;
use crate::validate::{Answers, answer};

/// Name of a figure: of how many training orders' disputes the witnesses' weights were fitted; absent if on validation orders.
pub const WEIGHED_DISPUTES: &str = "weighed_disputes";

/// What an export is made from.
pub struct Export<'a> {
    /// The base model, for its tokenizer and configuration.
    pub base: &'a Artifacts,
    /// Departments.
    pub labels: &'a Labels,
    /// Training orders, read.
    pub training: &'a Orders,
    /// The same as examples, for the departments' centres.
    pub training_examples: &'a [Example],
    /// Validation orders, read.
    pub validation: &'a Orders,
    /// The same as examples.
    pub validation_examples: &'a [Example],
    /// The base model's tokenizer.
    pub tokenizer: &'a AppealTokenizer,
    /// How the run went.
    pub progress: &'a Progress,
    /// How the witnesses of a dispute are weighed, where that was fitted on the training orders.
    pub weights: Option<&'a CrossWeights>,
    /// Commit of the program that trained it, if that was not this one: the weights are then calibrated anew.
    pub trained_by: Option<&'a str>,
}

impl Export<'_> {
    /// Writes the model folder of the run's best weights, and the run's page, and returns its manifest.
    pub fn write(&self, held: &Held) -> Result<Manifest> {
        let (manifest, [text_only, with_category]) = self.write_weighted(held, held.run.load_best()?)?;
        let page = report::render(&manifest, self.progress, &text_only, &with_category);
        write_flushed(&held.run.path().join("report.html"), page.as_bytes())?;
        Ok(manifest)
    }

    /// The manifest of the model in its place if it is this run's already: whole, of the same configuration and orders, and with the
    /// best variables as its weights. To write it again would only push out what stays as `<out>.previous`.
    pub fn written(&self, held: &Held) -> Result<Option<Manifest>> {
        let Ok(Artifacts { tensors, manifest: Some(manifest), .. }) = Artifacts::open(&held.out) else { return Ok(None) };
        let configuration: Option<TrainConfig> = serde_json::from_value(manifest.configuration.clone()).ok();
        let learnt_from = [&manifest.data.training_sha256, &manifest.data.validation_sha256];
        if configuration.as_ref() != Some(&self.progress.config)
            || learnt_from != [&self.training.sha256, &self.validation.sha256]
        {
            return Ok(None);
        }
        for (name, best) in held.run.load_best()? {
            let stored = best.to_dtype(DType::F16)?.to_dtype(DType::F32)?;
            let is_same = |tensor: &Tensor| -> candle_core::Result<bool> {
                let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
                Ok(tensor.shape() == stored.shape() && values(tensor)? == values(&stored)?)
            };
            if !tensors.get(&name).map(is_same).transpose()?.unwrap_or(false) {
                return Ok(None);
            }
        }
        Ok(Some(manifest))
    }

    /// Writes the model folder of these weights; returns its manifest, and how it judged text alone and with the category.
    pub fn write_weighted(&self, held: &Held, tensors: HashMap<String, Tensor>) -> Result<(Manifest, [Scores; 2])> {
        let new = fresh_beside(held)?;
        self.write_model(&new, tensors)?;
        // From here on the model is what was written: f16 weights, read back by the code that serves them.
        let artifacts = Artifacts::open(&new).context("the exported model cannot be opened")?;
        let encoder = |precision| Encoder::new(&artifacts, Setting::fixed(precision));
        let exact = encoder(Precision::F32)?;
        let limit = artifacts.config.max_position_embeddings;
        crate::say("finding the departments' centres and what became of earlier disputes");
        let seen = answer(&exact, self.training_examples, self.tokenizer, InputKind::TextOnly, limit)?;
        let lore = Lore::of(self.training.orders.iter(), self.training_examples, &seen, self.labels)?;
        if lore.is_collapsed() {
            crate::say("all embeddings are alike: the model tells nothing apart any more; lower learning_rate and train again");
        }
        crate::say("calibrating on the validation orders");
        let read = |encoder, kind| -> Result<Answers> {
            let mut answers = answer(encoder, self.validation_examples, self.tokenizer, kind, limit)?;
            answers.ask_words(&lore.department_words);
            Ok(answers)
        };
        let (text, category) = (read(&exact, InputKind::TextOnly)?, read(&exact, InputKind::WithCategory)?);
        let judged = |kind, answers| Judged {
            orders: &self.validation.orders,
            labels: self.labels,
            answers,
            lore: &lore,
            weights: self.weights.map(|weights| weights.of(kind)),
            kind,
        };
        let (judged, judged_category) =
            (|answers| judged(InputKind::TextOnly, answers), |answers| judged(InputKind::WithCategory, answers));
        let (mut calibration, dispute) = calibrate(&judged(&text), &judged_category(&category));
        crate::say("trying standing rulings and precedents on the validation orders");
        let past = Read::of_training(&self.training.orders, &seen);
        let later = Read::both_inputs(&self.validation.orders, &text, &category, &calibration);
        calibration.precedents = study(self.labels, &past, &later).bounds;
        calibration.redispatches = redispatches(&self.training.orders);
        self.keep(&mut calibration);
        let (text_only, with_category) = (dispute.as_ref().map(|d| &d.text_only), dispute.as_ref().map(|d| &d.with_category));
        let text_scores = judged(&text).scores(&calibration.text_only, text_only);
        let category_scores = judged_category(&category).scores(&calibration.with_category, with_category);
        let mut metrics = BTreeMap::new();
        self.measures(&mut metrics, "text_only", &text_scores);
        self.measures(&mut metrics, "with_category", &category_scores);
        if self.weights.is_some() {
            let disputes = self.training.orders.iter().filter(|order| order.rerouted == Some(true)).count();
            metrics.insert(WEIGHED_DISPUTES.to_owned(), disputes as f64);
        }
        if dispute.is_some() {
            held_out(&mut metrics, "text_only", judged(&text).hearings(&calibration.text_only));
            held_out(&mut metrics, "with_category", judged_category(&category).hearings(&calibration.with_category));
        }

        crate::say("measuring int8 beside f32");
        let int8 = encoder(Precision::Int8)?;
        let (int8_text, int8_category) = (read(&int8, InputKind::TextOnly)?, read(&int8, InputKind::WithCategory)?);
        let mut int8_metrics = BTreeMap::new();
        self.measures(&mut int8_metrics, "text_only", &judged(&int8_text).scores(&calibration.text_only, text_only));
        let int8_scores = judged_category(&int8_category).scores(&calibration.with_category, with_category);
        self.measures(&mut int8_metrics, "with_category", &int8_scores);
        let gate = gate::int8(&metrics, &int8_metrics);
        crate::say(&gate::verdict(&gate));

        self.write_weights(&new, &artifacts.tensors, Some(&lore))?;
        write_flushed(&new.join(file::CALIBRATION), &serde_json::to_vec_pretty(&calibration)?)?;
        if let Some(dispute) = &dispute {
            write_flushed(&new.join(file::DISPUTE), &serde_json::to_vec_pretty(dispute)?)?;
        }
        let mut manifest = self.manifest(metrics, gate)?;
        let weights = std::fs::read(new.join(file::WEIGHTS))?;
        manifest.version = version(&manifest.created_at, weights, &calibration, dispute.as_ref())?;
        let card = card::render(&manifest, self.labels, self.progress, when(self.training, self.validation));
        write_flushed(&new.join(CARD), card.as_bytes())?;
        for entry in std::fs::read_dir(&new)? {
            let path = entry?.path();
            let bytes = std::fs::read(&path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            manifest.files.insert(name, FileRecord { sha256: sha256_hex(&bytes), bytes: bytes.len() as u64 });
        }
        write_flushed(&new.join(file::MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
        paidan::routing::Router::open(&new).context("the exported model does not open")?;
        take_place(&new, held)?;
        Ok((manifest, [text_scores, category_scores]))
    }

    /// What is not found here but was measured on the very same weights. They are, if the model is calibrated anew; another model's
    /// bounds, be it the one that the training began with, say nothing of this one.
    fn keep(&self, calibration: &mut Calibration) {
        if self.trained_by.is_some() {
            let Calibration { takeover_strength, recurrence_similarity, duties, .. } = self.base.calibration.clone();
            *calibration = Calibration { takeover_strength, recurrence_similarity, duties, ..calibration.clone() };
        }
        if let Some(strength) = self.weights.and_then(CrossWeights::takeover_strength) {
            calibration.takeover_strength = strength;
        }
    }

    /// Weights, configuration, tokenizer, departments: what `Artifacts::open` needs.
    fn write_model(&self, folder: &Path, tensors: HashMap<String, Tensor>) -> Result<()> {
        self.write_weights(folder, &tensors, None)?;
        let mut config: BertConfig = self.base.config.clone();
        config.architectures = vec!["BertForSequenceClassification".to_owned()];
        config.torch_dtype = Some("float16".to_owned());
        let labels = self.labels.departments.iter().enumerate();
        config.id2label = labels.clone().map(|(row, department)| (row.to_string(), department.id.clone())).collect();
        config.label2id = labels.map(|(row, department)| (department.id.clone(), row)).collect();
        write_flushed(&folder.join(file::CONFIG), &serde_json::to_vec_pretty(&config)?)?;
        write_flushed(&folder.join(file::TOKENIZER), &self.base.tokenizer)?;
        write_flushed(&folder.join(file::DEPARTMENTS), &serde_json::to_vec_pretty(&self.labels.departments)?)
    }

    fn write_weights(&self, folder: &Path, tensors: &HashMap<String, Tensor>, lore: Option<&Lore>) -> Result<()> {
        let mut half: HashMap<String, Tensor> = HashMap::new();
        for (name, tensor) in tensors {
            half.insert(name.clone(), tensor.to_dtype(DType::F16)?);
        }
        if let Some(Lore { centres, department_words, words, .. }) = lore {
            half.insert(CENTRES.to_owned(), Tensor::new(centres.clone(), &Device::Cpu)?.to_dtype(DType::F16)?);
            half.insert(DEPARTMENT_WORDS.to_owned(), department_words.to_tensor()?.to_dtype(DType::F16)?);
            if let Some(words) = words {
                half.insert(DISPUTE_WORDS.to_owned(), words.to_tensor()?.to_dtype(DType::F16)?);
            }
        }
        write_tensors(&half, &folder.join(file::WEIGHTS))
    }

    fn measures(&self, metrics: &mut BTreeMap<String, f64>, kind: &str, scores: &Scores) {
        let min_orders = self.progress.config.min_orders;
        let frequent = |id: &str| self.labels.departments.iter().any(|d| d.id == id && d.training_orders >= min_orders);
        let (all, frequent) = (scores.departments.measures(), scores.departments.measures_within(frequent));
        let mut add = |name: &str, value: Option<f64>| insert(metrics, &format!("{kind}.{name}"), value);
        add("accuracy", frequent.accuracy);
        add("macro_f1", frequent.macro_f1);
        add("top3", frequent.top3);
        add("accuracy_all_departments", all.accuracy);
        add("macro_f1_all_departments", all.macro_f1);
        add("top3_all_departments", all.top3);
        add("ece", all.ece);
        add("share_alone_at_95", all.coverage_at_95.map(|coverage| coverage.share));
        let (disputes, proposals) = (scores.disputes.measures(), scores.proposals.measures());
        add("dispute_auc", disputes.auc);
        add("dispute_average_precision", disputes.average_precision);
        add("dispute_ece", disputes.ece);
        add("proposal_auc", proposals.auc);
        add("proposal_average_precision", proposals.average_precision);
        add("proposal_ece", proposals.ece);
    }

    fn manifest(&self, metrics: BTreeMap<String, f64>, int8: Int8Gate) -> Result<Manifest> {
        Ok(Manifest {
            format: 1,
            name: self.progress.config.name.clone(),
            version: String::new(),
            created_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            files: BTreeMap::new(),
            data: DataRecord {
                training_orders: self.training.orders.len(),
                training_sha256: self.training.sha256.clone(),
                validation_orders: self.validation.orders.len(),
                validation_sha256: self.validation.sha256.clone(),
            },
            git_commit: self.trained_by.unwrap_or(COMMIT).to_owned(),
            calibrated_by: self.trained_by.map(|_| COMMIT.to_owned()).unwrap_or_default(),
            configuration: match &self.progress.average_of[..] {
                [] => serde_json::to_value(&self.progress.config)?,
                runs => serde_json::json!({ "about": self.progress.config.about, "average_of": runs }),
            },
            metrics,
            int8: Some(int8),
        })
    }
}

fn insert(metrics: &mut BTreeMap<String, f64>, name: &str, value: Option<f64>) {
    if let Some(value) = value {
        metrics.insert(name.to_owned(), (value * 1e5).round() / 1e5);
    }
}

/// What the weights of the witnesses are worth on orders that they were not fitted on.
fn held_out(metrics: &mut BTreeMap<String, f64>, kind: &str, (appeals, proposals): (Hearing, Hearing)) {
    for (risk, hearing) in [("dispute", appeals), ("proposal", proposals)] {
        for (name, value) in hearing.held_out().figures {
            insert(metrics, &format!("{kind}.{risk}_{name}"), Some(value));
        }
    }
}

/// The commit that this program was built from, `-dirty` if its source had changes; empty where it was not known.
const COMMIT: &str = env!("PAIDAN_COMMIT");

#[cfg(test)]
mod tests {
    use super::COMMIT;

    #[test]
    fn the_program_knows_the_commit_that_it_was_built_from() {
        let digits = COMMIT.strip_suffix("-dirty").unwrap_or(COMMIT);
        let is_hash = digits.len() >= 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_hash || COMMIT.is_empty(), "{COMMIT:?}");
    }
}
