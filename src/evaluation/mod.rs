//! Measures and reports that training and replay share: decisions against what was decided in the end.
//!
//! A caller pushes what the model said of each order, one at a time, into [`DepartmentScores`] and [`RiskScores`]; they keep a
//! few bytes an order, so that a year of a large city fits. At the end they give the measures, and [`Report`] makes a page of
//! them that people can look at before they read.
//!
//! A measure that is not defined (no orders, no positives) is `None`, never NaN and never a flattering 0 or 1.

mod calibration;
mod departments;
mod plots;
mod ranking;
mod report;
mod risks;
mod rows;
mod work_order;

pub use calibration::{Bin, CALIBRATION_BINS, Reliability};
pub use departments::{DepartmentMeasures, DepartmentRow, DepartmentScores, Truth};
pub use plots::{Series, coverage_curve, department_bars, histogram, loss_curve, reliability_diagram};
pub use ranking::{Coverage, CoveragePoint, coverage_at, coverage_points};
pub use report::{Report, escape};
pub use risks::{Budget, REVIEW_BUDGETS, RiskMeasures, RiskScores};
pub use rows::{Row, Rows};
pub use work_order::{MAX_LINE_BYTES, WorkOrder};
