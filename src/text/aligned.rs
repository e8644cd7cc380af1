//! A text that remembers, character by character, where it came from. Every step of the way from the operator's note to the
//! model works on one of these, so that evidence can be shown in the words that the caller sent.

use std::ops::Range;

/// Text, and for each of its characters the index of the character of the original (ascending).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Aligned {
    pub(super) text: String,
    pub(super) source: Vec<u32>,
}

/// One replacement: a byte range of the text, and what stands there afterwards.
pub(super) type Edit<'a> = (Range<usize>, &'a str);

impl Aligned {
    /// The text as it was sent: every character is its own source.
    pub(super) fn original(text: &str) -> Self {
        Self { text: text.to_owned(), source: (0..text.chars().count() as u32).collect() }
    }

    /// One with nothing in it, and room for as much.
    pub(super) fn emptied(&self) -> Self {
        Self { text: String::with_capacity(self.text.len()), source: Vec::with_capacity(self.source.len()) }
    }

    /// Adds one character that came from the original's character `source`.
    pub(super) fn push(&mut self, character: char, source: u32) {
        self.text.push(character);
        self.source.push(source);
    }

    /// The characters with their sources.
    pub(super) fn chars(&self) -> impl Iterator<Item = (char, u32)> + '_ {
        self.text.chars().zip(self.source.iter().copied())
    }

    /// Makes all replacements in one pass. They must be in ascending order; one that overlaps its predecessor is left out.
    /// The characters of a replacement are spread over the span that they replace: the first maps to its first character,
    /// the last to its last.
    pub(super) fn edited(self, edits: &[Edit<'_>]) -> Self {
        if edits.is_empty() {
            return self;
        }
        let mut out = self.emptied();
        let (mut byte, mut character) = (0, 0);
        for (range, replacement) in edits {
            if range.start < byte {
                continue;
            }
            let kept = &self.text[byte..range.start];
            let kept_chars = kept.chars().count();
            out.text.push_str(kept);
            out.source.extend_from_slice(&self.source[character..character + kept_chars]);
            character += kept_chars;
            let gone = &self.source[character..character + self.text[range.clone()].chars().count()];
            let wanted = replacement.chars().count();
            for (i, new) in replacement.chars().enumerate() {
                let at = if wanted > 1 { i * gone.len().saturating_sub(1) / (wanted - 1) } else { 0 };
                out.push(new, gone[at]);
            }
            character += gone.len();
            byte = range.end;
        }
        out.text.push_str(&self.text[byte..]);
        out.source.extend_from_slice(&self.source[character..]);
        out
    }

    /// Keeps a byte range.
    pub(super) fn kept(self, range: Range<usize>) -> Self {
        if range == (0..self.text.len()) {
            return self;
        }
        let from = self.text[..range.start].chars().count();
        let count = self.text[range.clone()].chars().count();
        Self { text: self.text[range].to_owned(), source: self.source[from..from + count].to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_is_spread_over_what_it_replaces() {
        let text = Aligned::original("路灯12345678坏了");
        let text = text.edited(&[(6..14, "[号]")]);
        assert_eq!(text.text, "路灯[号]坏了");
        assert_eq!(text.source, [0, 1, 2, 5, 9, 10, 11]);
    }

    #[test]
    fn a_removed_span_leaves_its_neighbours_aligned() {
        let text = Aligned::original("甲乙丙丁").edited(&[(3..6, ""), (4..5, "overlaps")]);
        assert_eq!((text.text.as_str(), text.source.as_slice()), ("甲丙丁", [0u32, 2, 3].as_slice()));
        assert_eq!(text.kept(3..9).source, [2, 3]);
    }
}
