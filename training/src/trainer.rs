//! The training loop: steps, validation after each epoch, early stop, the best kept, checkpoints on the way.

use anyhow::{Context, Result, bail};
use paidan::model::{Artifacts, BertConfig};
use paidan::text::AppealTokenizer;

use crate::checkpoint::{EpochRecord, Progress, RunFolder};
use crate::config::{TrainConfig, ensure_fits};
use crate::dataset::{Labels, Orders};
use crate::examples::{Example, InputKind, StepBatch, epoch_batches};
use crate::model::Trainee;
use crate::optimizer::AdamW;
use crate::progress::Bar;
use crate::step::step;
use crate::validate::{answer, measure};

/// What a run is made of.
pub struct Trainer<'a> {
    /// The configuration.
    pub config: &'a TrainConfig,
    /// The base model.
    pub base: &'a Artifacts,
    /// Departments.
    pub labels: &'a Labels,
    /// Orders to learn from.
    pub training: &'a [Example],
    /// Orders to judge by.
    pub validation: &'a [Example],
    /// The base model's tokenizer.
    pub tokenizer: &'a AppealTokenizer,
    /// Whether disputes are learnt.
    pub has_dispute_head: bool,
    /// sha-256 of training file, validation file and base weights.
    pub inputs: [String; 3],
}

impl<'a> Trainer<'a> {
    /// The hashes that tie a checkpoint to its inputs.
    pub fn inputs(training: &Orders, validation: &Orders, base: &Artifacts) -> [String; 3] {
        [training.sha256.clone(), validation.sha256.clone(), base.weights_sha256.clone()]
    }

    /// The encoder's configuration with the run's dropout.
    fn bert_config(&self) -> BertConfig {
        let mut config = self.base.config.clone();
        config.hidden_dropout_prob = self.config.dropout;
        config.attention_probs_dropout_prob = self.config.dropout;
        config
    }

    /// A fresh model to train, or to restore a checkpoint into.
    pub fn trainee(&self) -> Result<Trainee> {
        let (departments, seed) = (self.labels.departments.len(), self.config.seed);
        let trainee = Trainee::fresh(self.base, &self.bert_config(), departments, self.has_dispute_head, seed)?;
        Ok(trainee.with_products(self.config.precision.products()?))
    }

    /// Refuses inputs that the base model cannot read: to be asked before the place is taken that the model goes to.
    pub fn ensure_fits(&self) -> Result<()> {
        ensure_fits(self.config.max_tokens, self.base)
    }

    /// Trains to the end; afterwards the best epoch's variables lie in the run folder.
    pub fn run(&self, folder: &RunFolder, resume: bool) -> Result<Progress> {
        self.ensure_fits()?;
        let trainee = self.trainee()?;
        let mut adamw = AdamW::new(&trainee.variables, self.config.weight_decay, self.config.max_gradient_norm);
        let mut progress = if resume && folder.has_checkpoint() {
            self.resume(folder, &trainee, &mut adamw)?
        } else {
            if resume {
                crate::say("no checkpoint yet: starting from the beginning");
            }
            folder.clear()?;
            self.beginning()
        };
        while progress.epoch < self.config.epochs {
            let patience_over =
                progress.best_epoch().is_some_and(|best| progress.history.len() - 1 - best >= self.config.patience);
            if patience_over {
                crate::say(&format!("no better epoch in {}: stopping early", self.config.patience));
                break;
            }
            self.epoch(folder, &trainee, &mut adamw, &mut progress)?;
        }
        progress.best_epoch().context("no epoch was trained; set epochs to at least 1")?;
        Ok(progress)
    }

    fn beginning(&self) -> Progress {
        Progress {
            config: self.config.clone(),
            inputs: self.inputs.clone(),
            step: 0,
            epoch: 0,
            step_in_epoch: 0,
            epoch_loss: 0.0,
            history: Vec::new(),
            losses: Vec::new(),
            average_of: Vec::new(),
        }
    }

    /// Sets model and optimizer to the last checkpoint of a run, and tells where it was.
    pub fn restore(&self, folder: &RunFolder, trainee: &Trainee, adamw: &mut AdamW) -> Result<Progress> {
        let (progress, tensors) = folder.load::<Progress>(adamw)?;
        trainee.restore(&tensors)?;
        adamw.steps = progress.step;
        Ok(progress)
    }

    fn resume(&self, folder: &RunFolder, trainee: &Trainee, adamw: &mut AdamW) -> Result<Progress> {
        let mut progress = self.restore(folder, trainee, adamw)?;
        // What the model is called and what its card says of the data do not touch the weights.
        progress.config.name.clone_from(&self.config.name);
        progress.config.about.clone_from(&self.config.about);
        if progress.config != *self.config {
            bail!("the checkpoint was trained with another configuration; use the same or start again without --resume");
        }
        for (i, name) in ["training file", "validation file", "base model"].iter().enumerate() {
            if progress.inputs[i] != self.inputs[i] {
                bail!("the checkpoint was trained with another {name}; use the same or start again without --resume");
            }
        }
        crate::say(&format!("resuming at epoch {}, step {}", progress.epoch + 1, progress.step_in_epoch + 1));
        Ok(progress)
    }

    fn epoch(&self, folder: &RunFolder, trainee: &Trainee, adamw: &mut AdamW, progress: &mut Progress) -> Result<()> {
        let batches = epoch_batches(self.training, self.tokenizer, self.config, progress.epoch)?;
        let total_steps = batches.len() * self.config.epochs;
        let bar = Bar::steps(&format!("epoch {}/{}", progress.epoch + 1, self.config.epochs), batches.len());
        bar.at(progress.step_in_epoch);
        let skipped = progress.step_in_epoch;
        for batch in &batches[skipped.min(batches.len())..] {
            let batch = StepBatch::new(batch, self.labels.departments.len(), self.config)?;
            let (loss, norm) = step(self.config, trainee, adamw, &batch, (progress.step, total_steps))?;
            progress.step += 1;
            progress.step_in_epoch += 1;
            progress.epoch_loss += f64::from(loss);
            progress.losses.push(loss);
            bar.step(&format!("loss {:.4} norm {norm:.2}", progress.epoch_loss / progress.step_in_epoch as f64));
            if progress.step_in_epoch.is_multiple_of(self.config.checkpoint_steps) && progress.step_in_epoch < batches.len() {
                folder.save(&trainee.variables, adamw, progress)?;
            }
        }
        bar.finish();
        let record = self.validate(trainee, progress.epoch_loss / progress.step_in_epoch.max(1) as f64)?;
        record.say(&format!("epoch {}", progress.epoch + 1));
        progress.history.push(record);
        progress.epoch += 1;
        progress.step_in_epoch = 0;
        progress.epoch_loss = 0.0;
        if progress.best_epoch() == Some(progress.epoch - 1) {
            folder.save_best(trainee)?;
        }
        folder.save(&trainee.variables, adamw, progress)
    }

    fn validate(&self, trainee: &Trainee, training_loss: f64) -> Result<EpochRecord> {
        let encoder = trainee.encoder(&self.base.config)?;
        let figures = |kind| -> Result<_> {
            let answers = answer(&encoder, self.validation, self.tokenizer, kind, self.base.config.max_position_embeddings)?;
            Ok(measure(&answers, self.validation, &self.labels.departments, self.config.min_orders))
        };
        let (text, category) = (figures(InputKind::TextOnly)?, figures(InputKind::WithCategory)?);
        // Only a share of a crossfit may be without orders, and there the last epoch counts, not the best.
        let value = |measure: Option<f64>| measure.unwrap_or_default();
        let (accuracy, macro_f1) = (value(text.departments.accuracy), value(text.departments.macro_f1));
        let (with_accuracy, with_f1) = (value(category.departments.accuracy), value(category.departments.macro_f1));
        Ok(EpochRecord {
            training_loss,
            score: (accuracy + macro_f1 + with_accuracy + with_f1) / 4.0,
            accuracy,
            macro_f1,
            accuracy_with_category: with_accuracy,
            macro_f1_with_category: with_f1,
            dispute_auc: text.dispute_auc,
        })
    }
}
