//! The model folder: what must be in it, and why it is refused.
//!
//! Two kinds are opened. A folder that `paidan-train` wrote has a `manifest.json`: each file is held against its checksum before
//! anything in it is believed. A Hugging Face folder has `config.json`, `tokenizer.json` and `model.safetensors` only.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Tensor;

use super::calibration::Calibration;
use super::config::BertConfig;
use super::department_words::DEPARTMENT_WORDS;
use super::departments::Department;
use super::dispute::DisputeModel;
use super::encoder::PrecisionError;
use super::manifest::{Manifest, sha256_hex};
use super::weights::{self, WeightsError};
use super::words::DISPUTE_WORDS;

/// Names of the files.
pub mod file {
    /// Shape of the encoder and the label map.
    pub const CONFIG: &str = "config.json";
    /// The tokenizer.
    pub const TOKENIZER: &str = "tokenizer.json";
    /// The weights.
    pub const WEIGHTS: &str = "model.safetensors";
    /// Stable ids and names of the departments.
    pub const DEPARTMENTS: &str = "departments.json";
    /// Temperatures and thresholds.
    pub const CALIBRATION: &str = "calibration.json";
    /// Weights of the witnesses of a dispute; may be missing.
    pub const DISPUTE: &str = "dispute.json";
    /// Checksums, origin, figures.
    pub const MANIFEST: &str = "manifest.json";
    /// All that is read of a folder, besides the manifest.
    pub const READ: [&str; 6] = [CONFIG, TOKENIZER, WEIGHTS, DEPARTMENTS, CALIBRATION, DISPUTE];
}

/// Largest file of a folder that is read: a mistaken path must not fill the memory.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// A model folder, read and checked.
pub struct Artifacts {
    /// Where it lies.
    pub folder: PathBuf,
    /// Shape of the encoder.
    pub config: BertConfig,
    /// Bytes of `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// f32 tensors by name, the encoder's under `bert.`.
    pub tensors: HashMap<String, Tensor>,
    /// sha-256 of the weights' file.
    pub weights_sha256: String,
    /// In the order of the department head's rows; empty for a bare encoder.
    pub departments: Vec<Arc<Department>>,
    /// Temperatures and thresholds.
    pub calibration: Calibration,
    /// Weights of the witnesses of a dispute; `None` for a folder from before there were any: then the calibration judges alone.
    pub dispute: Option<DisputeModel>,
    /// `None` for a folder that `paidan-train` did not write.
    pub manifest: Option<Manifest>,
}

/// What a caller may know of the loaded model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// The manifest's name, or the folder's.
    pub name: String,
    /// The manifest's version, or the first 12 hex digits of the weights' sha-256 where there is no manifest.
    pub version: String,
    /// All departments, in the order of the department head's rows.
    pub departments: Vec<Arc<Department>>,
    /// Most tokens read at once.
    pub max_tokens: usize,
    /// `hidden_size`: the length of the embedding.
    pub embedding_size: usize,
    /// f32, bf16, int8.
    pub precision: String,
    /// Instructions that its products are computed with: amx, avx512, avxvnni, avx2, plain.
    pub kernel: String,
    /// Measured on validation data when it was exported: name -> value, empty if there is no manifest.
    pub metrics: BTreeMap<String, f64>,
    /// False if the folder has no dispute head: the service says so instead of inventing a number.
    pub has_dispute_head: bool,
    /// False if nothing was calibrated: probabilities are then the model's own.
    pub calibrated: bool,
}

/// Why a model folder was refused. Each text names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactsError {
    /// A file that must be there is not.
    #[error("model folder {folder}: {file} is missing; a model folder holds config.json, tokenizer.json and model.safetensors", folder = folder.display())]
    MissingFile {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: String,
    },
    /// A file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A file is not the one that was exported.
    #[error("{path}: sha-256 is {found}, but manifest.json says {expected}; copy the folder again or export it anew", path = path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The weights are cut off, hold no numbers, or have other shapes than `config.json` says.
    #[error("{path}: {source}", path = path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: WeightsError,
    },
    /// The label map does not fit the department head.
    #[error("{path}: {labels} departments, but classifier.weight has {rows} rows; label map and weights are of two models", path = path.display())]
    LabelCount {
        /// The file that holds the labels.
        path: PathBuf,
        /// How many it names.
        labels: usize,
        /// Rows of the department head.
        rows: usize,
    },
    /// The weights cannot be computed with in the precision that was asked for.
    #[error("model folder {folder}: {source}", folder = folder.display())]
    Precision {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: PrecisionError,
    },
    /// A bare encoder cannot route.
    #[error("model folder {folder}: no department head (classifier.weight); fine-tune it with paidan-train first", folder = folder.display())]
    NoDepartmentHead {
        /// The folder.
        folder: PathBuf,
    },
}

impl Artifacts {
    /// Reads and checks a folder. A bare encoder (a base model) is accepted too: its `departments` are empty.
    pub fn open(folder: &Path) -> Result<Self, ArtifactsError> {
        let reader = Reader { folder, manifest: Reader::manifest(folder)? };
        let config: BertConfig = reader.json(file::CONFIG)?;
        config.check().map_err(|reason| reader.malformed(file::CONFIG, reason))?;
        let tokenizer = reader.bytes(file::TOKENIZER)?;
        let bytes = reader.bytes(file::WEIGHTS)?;
        let weights_sha256 = sha256_hex(&bytes);
        let tensors = weights::read(&bytes).map_err(|source| reader.weights(source))?;
        drop(bytes);
        weights::check(&config, &tensors).map_err(|source| reader.weights(source))?;
        let departments = reader.departments(&config, &tensors)?;
        let calibration = match reader.optional(file::CALIBRATION)? {
            Some(bytes) => reader.parse(file::CALIBRATION, &bytes)?,
            None => Calibration::default(),
        };
        calibration.check().map_err(|reason| reader.malformed(file::CALIBRATION, reason))?;
        let asks_words = [&calibration.text_only, &calibration.with_category].iter().any(|scales| scales.words > 0.0);
        if asks_words && !tensors.contains_key(DEPARTMENT_WORDS) {
            let reason = format!("words are weighed, but {} has no {DEPARTMENT_WORDS}", file::WEIGHTS);
            return Err(reader.malformed(file::CALIBRATION, reason));
        }
        let dispute = reader.dispute(&departments, tensors.contains_key(DISPUTE_WORDS))?;
        let manifest = reader.manifest;
        let folder = folder.to_owned();
        Ok(Self { folder, config, tokenizer, tensors, weights_sha256, departments, calibration, dispute, manifest })
    }

    /// True if the weights hold a dispute head.
    pub fn has_dispute_head(&self) -> bool {
        self.tensors.contains_key("dispute_head.weight")
    }

    /// What a caller may know of it; what it will be computed in is not known yet.
    pub fn info(&self) -> ModelInfo {
        let folder_name = || self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let manifest = self.manifest.as_ref();
        ModelInfo {
            name: manifest.map_or_else(folder_name, |manifest| manifest.name.clone()),
            version: manifest.map_or_else(|| self.weights_sha256[..12].to_owned(), |manifest| manifest.version.clone()),
            departments: self.departments.clone(),
            max_tokens: self.config.max_position_embeddings,
            embedding_size: self.config.hidden_size,
            precision: String::new(),
            kernel: String::new(),
            metrics: manifest.map(|manifest| manifest.metrics.clone()).unwrap_or_default(),
            has_dispute_head: self.has_dispute_head(),
            calibrated: manifest.is_some_and(|manifest| manifest.files.contains_key(file::CALIBRATION)),
        }
    }
}

/// Reads the files of one folder, each held against the manifest where there is one.
struct Reader<'a> {
    folder: &'a Path,
    manifest: Option<Manifest>,
}

impl Reader<'_> {
    fn manifest(folder: &Path) -> Result<Option<Manifest>, ArtifactsError> {
        let reader = Reader { folder, manifest: None };
        if !folder.is_dir() {
            return Err(ArtifactsError::Unreadable {
                path: folder.to_owned(),
                source: std::io::Error::new(std::io::ErrorKind::NotFound, "no such folder"),
            });
        }
        let Some(bytes) = reader.optional(file::MANIFEST)? else { return Ok(None) };
        let manifest: Manifest = reader.parse(file::MANIFEST, &bytes)?;
        if manifest.format != 1 {
            let reason = format!("format {} is not known; this program reads format 1", manifest.format);
            return Err(reader.malformed(file::MANIFEST, reason));
        }
        match manifest.files.keys().find(|name| !folder.join(name).is_file()) {
            Some(missing) => Err(reader.missing(missing)),
            None => Ok(Some(manifest)),
        }
    }

    fn optional(&self, name: &str) -> Result<Option<Vec<u8>>, ArtifactsError> {
        let path = self.folder.join(name);
        let unreadable = |source| ArtifactsError::Unreadable { path: path.clone(), source };
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
            Ok(metadata) if metadata.len() > MAX_FILE_BYTES => {
                return Err(self.malformed(name, format!("{} bytes; more than {MAX_FILE_BYTES} are not read", metadata.len())));
            }
            Ok(_) => {}
        }
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        match self.manifest.as_ref().and_then(|manifest| manifest.files.get(name)) {
            Some(record) if record.sha256 != sha256_hex(&bytes) => {
                Err(ArtifactsError::Checksum { path, expected: record.sha256.clone(), found: sha256_hex(&bytes) })
            }
            _ => Ok(Some(bytes)),
        }
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, ArtifactsError> {
        self.optional(name)?.ok_or_else(|| self.missing(name))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, ArtifactsError> {
        self.parse(name, &self.bytes(name)?)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, name: &str, bytes: &[u8]) -> Result<T, ArtifactsError> {
        serde_json::from_slice(bytes).map_err(|error| self.malformed(name, error.to_string()))
    }

    /// `departments.json`, or the label map of `config.json`; as many as the department head has rows.
    fn departments(
        &self,
        config: &BertConfig,
        tensors: &HashMap<String, Tensor>,
    ) -> Result<Vec<Arc<Department>>, ArtifactsError> {
        let Some(head) = tensors.get("classifier.weight") else { return Ok(Vec::new()) };
        let rows = head.dims().first().copied().unwrap_or_default();
        let labels = config.labels().map_err(|reason| self.malformed(file::CONFIG, reason))?;
        if labels.len() != rows {
            let path = self.folder.join(file::CONFIG);
            return Err(ArtifactsError::LabelCount { path, labels: labels.len(), rows });
        }
        let Some(bytes) = self.optional(file::DEPARTMENTS)? else {
            let department = |label: String| Department { id: label.clone(), name: label, training_orders: 0 };
            return Ok(labels.into_iter().map(|label| Arc::new(department(label))).collect());
        };
        let departments: Vec<Department> = self.parse(file::DEPARTMENTS, &bytes)?;
        if departments.len() != rows {
            let path = self.folder.join(file::DEPARTMENTS);
            return Err(ArtifactsError::LabelCount { path, labels: departments.len(), rows });
        }
        if let Some((department, label)) = departments.iter().zip(&labels).find(|(department, label)| department.id != **label)
        {
            let reason = format!("department \"{}\" stands where config.json has \"{label}\"", department.id);
            return Err(self.malformed(file::DEPARTMENTS, reason));
        }
        Ok(departments.into_iter().map(Arc::new).collect())
    }

    /// `dispute.json`, checked; `None` if the folder has none.
    fn dispute(&self, departments: &[Arc<Department>], has_words: bool) -> Result<Option<DisputeModel>, ArtifactsError> {
        let Some(bytes) = self.optional(file::DISPUTE)? else { return Ok(None) };
        let model: DisputeModel = self.parse(file::DISPUTE, &bytes)?;
        let known = departments.iter().map(|department| department.id.as_str());
        model.check(known, has_words).map_err(|reason| self.malformed(file::DISPUTE, reason))?;
        Ok(Some(model))
    }

    fn missing(&self, name: &str) -> ArtifactsError {
        ArtifactsError::MissingFile { folder: self.folder.to_owned(), file: name.to_owned() }
    }

    fn malformed(&self, name: &str, reason: String) -> ArtifactsError {
        ArtifactsError::Malformed { path: self.folder.join(name), reason }
    }

    fn weights(&self, source: WeightsError) -> ArtifactsError {
        ArtifactsError::Weights { path: self.folder.join(file::WEIGHTS), source }
    }
}
