//! What happened to one order, and what follows from it.
//!
//! Everything here is a function of the set of returns, sorted by the time at which they happened: whoever reports them, how often
//! and in which order makes no difference.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::OrderRecord;
use crate::catalog::{Day, Holidays};
use crate::routing::{Objection, day_in_the_city, day_of};
use crate::rulings::{Dispute, RulingId};

/// Within how many working days a unit may return an order; the day of the dispatch does not count.
pub const RETURN_WORKING_DAYS: u32 = 2;

/// A return (退单) as it was reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Return {
    /// Of the report; the same report has the same id.
    pub id: String,
    /// The hotline's number of the order.
    pub order_id: String,
    /// Who objects, and why.
    pub objection: Objection,
    /// The district that it belongs to by the unit's word, if that is another: the order's from then on.
    pub district: Option<String>,
    /// What the unit wrote, masked; may be empty.
    pub note: String,
    /// When it was returned.
    pub returned_at: DateTime<Utc>,
    /// When it was reported.
    pub reported_at: DateTime<Utc>,
    /// The last day on which it could be returned in time; `None` if nobody knows when it was dispatched.
    pub deadline: Option<Day>,
    /// The standing ruling that it contests: the order falls under it, and its lead returns it.
    pub contests: Option<RulingId>,
    /// Who reported it.
    pub actor: String,
}

impl Return {
    /// True if it came after its deadline; `None` if there is none to keep. It is told, not refused.
    pub fn late(&self) -> Option<bool> {
        Some(day_in_the_city(self.returned_at)? > self.deadline?)
    }
}

/// The last day on which an order that was dispatched at some moment may be returned in time.
pub fn return_deadline(dispatched_at: DateTime<Utc>, holidays: &Holidays) -> Option<Day> {
    Some(holidays.deadline(day_in_the_city(dispatched_at)?, RETURN_WORKING_DAYS))
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The ruling that settled it.
    pub ruling: RulingId,
    /// When.
    pub closed_at: DateTime<Utc>,
}

/// Why there is a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaseCause {
    /// A return contests a standing ruling.
    ContestsRuling,
    /// It came back a second time.
    ReturnedTwice,
}

impl CaseCause {
    /// In Chinese, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::ContestsRuling => "退单与类案认定相抵触",
            Self::ReturnedTwice => "再次退单",
        }
    }
}

/// The id of an order's case: always the same, so that it can be opened only once.
pub fn case_id(order_id: &str) -> String {
    let hex: String = Sha256::digest(order_id).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("C-{hex}")
}

/// By the time at which they happened.
fn in_order(a: &Return, b: &Return) -> Ordering {
    a.returned_at.cmp(&b.returned_at).then_with(|| a.id.cmp(&b.id))
}

/// The district that the last return names of those that name one.
fn corrected(returns: &[Return]) -> Option<&String> {
    returns.iter().rev().find_map(|one| one.district.as_ref())
}

/// What was objected to an order, for whoever has to heed it and needs nothing else of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Objected {
    /// The hotline's number of the order.
    pub order_id: String,
    /// By the time at which they were made.
    pub objections: Vec<Objection>,
    /// The ruling that settled them. As long as it counts they do not.
    pub settled_by: Option<RulingId>,
    /// The district that it belongs to by the last of them that names one: the order's from then on.
    pub district: Option<String>,
}

impl Objected {
    /// From all returns of an order.
    pub fn new(order_id: String, mut returns: Vec<Return>, settled_by: Option<RulingId>) -> Self {
        returns.sort_by(in_order);
        let district = corrected(&returns).cloned();
        Self { order_id, objections: returns.into_iter().map(|one| one.objection).collect(), settled_by, district }
    }

    /// From all that is known of it.
    pub fn of(course: &Course) -> Self {
        let settled_by = course.settlement.as_ref().map(|settlement| settlement.ruling.clone());
        Self::new(course.order_id().to_owned(), course.returns.clone(), settled_by)
    }
}

/// All that is known of one order.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// The order.
    pub order: OrderRecord,
    /// By the time at which they happened.
    pub returns: Vec<Return>,
    /// How its case ended; `None` if it did not, or there is none.
    pub settlement: Option<Settlement>,
}

impl Course {
    /// Sorts the returns. What they say of the district stands above what the order was routed with.
    pub fn new(mut order: OrderRecord, mut returns: Vec<Return>, settlement: Option<Settlement>) -> Self {
        returns.sort_by(in_order);
        if let Some(district) = corrected(&returns) {
            order.fields.district.clone_from(district);
        }
        Self { order, returns, settlement }
    }

    /// The hotline's number of the order.
    pub fn order_id(&self) -> &str {
        &self.order.fields.id
    }

    /// Returns that say that somebody else is responsible: the others open no case.
    fn disputes(&self) -> impl Iterator<Item = &Return> {
        self.returns.iter().filter(|one| one.objection.reason.disputes_responsibility())
    }

    /// Whether the returns make a case, why, and since when.
    pub fn case(&self) -> Option<(CaseCause, DateTime<Utc>)> {
        let contests = self.disputes().find(|one| one.contests.is_some());
        let second = self.disputes().nth(1);
        match (contests, second) {
            // Whichever came first opened it; a contested ruling is what the committee has to know, whenever it came.
            (Some(contests), second) => {
                let first = second.map_or(contests.returned_at, |second| contests.returned_at.min(second.returned_at));
                Some((CaseCause::ContestsRuling, first))
            }
            (None, Some(second)) => Some((CaseCause::ReturnedTwice, second.returned_at)),
            (None, None) => None,
        }
    }

    /// The standing ruling that is contested, if one is.
    pub fn contested_ruling(&self) -> Option<&RulingId> {
        self.disputes().find_map(|one| one.contests.as_ref())
    }

    /// The order as a dispute that may come back, with its text's embedding: nobody leads yet. `None` without a day of receipt.
    pub fn dispute(&self, embedding: Vec<f32>) -> Option<Dispute> {
        let fields = &self.order.fields;
        let mut contesting: Vec<String> = self.disputes().map(|one| one.objection.department.clone()).collect();
        let mut seen = BTreeSet::new();
        contesting.retain(|name| seen.insert(name.clone()));
        Some(Dispute {
            id: case_id(self.order_id()),
            order: fields.id.clone(),
            matter: fields.category.clone(),
            texts: vec![fields.text.clone()],
            embedding,
            lead: None,
            contesting,
            district: fields.district.clone(),
            day: day_of(&fields.received_at)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::ReturnReason;
    use crate::text::AppealFields;

    fn returned(id: &str, hour: u32, department: &str, reason: ReturnReason) -> Return {
        let at = format!("2026-03-02T{hour:02}:00:00Z").parse().expect("a time");
        let objection = Objection {
            department: department.into(),
            other_names: Vec::new(),
            unit: None,
            reason,
            day: "2026-03-02".parse().expect("a day"),
        };
        Return {
            id: id.into(),
            order_id: "1".into(),
            objection,
            district: None,
            note: String::new(),
            returned_at: at,
            reported_at: at,
            deadline: None,
            contests: None,
            actor: "test".into(),
        }
    }

    fn course(returns: Vec<Return>) -> Course {
        let order =
            OrderRecord { fields: AppealFields::default(), caller: None, closed: false, first_seen: DateTime::UNIX_EPOCH };
        Course::new(order, returns, None)
    }

    #[test]
    fn the_district_of_the_last_return_that_names_one_stands_above_the_orders_own() {
        let first = Return { district: Some("美兰区".into()), ..returned("a", 1, "城管", ReturnReason::WrongDistrict) };
        let second = returned("b", 2, "住建", ReturnReason::DutiesOverlap);
        assert_eq!(course(vec![second.clone(), first]).order.fields.district, "美兰区");
        assert_eq!(course(vec![second]).order.fields.district, "");
    }

    #[test]
    fn the_second_return_over_responsibility_makes_a_case_and_a_question_does_not() {
        let first = returned("a", 1, "城管", ReturnReason::DutiesOverlap);
        let question = returned("b", 2, "住建", ReturnReason::InformationMissing);
        assert_eq!(course(vec![first.clone(), question.clone()]).case(), None);
        let second = returned("c", 3, "住建", ReturnReason::OwnershipUnclear);
        let at = second.returned_at;
        assert_eq!(course(vec![first, question, second]).case(), Some((CaseCause::ReturnedTwice, at)));
    }

    #[test]
    fn the_order_of_the_reports_changes_nothing() {
        let a = returned("a", 1, "城管", ReturnReason::DutiesOverlap);
        let b = Return { contests: Some("R-1".into()), ..returned("b", 5, "住建", ReturnReason::OwnershipUnclear) };
        let c = returned("c", 3, "街镇", ReturnReason::WrongLevel);
        let inorder = course(vec![a.clone(), c.clone(), b.clone()]);
        assert_eq!(course(vec![b.clone(), a, c.clone()]), inorder);
        assert_eq!(inorder.case(), Some((CaseCause::ContestsRuling, c.returned_at)), "open since the second return");
        assert_eq!(inorder.contested_ruling().map(String::as_str), Some("R-1"));
    }

    #[test]
    fn a_return_after_its_deadline_is_late_and_one_without_a_known_dispatch_is_neither() {
        let friday = "2026-03-06T09:00:00Z".parse().expect("a time");
        let deadline = return_deadline(friday, &Holidays::default());
        assert_eq!(deadline, "2026-03-10".parse().ok(), "two working days, over a weekend");
        let at = |time: &str| Return {
            returned_at: time.parse().expect("a time"),
            deadline,
            ..returned("a", 1, "城管", ReturnReason::DutiesOverlap)
        };
        assert_eq!(at("2026-03-10T15:59:59Z").late(), Some(false), "before midnight in the city");
        assert_eq!(at("2026-03-10T16:00:00Z").late(), Some(true));
        assert_eq!(Return { deadline: None, ..at("2026-03-10T16:00:00Z") }.late(), None);
    }

    #[test]
    fn a_case_has_one_id_whoever_opens_it() {
        assert_eq!(case_id("20180101"), case_id("20180101"));
        assert_ne!(case_id("20180101"), case_id("20180102"));
    }
}
