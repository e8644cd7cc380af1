//! What a citizen asked, made safe to read: parsed, normalised, masked, cleaned, tokenized. In this order, once, for training
//! and serving alike. Beside them `suggest`: what somebody who mistyped a name meant; and
//! `json_line`: what is wrong with a line of a file, without its words.

mod aligned;
mod appeal;
mod cleaning;
mod json_line;
mod masking;
mod normalize;
mod numbers;
mod parts;
mod pattern;
mod places;
mod plain;
mod statement;
mod suggest;
mod tokenizer;
mod wording;

pub use appeal::{Appeal, AppealError, AppealErrorCode, AppealFields, MAX_APPEAL_CHARS};
pub use cleaning::{CleanText, clean};
pub(crate) use json_line::objects;
pub use json_line::{JsonFault, json_line};
pub use masking::{is_persons_number, masked, masked_as_written};
pub use normalize::normalize;
pub(crate) use normalize::{is_ideograph, is_letter_or_digit};
pub use parts::{MAX_PARTS, TextPart, parts};
pub use places::{MAX_PLACES, Place, places};
pub use statement::statement;
pub use suggest::nearest;
pub use tokenizer::{AppealTokenizer, Encoding, MAX_SECOND_TOKENS, MIN_TOKENS, Reading, TokenizerError};
