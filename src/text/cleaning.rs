//! From the operator's note to the citizen's words: normalise, mask, remove the dispatch instruction and the boilerplate.
//!
//! The operator's instruction names the answer (请某局核实处理): a model that may read it learns to copy it, and fails where
//! nobody has decided yet. So it goes, in training and in use, through this one function.

use super::aligned::Aligned;
use super::masking;
use super::normalize::normalize_aligned;
use super::wording;

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

/// What is left of a text must have this many letters or digits, or its wording stays untouched.
const FEWEST_LETTERS_LEFT: usize = 4;

/// Removing one instruction may uncover another. Real texts need two rounds; the limit is for made-up ones.
const MOST_ROUNDS: usize = 8;

/// Normalises, masks and cleans: the one function that training and serving share.
///
/// - Control characters and byte order are dealt with first: C0 and C1 controls, noncharacters and U+FFFD become a space;
///   zero-width and bidirectional marks, soft hyphens, variation selectors and tags are dropped.
/// - [`normalize`](super::normalize()), then personal data is replaced by placeholders. The placeholders of phone, ID and order
///   numbers are dropped again, since that a number stood there says nothing about who is responsible.
/// - The header (市民来电反映:), the deadline boilerplate and the dispatch instructions (请某局核实处理) are removed, thanks and
///   stray punctuation around them too. Where that would leave fewer than four letters, the wording stays as it was.
/// - No space beside a Chinese character.
///
/// Cleaning a clean text changes nothing.
pub fn clean(text: &str) -> CleanText {
    let mut current = Aligned::original(text);
    for _ in 0..MOST_ROUNDS {
        let next = round(current.clone());
        if next.text == current.text {
            break;
        }
        current = next;
    }
    CleanText { text: current.text, source: current.source }
}

fn round(text: Aligned) -> Aligned {
    let masked = masking::mask(normalize_aligned(&without_controls(&text)));
    let plain = wording::without_spaces(wording::without_numbers(masked));
    let cleaned = wording::without_spaces(wording::without_instructions(plain.clone()));
    if letters(&cleaned.text) >= FEWEST_LETTERS_LEFT { cleaned } else { plain }
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).take(FEWEST_LETTERS_LEFT).count()
}

/// What no one can see: a space in place of controls, nothing in place of marks.
fn without_controls(text: &Aligned) -> Aligned {
    let mut out = Aligned { text: String::with_capacity(text.text.len()), source: Vec::with_capacity(text.source.len()) };
    for (character, source) in text.chars() {
        match character {
            '\t' | '\n' | '\r' => out.push(character, source),
            c if c.is_control() || c == '\u{fffd}' || is_noncharacter(c) => out.push(' ', source),
            c if is_invisible(c) => {}
            c => out.push(c, source),
        }
    }
    out
}

/// Zero-width and bidirectional marks, soft hyphen, variation selectors, tags.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_noncharacter(character: char) -> bool {
    matches!(character as u32, 0xfdd0..=0xfdef) || character as u32 & 0xfffe == 0xfffe
}

/// Whether nothing is left of a text once what cannot be seen is gone.
pub(super) fn is_blank(text: &str) -> bool {
    normalize_aligned(&without_controls(&Aligned::original(text))).text.is_empty()
}

/// Whether more than a tenth of a text is replacement characters: it was decoded with the wrong character set.
pub(super) fn is_mojibake(text: &str) -> bool {
    text.chars().filter(|&c| c == '\u{fffd}').count() * 10 > text.chars().count()
}
