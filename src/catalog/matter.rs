//! Matters (事项): kinds of appeal whose responsibility is settled, or contested nearly everywhere.

use super::{Basis, Words};

/// A kind of thing that an appeal is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Matter {
    /// Stable id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Words that must all occur.
    pub words: Words,
    /// Words of which none may occur.
    pub without: Words,
    /// Id of the lead department (主办).
    pub lead: String,
    /// Ids of the supporting departments (协办).
    pub supporting: Vec<String>,
    /// Ids of the departments that usually contest it.
    pub contesting: Vec<String>,
    /// What the split rests on; may be empty.
    pub basis: Vec<Basis>,
}

impl Matter {
    /// How many characters of its words occur, if the matter fits.
    pub fn fit(&self, text: &str) -> Option<usize> {
        if self.without.any_occurs(text) { None } else { self.words.fit(text) }
    }
}
