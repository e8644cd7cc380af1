//! From an appeal to a decision. Read `router.rs` first.

mod active;
mod deciding;
mod decision;
mod dispute;
mod embedding;
mod evidence;
mod ground;
mod jurisdiction;
mod matters;
mod newcomers;
mod passes;
mod proposed;
mod reason;
mod returned;
mod review;
mod router;
mod ruled;
mod sentence;

pub use decision::{Decision, Evidence, RankedDepartment, ReviewReason};
pub use dispute::{Risk, RiskFactor, Witnesses};
pub use evidence::Clause;
pub use ground::{Ground, documents};
pub use jurisdiction::{Circumstances, day_in_the_city, day_of, time_in_the_city};
pub use matters::{Part, PreparedPart};
pub use proposed::{Refusal, RefusedProposal};
pub use returned::{Objection, ReturnReason};
pub use router::{PreparedAppeal, RouteError, Router};
pub use sentence::second_sentence;
