//! Measures how like is like enough for a model folder that is there already, and writes the bounds into it if asked.

use std::path::Path;

use anyhow::{Result, ensure};
use paidan::model::{DEPARTMENT_WORDS, DepartmentWords, Encoder, Precision, Setting};
use paidan::text::AppealTokenizer;

use super::{Read, Report, study};
use crate::amend::amend;
use crate::dataset::{Labels, Orders};
use crate::examples::{Example, InputKind};
use crate::held::Held;
use crate::opening::Opened;
use crate::validate::{Answers, answer};

/// Tries the rulings that past orders stand for on later ones. `write` puts the bounds into the folder's `calibration.json`.
pub fn measure(model: &Path, training: &Path, validation: &Path, write: Option<&Held>) -> Result<Report> {
    let Opened { artifacts, training, validation } = Opened::read(model, training, validation)?;
    let labels = Labels::collect(&training)?;
    let same = labels.departments.iter().map(|one| &one.id).eq(artifacts.departments.iter().map(|one| &one.id));
    ensure!(same, "the training orders have other departments than {}", model.display());
    let tokenizer = AppealTokenizer::from_bytes(&artifacts.tokenizer)?;
    let encoder = Encoder::new(&artifacts, Setting::fixed(Precision::F32))?;
    let words = artifacts.tensors.get(DEPARTMENT_WORDS).map(DepartmentWords::from_tensor).transpose()?;
    let read = |orders: &Orders, kind| -> Result<Answers> {
        let examples: Vec<Example> = orders.orders.iter().map(|order| Example::new(order, &labels)).collect();
        let mut answers = answer(&encoder, &examples, &tokenizer, kind, artifacts.config.max_position_embeddings)?;
        words.iter().for_each(|words| answers.ask_words(words));
        Ok(answers)
    };
    crate::say("reading the training orders");
    let past = read(&training, InputKind::TextOnly)?;
    crate::say("reading the validation orders");
    let (text, category) = (read(&validation, InputKind::TextOnly)?, read(&validation, InputKind::WithCategory)?);
    let later = Read::both_inputs(&validation.orders, &text, &category, &artifacts.calibration);
    let report = study(&labels, &Read::of_training(&training.orders, &past), &later);
    if let Some(held) = write {
        amend(held, |calibration| calibration.precedents = report.bounds.clone())?;
    }
    Ok(report)
}
