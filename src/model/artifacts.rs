//! The model folder: what must be in it, and why it is refused.

use std::path::PathBuf;

use super::Department;

/// What a caller may know of the loaded model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// Folder or hub name.
    pub name: String,
    /// `manifest.json`'s version, or the first 12 hex digits of the weights' sha-256 where there is no manifest.
    pub version: String,
    /// All departments, in the order of the department head's rows.
    pub departments: Vec<std::sync::Arc<Department>>,
    /// Most tokens read at once.
    pub max_tokens: usize,
    /// `hidden_size`: the length of the embedding.
    pub embedding_size: usize,
    /// f32, bf16, int8.
    pub precision: String,
    /// Measured on validation data when it was exported: name -> value, empty if there is no manifest.
    pub metrics: std::collections::BTreeMap<String, f64>,
    /// False if the folder has no dispute head: the service says so instead of inventing a number.
    pub has_dispute_head: bool,
}

/// Why a model folder was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactsError {
    /// A file that must be there is not.
    #[error("model folder {folder}: {file} is missing", folder = folder.display())]
    MissingFile {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: String,
    },
}
