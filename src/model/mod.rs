//! The model: its folder, its encoder, its heads, its calibration. In reading order: [`Artifacts`] (the folder),
//! [`Batch`], [`Bert`], [`Classifier`] (the heads on it), [`Calibration`].

mod artifacts;
mod batch;
mod bert;
pub mod calibration;
mod config;
mod department_words;
mod departments;
mod dispute;
pub mod encoder;
mod heads;
pub mod kernels;
mod layers;
mod likeness;
mod manifest;
pub mod ops;
mod takeover;
pub(crate) mod vector;
mod weights;
mod words;

pub use artifacts::{Artifacts, ArtifactsError, ModelInfo, file};
pub use batch::Batch;
pub use bert::{Bert, Look};
pub use calibration::Calibration;
pub use config::BertConfig;
pub use department_words::{DEPARTMENT_WORDS, DepartmentWords};
pub use departments::Department;
pub use dispute::{DisputeModel, Weighing, Weighings, Weight, Witness};
pub use encoder::{Cores, Encoder, HeadRows, Precision, PrecisionError, PrecisionSetting, Sequence, Setting};
pub use heads::{Classifier, HeadOutput};
pub use layers::StepDropout;
pub use likeness::{DutyBound, Likeness, StandingBound};
pub use manifest::{DataRecord, FileRecord, Int8Gate, Manifest, sha256_hex};
pub use takeover::{Redispatches, Takeover};
pub use weights::{CENTRES, WeightsError};
pub use words::{DISPUTE_WORDS, DisputeWords, buckets};
