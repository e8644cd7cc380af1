//! Which standing ruling (类案) an appeal falls under. It must be in force on the day and in the district, its required words must
//! occur and its forbidden ones must not, and the appeal must be like its examples or its description. Of several the higher body
//! wins, then the later decision, then the narrower area.
//!
//! How like is like enough was measured, and differs by whether the ruling has required words. Embeddings that were taught
//! departments say above all who an appeal belongs to, and much less what it is about: appeals of one department lie close even
//! where their matters differ. Words tell the matter. A ruling that names some needs less likeness; one without needs more, and
//! the model must hold its lead possible, or a ruling about one matter would carry off all that its examples' department does.

use std::sync::Arc;

use super::Ruling;
use super::nearness::Codes;
use crate::catalog::{Day, DepartmentCatalog, Place};

/// A standing ruling with its texts' embeddings.
#[derive(Debug, Clone)]
pub(super) struct StandingRuling {
    pub ruling: Arc<Ruling>,
    /// Of its texts.
    pub embeddings: Codes,
    /// Of its texts.
    pub signs: Vec<Vec<u8>>,
}

/// What is known of an appeal when its standing ruling is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// Day of receipt.
    pub day: Day,
    /// District; of no name if it is not known.
    pub district: Place<'a>,
    /// Text and category, in which words are looked for.
    pub words: &'a str,
    /// The appeal's own, of length one.
    pub embedding: &'a [f32],
}

/// A standing ruling whose words, days and area fit an appeal, and how like it the appeal is. Whether that is like enough is for
/// the caller to say: it knows what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitting {
    /// Which.
    pub ruling: Arc<Ruling>,
    /// Cosine to the likest of its texts.
    pub similarity: f32,
    /// True if it has required words; they all occur.
    pub worded: bool,
}

impl StandingRuling {
    /// `None` if it does not apply whatever the likeness, or is less like than `least`.
    pub fn fitting(&self, occasion: &Occasion<'_>, least: f32) -> Option<Fitting> {
        if !self.ruling.applies(occasion.day, occasion.district) {
            return None;
        }
        let similarity = self.embeddings.likest(occasion.embedding);
        if similarity < least || !self.ruling.words_fit(occasion.words) {
            return None;
        }
        Some(Fitting { ruling: Arc::clone(&self.ruling), similarity, worded: !self.ruling.required_words.is_empty() })
    }

    /// True if both could decide one appeal: they have a day and a place in common, by whatever name the catalogue knows it.
    pub fn meets(&self, other: &Ruling, catalog: Option<&DepartmentCatalog>) -> bool {
        let (a, b) = (&self.ruling, other);
        let places = a.districts.is_empty() || a.districts.iter().any(|one| b.holds_in(Place::of(catalog, one)));
        a.effective.overlaps(b.effective) && places
    }
}

impl Ruling {
    /// True if all required words occur, or there are none, and no forbidden one does.
    pub fn words_fit(&self, text: &str) -> bool {
        (self.required_words.is_empty() || self.required_words.fit(text).is_some()) && !self.forbidden_words.any_occurs(text)
    }
}
