//! What is wrong with a catalogue, with file and line.

use std::path::PathBuf;
use std::sync::Arc;

use crate::text::nearest;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct Fault {
    /// Path of the file, below the folder as it was given.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and where it is clear, what would be right.
    pub reason: String,
}

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The folder cannot be read at all.
    #[error("catalogue {path}: {source}", path = path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It was read, and something is wrong in it. All faults, in the order of files and lines.
    #[error("{}", listed(faults))]
    Faulty {
        /// The folder.
        folder: PathBuf,
        /// At least one.
        faults: Vec<Fault>,
    },
    /// Its duties cannot be compared with appeals.
    #[error("catalogue {city} {version}: duties: {reason}")]
    Duties {
        /// Whose catalogue.
        city: String,
        /// Which.
        version: String,
        /// Why.
        reason: String,
    },
    /// The model knows a department that the catalogue does not.
    #[error("catalogue {city} {version}: the model's department {id:?} is not in it{hint}")]
    Lacks {
        /// Whose catalogue.
        city: String,
        /// Which.
        version: String,
        /// The department.
        id: String,
        /// What may have been meant.
        hint: String,
    },
}

fn listed(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    lines.join("\n")
}

/// ` (did you mean "…"?)`, or nothing.
pub(super) fn did_you_mean<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    // The distance of two characters that share none is two: no slip of the finger.
    let near = nearest(typed, names).filter(|name| name.chars().any(|c| typed.contains(c)));
    near.map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
}
