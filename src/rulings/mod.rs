//! Rulings (责任认定): what was decided before about who is responsible, for one order or for all of a kind.
//!
//! `ruling` is the record; `draft` parses one at the door, whatever it came from, and names every fault of it at once; `reading` reads its fields,
//! `known` has the names they may use, `turns` the order of a file's rows; `words` cuts Chinese into the words that a ruling is found by. `book` is what the router reads: the standing rulings in force (`standing` says
//! which one an appeal falls under), what each order was `decided` by, and the index of all texts (`precedents`, in `cells`); `signs` and `nearness` are the arithmetic of likeness.
//! `recurrence` finds what is disputed again and again, with `grouping`, and drafts a standing ruling on it, with `drafting`.
//!
//! Pure: the rulings come from outside, and so does the day.

mod book;
mod cells;
mod decided;
mod draft;
mod drafting;
mod grouping;
mod known;
mod nearness;
mod precedents;
mod reading;
mod recurrence;
mod ruling;
mod signs;
mod standing;
mod turns;
mod words;

pub use book::{Contradiction, EmbeddedRuling, RulingBook};
pub use draft::{BasisDraft, PositionDraft, RulingDraft, RulingFault};
pub use known::{Known, KnownDepartment};
pub use precedents::{Precedent, PrecedentIndex};
pub use recurrence::{Dispute, MAX_DISPUTES, Party, Recurrence, Recurrences, recurrences};
pub use ruling::{Authority, Body, Position, Ruling, RulingId, Scope, Status, Vote};
pub use standing::{Fitting, Occasion};
pub use turns::predecessors_first;
pub use words::{MAX_QUERY_WORDS, query_words, searchable_words};
