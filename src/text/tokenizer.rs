//! From clean text to token ids, within the length the model can read.
//!
//! The ids are those of Hugging Face's `tokenizer(text, second)` wherever everything fits. What does not fit is not lost
//! silently: the appeal is read from its head and its tail, and the encoding says so.

use std::ops::Range;

use super::plain::{LoneCharacters, Tokens};
use super::{CleanText, normalize};

/// The most tokens of the second sentence that are read: a category path of four levels has about thirty.
pub const MAX_SECOND_TOKENS: usize = 64;

/// The fewest tokens that an encoding may be asked to fit into: below, there is no room for any text.
pub const MIN_TOKENS: usize = 8;

/// How much of an appeal the model read. An appeal that fits is read whole; a longer one from its head and its tail, since an
/// operator's note says what it is about first and what is asked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Every token was read.
    Whole,
    /// The first and the last tokens were read (three quarters and one quarter of the room); the middle was not.
    HeadAndTail,
}

/// Token ids of one appeal: `[CLS] text [SEP]` or `[CLS] text [SEP] category [SEP]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoding {
    /// Vocabulary ids, [CLS] first.
    pub ids: Vec<u32>,
    /// 0 for the appeal's text, 1 for the operator's category and type.
    pub type_ids: Vec<u32>,
    /// For each token its span in characters of the ORIGINAL text, end exclusive; `None` for special tokens and for the
    /// second sentence.
    pub spans: Vec<Option<(u32, u32)>>,
    /// Tokens that the whole appeal would have had, special ones counted.
    pub tokens_given: usize,
    /// How it was read.
    pub reading: Reading,
}

impl Encoding {
    /// Ids of the appeal's text that were read.
    pub fn text_ids(&self) -> impl Iterator<Item = u32> {
        self.ids.iter().zip(&self.spans).filter(|(_, span)| span.is_some()).map(|(id, _)| *id)
    }

    /// The same without those at some places.
    pub fn text_ids_outside(&self, hidden: Range<usize>) -> impl Iterator<Item = u32> {
        let text = self.ids.iter().zip(&self.spans).enumerate();
        text.filter(move |(place, (_, span))| span.is_some() && !hidden.contains(place)).map(|(_, (id, _))| *id)
    }

    /// Number of tokens of the appeal's text that were read: neither special ones nor the second sentence.
    pub fn text_tokens(&self) -> usize {
        self.spans.iter().flatten().count()
    }
}

/// Why a tokenizer could not be opened or used.
#[derive(Debug, thiserror::Error)]
#[error("tokenizer: {0}")]
pub struct TokenizerError(pub String);

/// The model folder's `tokenizer.json`. Many threads may share one.
pub struct AppealTokenizer {
    inner: tokenizers::Tokenizer,
    /// The short way, if this tokenizer has one.
    lone: Option<LoneCharacters>,
    cls: u32,
    sep: u32,
    unk: u32,
    pad: u32,
}

impl AppealTokenizer {
    /// Reads the bytes of a `tokenizer.json`. Truncation and padding set in it are ignored: length is decided here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| TokenizerError(e.to_string()))?;
        inner.with_padding(None).with_truncation(None).map_err(|e| TokenizerError(e.to_string()))?;
        // A citizen who types "[SEP]" means five characters, not the end of a sentence.
        inner.set_encode_special_tokens(true);
        let special = |token: &str| {
            inner.token_to_id(token).ok_or_else(|| TokenizerError(format!("the vocabulary has no {token}, which BERT needs")))
        };
        let (cls, sep, unk, pad) = (special("[CLS]")?, special("[SEP]")?, special("[UNK]")?, special("[PAD]")?);
        let lone = LoneCharacters::of(&inner);
        Ok(Self { inner, lone, cls, sep, unk, pad })
    }

    /// Number of ids, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id that stands for a hidden word, if the vocabulary has one.
    pub fn mask_id(&self) -> Option<u32> {
        self.inner.token_to_id("[MASK]")
    }

    /// The ids of `[CLS]` and `[SEP]`, which stand between texts and are no words.
    pub fn special_ids(&self) -> [u32; 2] {
        [self.cls, self.sep]
    }

    /// The id that fills up a batch's shorter rows.
    pub fn pad_id(&self) -> u32 {
        self.pad
    }

    /// Encodes a clean text with an optional second sentence to at most `max_tokens` ids. The second sentence is normalised
    /// here; of it at most [`MAX_SECOND_TOKENS`] are read, and never more than half of the room.
    pub fn encode(&self, text: &CleanText, second: Option<&str>, max_tokens: usize) -> Result<Encoding, TokenizerError> {
        if max_tokens < MIN_TOKENS {
            return Err(TokenizerError(format!("{max_tokens} tokens leave no room for text, give at least {MIN_TOKENS}")));
        }
        let first = self.tokens(text.as_str())?;
        let second = match second.map(normalize) {
            Some(second) if !second.is_empty() => Some(self.tokens(&second)?),
            _ => None,
        };
        let special = if second.is_some() { 3 } else { 2 };
        let room = max_tokens - special;
        let second_ids = second.as_ref().map_or(&[][..], |second| &second.ids);
        let tokens_given = first.ids.len() + second_ids.len() + special;
        let second_ids = &second_ids[..second_ids.len().min(MAX_SECOND_TOKENS).min(room / 2)];

        let room = room - second_ids.len();
        let (head, tail, reading) = if first.ids.len() <= room {
            (first.ids.len(), 0, Reading::Whole)
        } else {
            (room - room / 4, room / 4, Reading::HeadAndTail)
        };
        let length = head + tail + second_ids.len() + special;
        let mut encoding = Encoding {
            ids: Vec::with_capacity(length),
            type_ids: Vec::with_capacity(length),
            spans: Vec::with_capacity(length),
            tokens_given,
            reading,
        };
        encoding.push(self.cls, 0, None);
        for at in (0..head).chain(first.ids.len() - tail..first.ids.len()) {
            encoding.push(first.ids[at], 0, Some(original_span(text, first.spans[at])));
        }
        encoding.push(self.sep, 0, None);
        if second.is_some() {
            second_ids.iter().for_each(|&id| encoding.push(id, 1, None));
            encoding.push(self.sep, 1, None);
        }
        Ok(encoding)
    }

    /// Share of the text's tokens that the vocabulary does not know, 0 to 1; 0 for a text without tokens.
    pub fn unknown_share(&self, encoding: &Encoding) -> f32 {
        let text = || encoding.ids.iter().zip(&encoding.spans).filter(|(_, span)| span.is_some());
        let unknown = text().filter(|(id, _)| **id == self.unk).count();
        unknown as f32 / text().count().max(1) as f32
    }

    /// Tokens without special ones.
    fn tokens(&self, text: &str) -> Result<Tokens, TokenizerError> {
        let short = self.lone.as_ref().and_then(|lone| lone.tokens(&self.inner, text));
        short.map_or_else(|| self.library_tokens(text), Ok)
    }

    /// The same, as the library says it.
    fn library_tokens(&self, text: &str) -> Result<Tokens, TokenizerError> {
        let said = self.inner.encode_char_offsets(text, false).map_err(|e| TokenizerError(e.to_string()))?;
        Ok(Tokens { ids: said.get_ids().to_vec(), spans: said.get_offsets().to_vec() })
    }
}

impl Encoding {
    fn push(&mut self, id: u32, type_id: u32, span: Option<(u32, u32)>) {
        self.ids.push(id);
        self.type_ids.push(type_id);
        self.spans.push(span);
    }
}

/// From character offsets in the clean text to the span in the text it came from.
fn original_span(text: &CleanText, (start, end): (usize, usize)) -> (u32, u32) {
    let source = text.source();
    let first = source[start.min(source.len() - 1)];
    let last = source[end.saturating_sub(1).clamp(start, source.len() - 1)];
    (first, last.max(first) + 1)
}

#[cfg(test)]
mod tests {
    use super::super::clean;
    use super::*;

    /// A tokenizer like BERT's with a handful of words; `spare` is left out of the vocabulary.
    fn tokenizer_without(spare: &str) -> Result<AppealTokenizer, TokenizerError> {
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "路", "灯", "坏", "了", "wi", "##fi", "[", "]", "sep", ",", "区"];
        let vocab: serde_json::Map<_, _> =
            words.iter().enumerate().filter(|(_, w)| **w != spare).map(|(i, w)| ((*w).to_owned(), i.into())).collect();
        let added: Vec<_> = words[..4]
            .iter()
            .enumerate()
            .filter(|(_, w)| **w != spare)
            .map(|(id, content)| {
                serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true})
            })
            .collect();
        let json = serde_json::json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,
                "pad_token": "[PAD]"},
            "added_tokens": added,
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
                "lowercase": false},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                "vocab": vocab},
        });
        AppealTokenizer::from_bytes(json.to_string().as_bytes())
    }

    fn tokenizer() -> AppealTokenizer {
        tokenizer_without("").expect("a good tokenizer")
    }

    #[test]
    fn a_short_appeal_is_read_whole_with_its_category() {
        let encoding = tokenizer().encode(&clean("路灯，ＷＩＦＩ坏了很"), Some("区　路灯"), 64).expect("tokens");
        assert_eq!(encoding.ids, [2, 4, 5, 13, 8, 9, 6, 7, 1, 3, 14, 4, 5, 3]);
        assert_eq!(encoding.type_ids, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(encoding.spans[1..7], [Some((0, 1)), Some((1, 2)), Some((2, 3)), Some((3, 5)), Some((5, 7)), Some((7, 8))]);
        assert_eq!(encoding.spans[9..], [None; 5]);
        assert_eq!((encoding.tokens_given, encoding.reading, encoding.text_tokens()), (14, Reading::Whole, 8));
        assert_eq!(tokenizer().unknown_share(&encoding), 0.125);
    }

    #[test]
    fn a_long_appeal_is_read_from_head_and_tail_and_says_so() {
        let text = format!("路{}灯", "坏".repeat(100));
        let encoding = tokenizer().encode(&clean(&text), Some("区"), 24).expect("tokens");
        assert_eq!(encoding.ids.len(), 24);
        assert_eq!((encoding.tokens_given, encoding.reading), (106, Reading::HeadAndTail));
        assert_eq!(encoding.spans[1], Some((0, 1)));
        assert_eq!(encoding.spans[15], Some((14, 15)));
        assert_eq!(encoding.spans[16], Some((97, 98)));
        assert_eq!(encoding.spans[20], Some((101, 102)));
        assert_eq!(encoding.ids[20..], [5, 3, 14, 3]);
    }

    #[test]
    fn the_second_sentence_is_capped_and_never_crowds_out_the_text() {
        let encoding = tokenizer().encode(&clean("路灯坏了"), Some(&"区".repeat(200)), 512).expect("tokens");
        assert_eq!(encoding.type_ids.iter().filter(|&&t| t == 1).count(), MAX_SECOND_TOKENS + 1);
        assert_eq!((encoding.tokens_given, encoding.reading), (207, Reading::Whole));
        let encoding = tokenizer().encode(&clean("路灯坏了"), Some(&"区".repeat(200)), MIN_TOKENS).expect("tokens");
        assert_eq!((encoding.ids.len(), encoding.text_tokens()), (8, 3));
        let blank = tokenizer().encode(&clean("路灯坏了"), Some("　"), 512).expect("tokens");
        assert_eq!(blank.ids.len(), 6);
    }

    #[test]
    fn a_special_token_that_a_citizen_types_is_only_text() {
        let encoding = tokenizer().encode(&clean("路[SEP]灯"), Some("[SEP]"), 64).expect("tokens");
        assert_eq!(encoding.ids, [2, 4, 10, 12, 11, 5, 3, 10, 12, 11, 3]);
        // Even where nothing was lower-cased.
        let raw = tokenizer().tokens("路[SEP]灯").expect("tokens");
        assert!(!raw.ids.contains(&3), "{raw:?}");
    }

    #[test]
    fn a_vocabulary_without_a_special_token_is_refused_by_name() {
        for spare in ["[CLS]", "[SEP]", "[UNK]", "[PAD]"] {
            let error = tokenizer_without(spare).err().expect("a refusal");
            assert!(error.to_string().contains(spare), "{error}");
        }
        assert!(AppealTokenizer::from_bytes(b"{}").is_err());
    }

    #[test]
    fn nothing_to_read_is_an_empty_sentence_and_no_room_an_error() {
        let encoding = tokenizer().encode(&clean(""), None, 16).expect("tokens");
        assert_eq!((encoding.ids, encoding.tokens_given), (vec![2, 3], 2));
        assert!(tokenizer().encode(&clean("路灯"), None, MIN_TOKENS - 1).is_err());
    }

    #[test]
    fn one_tokenizer_serves_many_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<AppealTokenizer>();
    }
}
