//! From the operator's note to the citizen's words: normalise, mask, remove the dispatch instruction and the boilerplate.
//!
//! The operator's instruction names the answer (请某局核实处理): a model that may read it learns to copy it, and fails where
//! nobody has decided yet. So it goes, in training and in use, through this one function.

use super::aligned::Aligned;
use super::masking;
use super::normalize::{is_ideograph, is_letter_or_digit, normalize_aligned};
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

    /// A stretch of it, by bytes, with its way back.
    pub(super) fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let kept = Aligned { text: self.text.clone(), source: self.source.clone() }.kept(range);
        Self { text: kept.text, source: kept.source }
    }

    /// This, and after it another stretch that stands further on in the same text.
    pub(super) fn followed_by(mut self, further: &Self) -> Self {
        self.text.push_str(&further.text);
        self.source.extend_from_slice(&further.source);
        self
    }
}

/// What is left of a text must have this many letters or digits, or its wording stays untouched.
const FEWEST_LETTERS_LEFT: usize = 4;

/// Removing one instruction may uncover another. Real texts need two rounds; the limit is for made-up ones.
const MOST_ROUNDS: usize = 8;

/// Normalises, masks and cleans: the one function that training and serving share.
///
/// - What no one can see goes first: C0 and C1 controls, noncharacters and U+FFFD become a space;
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
    let masked = masking::mask(normalize_aligned(without_controls(text)));
    let plain = wording::without_spaces(wording::without_numbers(masked));
    let cleaned = wording::without_spaces(wording::without_instructions(plain.clone()));
    if letters(&cleaned.text) >= FEWEST_LETTERS_LEFT { cleaned } else { plain }
}

fn letters(text: &str) -> usize {
    text.chars().filter(|&c| is_letter_or_digit(c)).take(FEWEST_LETTERS_LEFT).count()
}

/// What no one can see: a space in place of controls, nothing in place of marks.
pub(super) fn without_controls(text: Aligned) -> Aligned {
    if text.text.chars().all(is_seen) {
        return text;
    }
    let mut out = text.emptied();
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

/// Whether [`without_controls`] leaves `character` as it is.
fn is_seen(character: char) -> bool {
    let control = character.is_control() && !matches!(character, '\t' | '\n' | '\r');
    is_ideograph(character) || !control && character != '\u{fffd}' && !is_noncharacter(character) && !is_invisible(character)
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
    // One Chinese character is enough; the long way is for texts without any.
    !text.chars().any(is_ideograph) && normalize_aligned(without_controls(Aligned::original(text))).text.is_empty()
}

/// Whether more than a tenth of a text is replacement characters: it was decoded with the wrong character set.
pub(super) fn is_mojibake(text: &str) -> bool {
    text.chars().filter(|&c| c == '\u{fffd}').count() * 10 > text.chars().count()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

    use super::*;

    #[test]
    fn every_character_kept_points_at_its_original() {
        let sent = "  市民来电反映：　Ａ栋\u{200b}楼道堆满杂物，联系电话１３８-1234-5678。请某区政府核实处理！";
        let cleaned = clean(sent);
        assert_eq!(cleaned.as_str(), "a栋楼道堆满杂物,联系电话");
        let original: Vec<char> = sent.chars().collect();
        let back: String = cleaned.source().iter().map(|&at| original[at as usize]).collect();
        assert_eq!(back, "Ａ栋楼道堆满杂物，联系电话");
    }

    #[test]
    fn what_would_be_nothing_without_its_instruction_stays() {
        assert_eq!(clean("请交警核实处理").as_str(), "请交警核实处理");
        assert_eq!(clean("市民来电反映：占道，请城管核实处理！").as_str(), "市民来电反映:占道,请城管核实处理!");
        assert_eq!(clean("！！！").as_str(), "!!!");
        assert_eq!(clean(" \u{200b}\n").as_str(), "");
    }

    #[test]
    fn controls_become_spaces_and_invisible_marks_vanish() {
        assert_eq!(clean("路\u{200d}灯\u{feff}坏\u{202e}了\u{ad}很久").as_str(), "路灯坏了很久");
        assert_eq!(clean("bus\u{7}stop\u{85}no\u{fffd}sign").as_str(), "bus stop no sign");
    }

    #[test]
    fn cleaning_a_clean_text_changes_nothing() {
        let pieces = [
            "请",
            "城管",
            "交警",
            "核实处理",
            "(请职能局按规定在30分钟内联系市民,响应处置)",
            "市民来电反映:",
            "谢谢",
            "！",
            "，",
            "。",
            "？",
            " ",
            "\n",
            "13812345678",
            "[工单号]",
            "138",
            "-",
            "1234",
            "5678",
            "(",
            ")",
            "京A",
            "12345",
            "路灯坏了",
            "某局",
            "处理",
            "回复",
            "市民再次",
            "\u{200b}",
            "\u{301}",
            "Ａ",
            "请问",
            "哪个",
            "工单号",
            ":",
            "30分钟",
            "响应处置",
            "ｶ",
            "ﾞ",
            "@",
            "a.cn",
            "[电话]",
            "微信号",
            "abc12345",
            "İ",
            "ẞ",
            "Σ",
        ];
        let mut random = StdRng::seed_from_u64(5);
        for _ in 0..30_000 {
            let count = random.random_range(0..16);
            let text: String = (0..count).filter_map(|_| pieces.choose(&mut random)).copied().collect();
            let once = clean(&text);
            assert_eq!(clean(once.as_str()).as_str(), once.as_str(), "{text:?}");
            assert_eq!(once.as_str().chars().count(), once.source().len());
            assert!(once.source().is_sorted(), "{text:?}");
            assert!(once.source().last().is_none_or(|&last| (last as usize) < text.chars().count()));
        }
    }
}
