//! NFKC, lower case, one kind of space: the vocabulary knows nothing else.
//!
//! In Python the same is `" ".join(unicodedata.normalize("NFKC", text).lower().split())`. The aligned form below gives the very
//! same characters and remembers where each came from: NFKC never mixes characters across a starter that cannot combine with
//! what stands before it, so the text is normalised piece by piece between such starters.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

use super::aligned::Aligned;

/// Normalised text: NFKC, lower case, each run of white space as one space, none at the ends. In Python:
/// `" ".join(unicodedata.normalize("NFKC", text).lower().split())`.
pub fn normalize(text: &str) -> String {
    normalize_aligned(Aligned::original(text)).text
}

/// [`normalize`], each character with its source. The characters of one piece all map to the piece's first character, unless
/// nothing changed.
pub(super) fn normalize_aligned(text: Aligned) -> Aligned {
    collapse_spaces(lower(nfkc(text)))
}

fn nfkc(text: Aligned) -> Aligned {
    if text.text.chars().all(is_settled) {
        return text;
    }
    let mut out = text.emptied();
    let mut piece: Vec<(char, u32)> = Vec::new();
    for (character, source) in text.chars() {
        if starts_a_piece(character) {
            flush(&mut piece, &mut out);
        }
        piece.push((character, source));
    }
    flush(&mut piece, &mut out);
    out
}

/// Whether NFKC leaves `character` as it is, whatever of the same kind stands beside it: most of a Chinese text.
fn is_settled(character: char) -> bool {
    character.is_ascii() || is_ideograph(character) || matches!(character, '\u{3001}'..='\u{3011}')
}

/// Whether `character` is in the first block of unified ideographs: nearly all Chinese characters in use.
pub(crate) fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{4e00}'..='\u{9fff}')
}

/// The plain form of a full-width ASCII character.
fn half_width(character: char) -> Option<char> {
    matches!(character, '\u{ff01}'..='\u{ff5e}').then(|| char::from_u32(character as u32 - 0xfee0)).flatten()
}

fn flush(piece: &mut Vec<(char, u32)>, out: &mut Aligned) {
    match piece[..] {
        [] => return,
        [(character, source)] if is_settled(character) => out.push(character, source),
        [(character, source)] => match half_width(character) {
            Some(plain) => out.push(plain, source),
            None => std::iter::once(character).nfkc().for_each(|c| out.push(c, source)),
        },
        [(_, first), ..] => {
            let before = out.source.len();
            piece.iter().map(|&(character, _)| character).nfkc().for_each(|c| out.push(c, first));
            if out.source.len() - before == piece.len() {
                out.source.truncate(before);
                out.source.extend(piece.iter().map(|&(_, source)| source));
            }
        }
    }
    piece.clear();
}

/// Whether nothing of `character` can combine with, or be reordered before, what stands before it.
fn starts_a_piece(character: char) -> bool {
    // The long way below says the same of these.
    if is_settled(character) || half_width(character).is_some() {
        return true;
    }
    std::iter::once(character).nfkd().next().is_none_or(|first| {
        let joins = matches!(first,
            '\u{1161}'..='\u{1175}' | '\u{11a8}'..='\u{11c2}' // Hangul vowels and finals
            | '\u{16d63}'..='\u{16d6a}'); // Kirat Rai vowel signs, which are letters
        canonical_combining_class(first) == 0 && !is_combining_mark(first) && !joins
    })
}

fn lower(text: Aligned) -> Aligned {
    if text.text.chars().all(|c| is_settled(c) && !c.is_ascii_uppercase()) {
        return text;
    }
    let mut out = Aligned { text: text.text.to_lowercase(), source: Vec::with_capacity(text.source.len()) };
    // A final sigma is the only letter whose lower case depends on its neighbours, and it is one character either way.
    for (character, source) in text.chars() {
        out.source.extend(std::iter::repeat_n(source, character.to_lowercase().count()));
    }
    out
}

fn collapse_spaces(text: Aligned) -> Aligned {
    if !text.text.contains(is_space) {
        return text;
    }
    let mut out = text.emptied();
    let mut space: Option<u32> = None;
    for (character, source) in text.chars() {
        if is_space(character) {
            space.get_or_insert(source);
            continue;
        }
        if let Some(at) = space.take()
            && !out.text.is_empty()
        {
            out.push(' ', at);
        }
        out.push(character, source);
    }
    out
}

/// `char::is_alphanumeric`, which looks Chinese characters up in a table.
pub(crate) fn is_letter_or_digit(character: char) -> bool {
    is_ideograph(character) || character.is_alphanumeric()
}

/// White space as Python's `str.split` sees it: Unicode's, and the four separators of ASCII.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn reference(text: &str) -> String {
        let lower = text.nfkc().collect::<String>().to_lowercase();
        lower.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn full_width_letters_digits_and_punctuation_become_plain() {
        assert_eq!(normalize("  ＡＢＣ１２３，小区　Wi‑Fi\t坏了！\n"), "abc123,小区 wi‐fi 坏了!");
        assert_eq!(normalize("㎡ ① ﬁ ½ ΟΔΟΣ"), "m2 1 fi 1⁄2 οδος");
    }

    #[test]
    fn it_equals_nfkc_of_the_whole_string_on_any_characters() {
        let mut random = StdRng::seed_from_u64(3);
        // The blocks where characters combine, decompose or reorder, and all of Unicode.
        let blocks = [
            0..0x250,
            0x300..0x370,
            0x900..0xe00,
            0x1100..0x1200,
            0xac00..0xad00,
            0x3040..0x3400,
            0xff00..0xfff0,
            0x16d60..0x16d70,
            0x11000..0x11a00,
            0..0x11_0000,
        ];
        for round in 0..40_000 {
            let block = &blocks[round % blocks.len()];
            let text: String = (0..random.random_range(1..8))
                .filter_map(|_| {
                    let block = if random.random_bool(0.8) { block } else { &blocks[random.random_range(0..blocks.len())] };
                    char::from_u32(random.random_range(block.clone()))
                })
                .collect();
            let aligned = normalize_aligned(Aligned::original(&text));
            assert_eq!(aligned.text, reference(&text), "{:?}", text.escape_unicode().to_string());
            assert_eq!(aligned.text.chars().count(), aligned.source.len());
            assert!(aligned.source.is_sorted());
        }
    }

    #[test]
    fn every_single_character_is_normalised_as_by_itself() {
        for character in (0..=0x10_ffff).filter_map(char::from_u32) {
            let text = format!("路{character}灯");
            assert_eq!(normalize(&text), reference(&text), "U+{:04X}", character as u32);
        }
    }

    #[test]
    fn the_short_ways_say_what_the_long_ones_say() {
        for character in (0..=0x10_ffff).filter_map(char::from_u32) {
            let is = format!("U+{:04X}", character as u32);
            assert_eq!(is_letter_or_digit(character), character.is_alphanumeric(), "{is}");
            let normal = || std::iter::once(character).nfkc();
            assert!(!is_settled(character) || normal().eq([character]), "{is}");
            assert!(half_width(character).is_none_or(|plain| normal().eq([plain])), "{is}");
        }
    }

    #[test]
    fn each_character_knows_its_source() {
        let aligned = normalize_aligned(Aligned::original(" ㈱ e\u{301}路  灯"));
        assert_eq!(aligned.text, "(株) é路 灯");
        assert_eq!(aligned.source, [1, 1, 1, 2, 3, 5, 6, 8]);
    }
}
