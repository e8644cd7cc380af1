//! The course of a dispute (争议): an order comes back, goes elsewhere, comes back again, and at last somebody rules.
//!
//! - [`order`](OrderRecord) is what is known of one, however often it is asked for;
//! - [`course`](Course) is what happened to one order; who objected, whether a case is open and why follow from it alone, so that
//!   returns which are reported late, twice or in another order leave the same state;
//! - [`case_file`](CaseFile) is what a committee reads: the sides with their duties, the rulings that nearly fit, the drafted ruling;
//! - `page` prints it as one Chinese page.
//!
//! Pure: the clock, the database and the answers of the router are handed in.

mod case_file;
mod course;
mod draft;
mod near;
mod order;
#[cfg(feature = "server")]
mod page;
mod sides;

pub use case_file::{CaseFile, Event, EventKind, Material};
pub use course::{CaseCause, Course, Objected, RETURN_WORKING_DAYS, Return, Settlement, case_id, return_deadline};
pub use draft::drafted;
pub use near::{NearRuling, Obstacle, near_rulings};
pub use order::OrderRecord;
#[cfg(feature = "server")]
pub use page::{PageError, page};
pub use sides::{CitedDuty, ContestingUnit, Statement};
