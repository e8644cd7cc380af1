//! The parts of an appeal of several matters, spelt for the caller.

use super::convert::{ranked, unit};
use super::proto;
use crate::routing::Part;

/// Each part with its own answer, at most so many departments.
pub(super) fn parts(parts: &[Part], max_departments: usize) -> Vec<proto::AppealPart> {
    let offset = |at: u32| i32::try_from(at).unwrap_or(i32::MAX);
    let part = |part: &Part| proto::AppealPart {
        start_offset: offset(part.chars.start),
        end_offset: offset(part.chars.end),
        lead_department: part.departments.first().map(ranked),
        departments: part.departments.iter().take(max_departments).map(ranked).collect(),
        unit: part.unit.as_deref().map(unit),
        reason: part.reason.clone(),
    };
    parts.iter().map(part).collect()
}
