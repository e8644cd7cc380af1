//! The short way to a text's tokens, for texts like nearly all: Chinese characters and marks, which BERT's tokenizer makes a
//! token each wherever they stand, and words of small Latin letters and digits. The library takes a tenth of a millisecond for such
//! a text, most of it for copies; this way takes a thirtieth of that. What it cannot read it leaves to the library as a whole, and
//! it never says anything else than the library does: of each character the library is asked once, when it first occurs.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tokenizers::{Model, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

/// Tokens of a text without special ones.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tokens {
    /// Vocabulary ids.
    pub(super) ids: Vec<u32>,
    /// For each its characters in the text, end exclusive.
    pub(super) spans: Vec<(usize, usize)>,
}

impl Tokens {
    fn push(&mut self, id: u32, span: (usize, usize)) {
        self.ids.push(id);
        self.spans.push(span);
    }
}

/// The ids of the characters that are a token by themselves wherever they stand, as far as they have occurred.
pub(super) struct LoneCharacters {
    /// By the character's number, for those of Unicode's first plane. Whoever finds one unasked asks, and two get the same answer.
    ids: Box<[AtomicU32]>,
    /// What [`LETTER`] is by itself.
    letter: u32,
}

const UNASKED: u32 = u32::MAX;
const NOT_ALONE: u32 = u32::MAX - 1;
/// How many characters are remembered.
const PLANE: usize = 0x1_0000;
/// Part of a word: what stands between two of it and is not drawn into one word with them stands alone everywhere.
const LETTER: char = '1';

impl LoneCharacters {
    /// For a tokenizer; `None` if it is not built like BERT's, or looks for words of its own before anything else: then it may
    /// matter where a character stands.
    pub(super) fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let like_bert = matches!(tokenizer.get_model(), ModelWrapper::WordPiece(_))
            && matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)))
            && matches!(tokenizer.get_normalizer(), Some(NormalizerWrapper::BertNormalizer(_)))
            && tokenizer.get_added_tokens_decoder().values().all(|token| token.special);
        let letter = tokenizer.encode_fast(LETTER.to_string(), false).ok()?.get_ids().first().copied()?;
        like_bert.then(|| Self { ids: (0..PLANE).map(|_| AtomicU32::new(UNASKED)).collect(), letter })
    }

    /// The tokens, or `None` if the text holds a character that the library has to see. `tokenizer` is the one of
    /// [`of`](Self::of).
    pub(super) fn tokens(&self, tokenizer: &Tokenizer, text: &str) -> Option<Tokens> {
        let mut tokens = Tokens::default();
        let mut rest = text.char_indices().peekable();
        let mut at = 0;
        while let Some((byte, character)) = rest.next() {
            if character == ' ' {
                at += 1;
            } else if in_word(character) {
                let mut end = byte + 1;
                while rest.next_if(|&(_, next)| in_word(next)).is_some() {
                    end += 1;
                }
                // A byte of these is a character.
                for token in tokenizer.get_model().tokenize(&text[byte..end]).ok()? {
                    tokens.push(token.id, (at + token.offsets.0, at + token.offsets.1));
                }
                at += end - byte;
            } else {
                tokens.push(self.id(tokenizer, character)?, (at, at + 1));
                at += 1;
            }
        }
        Some(tokens)
    }

    fn id(&self, tokenizer: &Tokenizer, character: char) -> Option<u32> {
        let known = self.ids.get(character as usize)?;
        let mut id = known.load(Relaxed);
        if id == UNASKED {
            id = self.ask(tokenizer, character).unwrap_or(NOT_ALONE);
            known.store(id, Relaxed);
        }
        (id != NOT_ALONE).then_some(id)
    }

    /// Drawn into one word with its neighbours, it would change what becomes of them.
    fn ask(&self, tokenizer: &Tokenizer, character: char) -> Option<u32> {
        let said = tokenizer.encode_char_offsets([LETTER, character, LETTER].iter().collect::<String>(), false).ok()?;
        let &[before, id, behind] = said.get_ids() else { return None };
        let alone = said.get_offsets() == [(0, 1), (1, 2), (2, 3)] && [before, behind] == [self.letter; 2];
        alone.then_some(id)
    }
}

/// What BERT's tokenizer neither changes nor takes apart before it looks for pieces in its vocabulary.
fn in_word(character: char) -> bool {
    character.is_ascii_lowercase() || character.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WORDS: [&str; 12] = ["[UNK]", "路", "灯", "坏", ",", "。", "a", "##b", "ab1", "é", "々", "한"];

    fn tokenizer(added: serde_json::Value, pre_tokenizer: &str) -> Tokenizer {
        let vocab: serde_json::Map<_, _> = WORDS.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id.into())).collect();
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "post_processor": null, "decoder": null, "added_tokens": added,
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": true,
                "lowercase": true},
            "pre_tokenizer": {"type": pre_tokenizer},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 6,
                "vocab": vocab},
        });
        Tokenizer::from_bytes(json.to_string()).expect("a good tokenizer")
    }

    fn usual() -> Tokenizer {
        tokenizer(json!([]), "BertPreTokenizer")
    }

    fn added(content: &str, special: bool) -> serde_json::Value {
        json!([{"id": WORDS.len(), "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": special}])
    }

    #[test]
    fn characters_marks_and_words_are_what_the_library_makes_of_them() {
        let tokenizer = usual();
        let lone = LoneCharacters::of(&tokenizer).expect("it is built like BERT's");
        for text in ["", " ", "路灯,坏。", "ab1路ab灯 a b", "“路”…灯?ab1b", "abababab路", "1[ab]1"] {
            let tokens = lone.tokens(&tokenizer, text).unwrap_or_else(|| panic!("{text} is plain"));
            let said = tokenizer.encode_char_offsets(text, false).expect("tokens");
            assert_eq!((&tokens.ids[..], &tokens.spans[..]), (said.get_ids(), said.get_offsets()), "{text}");
        }
        let tokens = lone.tokens(&tokenizer, "灯“ab坏").expect("it is plain");
        assert_eq!(tokens, Tokens { ids: vec![2, 0, 6, 7, 3], spans: vec![(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)] });
    }

    #[test]
    fn what_is_drawn_into_words_or_changed_on_the_way_is_left_to_the_library() {
        let tokenizer = usual();
        let lone = LoneCharacters::of(&tokenizer).expect("it is built like BERT's");
        // In the vocabulary or not: an accent that is stripped, Hangul and signs that join words, a capital, what stands beyond the
        // first plane, another kind of space. Twice: asked, and remembered.
        for text in ["é", "한", "々路", "灯±", "A", "😀", "路\u{301}", "路\t灯"].repeat(2) {
            assert_eq!(lone.tokens(&tokenizer, text), None, "{text}");
        }
    }

    #[test]
    fn a_tokenizer_of_another_kind_has_no_short_way() {
        assert!(LoneCharacters::of(&tokenizer(added("[SEP]", true), "BertPreTokenizer")).is_some());
        assert!(LoneCharacters::of(&tokenizer(added("路灯", false), "BertPreTokenizer")).is_none());
        assert!(LoneCharacters::of(&tokenizer(json!([]), "WhitespaceSplit")).is_none());
    }
}
