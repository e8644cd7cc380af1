//! Measures and reports that training and replay share.

mod work_order;

pub use work_order::{MAX_LINE_BYTES, WorkOrder};
