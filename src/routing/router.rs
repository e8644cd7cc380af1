//! The router: an appeal goes in, a [`Decision`] comes out. Two steps, so that a service can tokenize on one thread and run the
//! model on another, over many appeals at once.

use std::path::Path;

use super::Decision;
use crate::model::{ArtifactsError, Department, ModelInfo};
use crate::text::{Appeal, AppealError, Encoding};

/// An appeal ready for the encoder: cleaned, tokenized, its proposed departments found among the model's.
#[derive(Debug, Clone)]
pub struct PreparedAppeal {
    /// Token ids and their places in the text.
    pub encoding: Encoding,
    /// Rows of the department head that the dispatcher proposed.
    pub proposed: Vec<usize>,
    /// Whether the operator's category or type goes in as the second sentence.
    pub with_category: bool,
}

impl PreparedAppeal {
    /// What it costs to read: the tokens that the encoder will see.
    pub fn tokens(&self) -> usize {
        self.encoding.ids.len()
    }
}

/// Why an appeal was not routed.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The caller's appeal is at fault.
    #[error(transparent)]
    Appeal(#[from] AppealError),
    /// The model could not be run: our fault.
    #[error("model: {0}")]
    Model(String),
}

/// Routes appeals with one model. Cheap to share by `Arc`; never changes after it was opened.
pub struct Router {
    info: ModelInfo,
}

impl Router {
    /// Opens a model folder: checks every file's checksum, shape and label map before it answers.
    pub fn open(folder: &Path) -> Result<Self, ArtifactsError> {
        let _ = folder;
        Err(ArtifactsError::MissingFile { folder: folder.to_owned(), file: "config.json".to_owned() })
    }

    /// What is loaded: version, departments, limits, measured quality.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Finds a department by id or name.
    pub fn department(&self, id_or_name: &str) -> Option<&Department> {
        let _ = id_or_name;
        None
    }

    /// Cleans and tokenizes. Errs only for what the caller sent: an unknown proposed department, a text with nothing to read.
    pub fn prepare(&self, appeal: &Appeal) -> Result<PreparedAppeal, RouteError> {
        let _ = appeal;
        Err(RouteError::Model("not written yet".to_owned()))
    }

    /// Runs the encoder once over the batch: one decision for each, in order. The answer for an appeal does not depend on what
    /// else is in the batch.
    pub fn route(&self, batch: &[PreparedAppeal]) -> Result<Vec<Decision>, RouteError> {
        let _ = batch;
        Err(RouteError::Model("not written yet".to_owned()))
    }
}
