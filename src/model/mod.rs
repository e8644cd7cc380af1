//! The model: its folder, its encoder, its heads, its calibration.

mod artifacts;
mod departments;

pub use artifacts::{ArtifactsError, ModelInfo};
pub use departments::Department;
