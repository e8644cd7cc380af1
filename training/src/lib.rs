//! Retraining, as a library, so that the program, its tests and its measurements run the same code.
//!
//! [`adapt`] lets a base model read a hotline's orders before anything else. Labelled orders come in through [`dataset`], become
//! tokens in [`examples`], and a [`model::Trainee`] learns from them [`step`] by step under the [`trainer`], which validates, stops
//! early and keeps checkpoints. The best epoch is calibrated and leaves through [`export`] as a model folder that `paidan` serves.

use std::io::Write;

pub mod adapt;
mod amend;
pub mod apart;
pub mod average;
mod calibrate;
mod card;
pub mod checkpoint;
pub mod config;
pub mod crossfit;
pub mod dataset;
mod department_words;
mod dispute;
pub mod duties;
pub mod examples;
pub mod export;
mod gate;
pub mod held;
mod history;
pub mod kept_memory;
pub mod labelled;
#[cfg(test)]
mod learning_tests;
pub mod likeness;
mod logistic;
mod lore;
mod loss;
pub mod matters;
pub mod model;
pub mod opening;
pub mod optimizer;
pub mod place;
mod progress;
pub mod recurrences;
pub mod refit;
pub mod repeats;
mod report;
pub mod returns;
pub mod step;
#[cfg(test)]
#[path = "../../tests/support/mod.rs"]
mod support;
pub mod teacher;
pub mod trainer;
pub mod validate;
mod words;

/// Writes a line for the person who waits. One who went away (`2>&1 | head`) does not end hours of training.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
