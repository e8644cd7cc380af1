//! From an appeal to a decision. Read `router.rs` first.

mod decision;
mod router;

pub use decision::{Decision, Evidence, RankedDepartment, ReviewReason};
pub use router::{PreparedAppeal, RouteError, Router};
