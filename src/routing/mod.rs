//! From an appeal to a decision. Read `router.rs` first.

mod decision;
mod evidence;
mod review;
mod router;
mod sentence;

pub use decision::{Decision, Evidence, RankedDepartment, ReviewReason};
pub use evidence::Clause;
pub use router::{PreparedAppeal, RouteError, Router};
pub use sentence::second_sentence;
