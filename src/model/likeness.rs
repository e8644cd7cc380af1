//! How like an appeal must be to a ruling. Fitted on held-out orders by the training crate, kept in `calibration.json`; each bound
//! comes with the precision that was measured at it, so that an answer can say how sure a likeness is.

use serde::{Deserialize, Serialize};

/// The bounds of likeness. A folder without them shows precedents and lets no standing ruling apply: what was never measured
/// overrides nobody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Likeness {
    /// For a standing ruling with required words, all of which occur; `None`: such a ruling never applies.
    pub worded: Option<StandingBound>,
    /// For one without; `None`: such a ruling never applies.
    pub unworded: Option<StandingBound>,
    /// Least similarity of a precedent that is shown.
    pub precedent_similarity: f32,
}

/// When a standing ruling applies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingBound {
    /// Least similarity to the likest of its texts.
    pub similarity: f32,
    /// Least probability that the model gives its lead.
    pub probability: f32,
    /// How often the ruling's lead was the right one on held-out orders, within these bounds.
    pub precision: f32,
}

/// When a department that the model has never seen is named by its duties. A folder without it names none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DutyBound {
    /// Least similarity of the appeal to the likest of its duties.
    pub similarity: f32,
    /// By how much that must be above the similarity to the likest duty of any other department.
    pub margin: f32,
    /// How often the department was the right one on held-out orders, within these bounds.
    pub precision: f32,
}

impl DutyBound {
    /// Refuses what is no similarity or no share.
    pub fn check(&self) -> Result<(), String> {
        match [self.similarity, self.margin, self.precision].into_iter().find(|number| !(0.0..=1.0).contains(number)) {
            Some(number) => Err(format!("duties holds {number}, which does not lie in [0, 1]")),
            None => Ok(()),
        }
    }
}

impl Default for Likeness {
    fn default() -> Self {
        Self { worded: None, unworded: None, precedent_similarity: 0.8 }
    }
}

impl Likeness {
    /// The least similarity at which any standing ruling may apply; `None` if none ever does.
    pub fn least(&self) -> Option<f32> {
        [&self.worded, &self.unworded].into_iter().flatten().map(|bound| bound.similarity).min_by(f32::total_cmp)
    }

    /// The bound for a ruling with required words, or without.
    pub fn bound(&self, worded: bool) -> Option<&StandingBound> {
        if worded { self.worded.as_ref() } else { self.unworded.as_ref() }
    }

    /// Refuses what is no similarity or no share.
    pub fn check(&self) -> Result<(), String> {
        let bounds = [&self.worded, &self.unworded].into_iter().flatten();
        let standing = bounds.flat_map(|bound| [bound.similarity, bound.probability, bound.precision]);
        match standing.chain([self.precedent_similarity]).find(|number| !(0.0..=1.0).contains(number)) {
            Some(number) => Err(format!("precedents holds {number}, which does not lie in [0, 1]")),
            None => Ok(()),
        }
    }
}
