//! The departments that a model was trained to tell apart: stable ids, in the order of the department head's rows.

/// A department as the model knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Department {
    /// Stable id, the label in a city's data.
    pub id: String,
    /// Name for people.
    pub name: String,
}
