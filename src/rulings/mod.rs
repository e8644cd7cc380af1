//! Rulings (责任认定): what was decided before about who is responsible, for one order or for all of a kind.
//!
//! `ruling` is the record; `draft` parses one at the door, whatever it came from, and names every fault of it at once; `reading` reads its fields; `words` cuts
//! Chinese into the words that a ruling is found by.
//!
//! Pure: the rulings come from outside, and so does the day.

mod draft;
mod reading;
mod ruling;
mod words;

pub use draft::{BasisDraft, Known, PositionDraft, RulingDraft, RulingFault};
pub use ruling::{Authority, Body, Position, Ruling, RulingId, Scope, Status, Vote};
pub use words::{MAX_QUERY_WORDS, query_words, searchable_words};
