//! `manifest.json`: what a model folder consists of, from what it was made and how good it was when it left the workshop.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Written by `paidan-train` as the last file of a folder: a folder without it was not finished, or came from elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this file's layout; 1.
    pub format: u32,
    /// Name of the model: what it routes for.
    pub name: String,
    /// Names this very set of weights and how it was calibrated; unique among all that the data team ever released.
    pub version: String,
    /// RFC 3339.
    pub created_at: String,
    /// Each file but this one.
    pub files: BTreeMap<String, FileRecord>,
    /// What it was trained on.
    pub data: DataRecord,
    /// Commit of the program that trained it, with `-dirty` if the tree had changes; empty if unknown.
    pub git_commit: String,
    /// The same of the program that calibrated it anew, if that was done after the training.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub calibrated_by: String,
    /// The whole training configuration.
    pub configuration: serde_json::Value,
    /// Measured on validation data: name -> value.
    pub metrics: BTreeMap<String, f64>,
    /// How int8 did beside f32 when the model was exported; `None` if nobody looked: then it is not served in int8 by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8: Option<Int8Gate>,
}

/// The accuracy gate: what int8 costs this model, measured on validation data without the category and with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Int8Gate {
    /// Whether every figure stayed within its limit: only then does `precision = auto` serve in int8.
    pub passed: bool,
    /// Figures of both precisions: `int8_accuracy`, `f32_accuracy`, ….
    pub figures: BTreeMap<String, f64>,
    /// The figures that did not, in words; empty if all did.
    pub failed: Vec<String>,
}

/// One file of the folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileRecord {
    /// In hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// The data behind a model: hashes, no text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// Training orders used.
    pub training_orders: usize,
    /// sha-256 of the training file.
    pub training_sha256: String,
    /// Validation orders used.
    pub validation_orders: usize,
    /// sha-256 of the validation file.
    pub validation_sha256: String,
}

/// sha-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
