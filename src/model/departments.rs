//! The departments that a model was trained to tell apart: stable ids, in the order of the department head's rows.

use serde::{Deserialize, Serialize};

/// A department as the model knows it; an entry of `departments.json`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Department {
    /// Stable id, the label in a city's data.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Orders of this department that the model was trained on; 0 if unknown.
    #[serde(default)]
    pub training_orders: usize,
}
