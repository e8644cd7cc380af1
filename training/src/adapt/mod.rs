//! `paidan-train adapt`: a base model reads a hotline's orders before it is fine-tuned.
//!
//! Some words of an order are hidden and the model guesses them (masked language model, Devlin et al. 2019). That needs no label,
//! so all the orders that a city has kept can be read, and what was written while they were handled too, which names departments
//! and what they do; a model that has read on in the field it will work in does better there (Gururangan et al. 2020). What comes
//! out is a base model like the one that went in, with another's weights: `paidan-train train --base` takes it.
//!
//! A share of the orders is kept aside, always with the same words hidden: how well those are guessed tells whether more reading
//! helps.

mod config;
mod course;
mod guesser;
mod hiding;
mod passages;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use paidan::model::{Artifacts, file};
use paidan::text::AppealTokenizer;

pub use config::AdaptConfig;
pub use course::{Course, Guesses};
pub use guesser::Guesser;
pub use hiding::{Hidden, Hider};
pub use passages::{Passage, Passages};

use crate::checkpoint::{RunFolder, holds, write_flushed, write_tensors};
use crate::config::ensure_fits;
use crate::held::Held;
use crate::model::{restore, rule};
use crate::optimizer::AdamW;
use crate::place::{Place, fresh_beside, take_place};
use crate::progress::Bar;
use crate::step::{masks, schedule};

/// What an adaptation is made of.
pub struct Adaptation<'a> {
    /// The configuration.
    pub config: &'a AdaptConfig,
    /// The base model.
    pub base: &'a Artifacts,
    /// Its tokenizer.
    pub tokenizer: &'a AppealTokenizer,
    /// What is read.
    pub passages: &'a Passages,
}

impl Adaptation<'_> {
    /// Reads to the end, checkpoints on the way in `<out>.run`, and writes the base model that came of it to its place; not once more
    /// if it was resumed and had been written already.
    pub fn run(&self, place: Place, resume: bool) -> Result<Course> {
        self.config.check()?;
        ensure_fits(self.config.max_tokens, self.base)?;
        let hider = Hider::new(self.tokenizer, self.config)?;
        let held = place.take()?;
        let (out, folder) = (&held.out, &held.run);
        let guesser = Guesser::new(self.base, self.config)?;
        let mut adamw = AdamW::new(&guesser.variables, self.config.weight_decay, self.config.max_gradient_norm);
        let kept_aside = self.passages.kept_aside(self.tokenizer, &hider, self.config)?;
        let mut course = if resume && folder.has_checkpoint() {
            self.resume(folder, &guesser, &mut adamw)?
        } else {
            if resume {
                crate::say("no checkpoint yet: starting from the beginning");
            }
            folder.clear()?;
            Course::beginning(self.config, self.inputs())
        };
        while course.epoch < self.config.epochs {
            self.epoch(folder, (&guesser, &mut adamw), &hider, &kept_aside, &mut course)?;
        }
        if resume && self.is_written(&guesser, out)? {
            crate::say(&format!("{}: this run is done, and this is its model; nothing is changed", out.display()));
            return Ok(course);
        }
        self.write(&guesser, &course, &held)?;
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        write_flushed(&folder.path().join("report.html"), course.page(&name).as_bytes())?;
        Ok(course)
    }

    fn inputs(&self) -> Vec<String> {
        self.passages.sha256.iter().chain([&self.base.weights_sha256]).cloned().collect()
    }

    fn resume(&self, folder: &RunFolder, guesser: &Guesser, adamw: &mut AdamW) -> Result<Course> {
        let (course, tensors) = folder.load::<Course>(adamw)?;
        restore(&guesser.variables, &tensors)?;
        adamw.steps = course.step;
        if course.config != *self.config {
            bail!("the checkpoint was made with another configuration; use the same or start again without --resume");
        }
        if course.inputs != self.inputs() {
            bail!("the checkpoint was made from other orders or another base; use the same or start again without --resume");
        }
        crate::say(&format!("resuming at epoch {}, step {}", course.epoch + 1, course.step_in_epoch + 1));
        Ok(course)
    }

    fn epoch(
        &self,
        folder: &RunFolder,
        (guesser, adamw): (&Guesser, &mut AdamW),
        hider: &Hider,
        kept_aside: &[Hidden],
        course: &mut Course,
    ) -> Result<()> {
        let steps = self.passages.epoch(self.tokenizer, hider, self.config, course.epoch)?;
        ensure!(!steps.is_empty(), "nothing is left to read: all orders are kept aside");
        if course.guesses.is_empty() {
            course.guesses.push(guesser.guess(kept_aside)?);
            crate::say(&format!("before: {}", course.guesses[0]));
        }
        let total = steps.len() * self.config.epochs;
        let bar = Bar::steps(&format!("epoch {}/{}", course.epoch + 1, self.config.epochs), steps.len());
        bar.at(course.step_in_epoch);
        for hidden in &steps[course.step_in_epoch.min(steps.len())..] {
            let loss = guesser.loss(hidden, Some(masks(self.config.dropout, self.config.seed, course.step)))?;
            let value = loss.to_scalar::<f32>()?;
            let rate = self.config.learning_rate * schedule(course.step, total, self.config.warmup);
            let gradients = loss.backward()?;
            adamw.step(&guesser.variables, &gradients, rate, |name| rule(name, self.config.head_factor))?;
            course.step += 1;
            course.step_in_epoch += 1;
            course.losses.push(value);
            bar.step(&format!("loss {:.4}", course.recent_loss()));
            if course.step_in_epoch.is_multiple_of(self.config.checkpoint_steps) && course.step_in_epoch < steps.len() {
                folder.save(&guesser.variables, adamw, course)?;
            }
        }
        bar.finish();
        course.guesses.push(guesser.guess(kept_aside)?);
        course.epoch += 1;
        course.step_in_epoch = 0;
        crate::say(&format!("epoch {}: {}", course.epoch, course.guesses[course.guesses.len() - 1]));
        folder.save(&guesser.variables, adamw, course)
    }

    /// Whether these very weights lie there already, in a whole model folder. To write them again would only push out what stays as
    /// `<out>.previous`.
    fn is_written(&self, guesser: &Guesser, out: &Path) -> Result<bool> {
        let is_whole = Artifacts::open(out).is_ok_and(|written| written.tokenizer == self.base.tokenizer);
        Ok(is_whole && holds(&out.join(file::WEIGHTS), &guesser.tensors(self.base)?)?)
    }

    /// A folder that transformers opens as `BertForMaskedLM`, and paidan as a base model.
    fn write(&self, guesser: &Guesser, course: &Course, held: &Held) -> Result<()> {
        let new = fresh_beside(held)?;
        let mut config = self.base.config.clone();
        config.architectures = vec!["BertForMaskedLM".to_owned()];
        config.torch_dtype = Some("float16".to_owned());
        (config.id2label, config.label2id) = Default::default();
        write_flushed(&new.join(file::CONFIG), &serde_json::to_vec_pretty(&config)?)?;
        write_flushed(&new.join(file::TOKENIZER), &self.base.tokenizer)?;
        write_tensors(&guesser.tensors(self.base)?, &new.join(file::WEIGHTS))?;
        write_flushed(&new.join("README.md"), course.card(&self.base.folder, self.passages).as_bytes())?;
        Artifacts::open(&new).context("the adapted model does not open")?;
        take_place(&new, held)
    }
}

/// Reads on with a base model in the orders of some files.
pub fn adapt(orders: &[PathBuf], base: &Path, out: &Path, config: &AdaptConfig, resume: bool) -> Result<Course> {
    let place = Place::at(out)?;
    let passages = Passages::read(orders)?;
    let base = Artifacts::open(base).context("the base model was refused")?;
    let tokenizer = AppealTokenizer::from_bytes(&base.tokenizer)?;
    Adaptation { config, base: &base, tokenizer: &tokenizer, passages: &passages }.run(place, resume)
}
