//! From clean text to token ids, within the length the model can read.

use super::CleanText;

/// How much of an appeal the model read. An appeal that fits is read whole; a longer one from its head and its tail, since an
/// operator's note says what it is about first and what is asked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Every token was read.
    Whole,
    /// The first and the last tokens were read; the middle was not.
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

/// Why a tokenizer could not be opened or used.
#[derive(Debug, thiserror::Error)]
#[error("tokenizer: {0}")]
pub struct TokenizerError(pub String);

/// The model folder's `tokenizer.json`.
pub struct AppealTokenizer {
    inner: tokenizers::Tokenizer,
}

impl AppealTokenizer {
    /// Reads the bytes of a `tokenizer.json`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| TokenizerError(e.to_string()))?;
        Ok(Self { inner })
    }

    /// Number of ids, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Encodes a clean text with an optional second sentence to at most `max_tokens` ids.
    pub fn encode(&self, text: &CleanText, second: Option<&str>, max_tokens: usize) -> Result<Encoding, TokenizerError> {
        let _ = (text, second, max_tokens);
        Err(TokenizerError("not written yet".to_owned()))
    }
}
