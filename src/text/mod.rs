//! What a citizen asked, made safe to read: parsed, normalised, masked, cleaned, tokenized. In this order, once, for training
//! and serving alike.

mod appeal;
mod cleaning;
mod masking;
mod normalize;
mod tokenizer;

pub use appeal::{Appeal, AppealError, AppealFields, MAX_APPEAL_CHARS};
pub use cleaning::{CleanText, clean};
pub use normalize::normalize;
pub use tokenizer::{AppealTokenizer, Encoding, Reading, TokenizerError};
