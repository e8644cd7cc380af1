//! A return is reported: parse it, ask the router without those who objected, record it, answer.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::super::audit::kept;
use super::super::deadline::Arrival;
use super::super::rulings::convert as rulings;
use super::super::status::ServiceError;
use super::super::{convert as routing, proto};
use super::{Disputes, convert};
use crate::catalog::{Day, Holidays};
use crate::disputes::{Course, Objected, OrderRecord, Return, case_id, return_deadline};
use crate::routing::{Circumstances, Decision, Ground, Objection, ReturnReason, day_in_the_city, day_of};
use crate::store::StoreError;
use crate::text::AppealFields;

/// Longest note, in characters.
const MAX_NOTE_CHARS: usize = 2_000;
/// Longest id of a report.
const MAX_REQUEST_CHARS: usize = 128;

/// How far the clocks of the hotline and of this server may be apart.
const CLOCKS_DIFFER: chrono::Duration = chrono::Duration::hours(1);

/// A report, parsed.
struct Report {
    order_id: String,
    id: String,
    objection: Objection,
    note: String,
    returned_at: DateTime<Utc>,
    dispatched_at: Option<DateTime<Utc>>,
    district: Option<String>,
    appeal: Option<proto::Appeal>,
    actor: String,
    max_departments: i32,
}

impl Disputes {
    pub(super) async fn report(
        &self,
        request: proto::ReportReturnRequest,
        arrival: Arrival,
    ) -> Result<proto::ReportReturnResponse, ServiceError> {
        let report = self.parse(request)?;
        let course = self.course(&report.order_id).await?;
        let known = course.as_ref().and_then(|course| course.returns.iter().find(|one| one.id == report.id)).cloned();
        let (until_now, order, adopted) = order(&report, course.as_ref())?;
        let deadline = match &known {
            Some(known) => known.deadline,
            None => self.deadline(&report).await?,
        };
        let mut new = Return {
            id: report.id.clone(),
            order_id: report.order_id.clone(),
            objection: self.objection(&report, &until_now, known.as_ref()),
            district: report.district.clone(),
            note: report.note.clone(),
            returned_at: report.returned_at,
            reported_at: Utc::now(),
            deadline,
            contests: None,
            actor: report.actor.clone(),
        };
        let returns = course.as_ref().map(|course| course.returns.clone()).unwrap_or_default();
        let returns = if known.is_some() { returns } else { returns.into_iter().chain([new.clone()]).collect() };
        let settlement = course.as_ref().and_then(|course| course.settlement.clone());
        let expected = Course::new(order, returns, settlement);
        let mut answer = self.route(&expected, arrival).await?;
        let catalog = self.rulings.router().catalog();
        let objection = new.objection.clone().under_all_names(catalog.as_deref());
        new.contests = contested(&objection, &answer.decision.basis);
        // The last step: whoever heard of an error before it may report the same again.
        let course = self.rulings.store().report_return(new, adopted).await?;
        self.desk.returned.learn(&course);
        if Objected::of(&course) != Objected::of(&expected) {
            // Somebody reported another return meanwhile; whoever it was is out as well.
            answer = self.route(&course, arrival).await?;
        }
        self.response(&report, &course, answer)
    }

    /// Who objects. Of a department that says "another district" or "another level", without a word of which of its units says so, it
    /// is the one that the order was with: that of the district that it had until now, or the city's once that one said "another
    /// level". Where nobody knew the district, "another district" is no unit's word: the district is missing, not wrong.
    fn objection(&self, report: &Report, until_now: &AppealFields, known: Option<&Return>) -> Objection {
        let mut objection = report.objection.clone();
        let of_a_unit = matches!(objection.reason, ReturnReason::WrongDistrict | ReturnReason::WrongLevel);
        if objection.unit.is_some() || !of_a_unit {
            return objection;
        }
        if let Some(known) = known {
            objection.unit.clone_from(&known.objection.unit);
            return objection;
        }
        let catalog = self.rulings.router().catalog();
        let unit = catalog.as_deref().and_then(|catalog| {
            let day = day_of(&until_now.received_at).unwrap_or(objection.day);
            let words = Circumstances::of(until_now, day).words;
            let district = catalog.district(&until_now.district);
            let unit = catalog.unit(&objection.department, district, &words, day)?;
            let returned = || self.desk.returned.of(&report.order_id).objections;
            match objection.reason {
                ReturnReason::WrongLevel if returned().iter().any(|one| one.excludes_unit(&unit.name)) => {
                    catalog.city_unit(&objection.department, &words, day)
                }
                ReturnReason::WrongLevel => Some(unit),
                _ => Some(unit).filter(|unit| unit.district.is_some() || district.is_some()),
            }
        });
        objection.unit = unit.map(|unit| unit.name.clone());
        objection
    }

    fn response(
        &self,
        report: &Report,
        course: &Course,
        answer: super::Answer,
    ) -> Result<proto::ReportReturnResponse, ServiceError> {
        let excluded = answer.decision.left_out().into_iter().map(|one| routing::department(one)).collect();
        let named = self.named(report, &answer.decision);
        let most = routing::departments_asked(report.max_departments)?;
        let next = routing::response(answer, self.desk.router.info(), course.order_id().to_owned(), most);
        self.desk.audit.answered(&next, None);
        let own = course.returns.iter().find(|one| one.id == report.id);
        let case = course.case();
        Ok(proto::ReportReturnResponse {
            next_answer: Some(next),
            return_id: report.id.clone(),
            return_count: i32::try_from(course.returns.len()).unwrap_or(i32::MAX),
            excluded_departments: excluded,
            deadline_date: own.and_then(|one| one.deadline).map(|day| day.to_string()).unwrap_or_default(),
            late: own.and_then(Return::late),
            case_id: case.map(|_| case_id(course.order_id())).unwrap_or_default(),
            case_cause: convert::cause(case.map(|(cause, _)| cause)).into(),
            named_departments: named,
            contested_ruling_id: own.and_then(|one| one.contests.clone()).unwrap_or_default(),
        })
    }

    /// Whom the note names besides the unit's own department. Names of people and places are none of ours to guess at.
    fn named(&self, report: &Report, decision: &Decision) -> Vec<proto::Department> {
        let known = self.rulings.known();
        let others =
            known.named_in(&report.note, report.objection.day).into_iter().filter(|id| *id != report.objection.department);
        let department = |id: &str| {
            let known = decision.departments.iter().find(|one| one.department.id == id);
            let name = known.map_or(id, |one| &one.department.name);
            proto::Department { id: id.to_owned(), display_name: name.to_owned() }
        };
        others.map(department).collect()
    }

    fn parse(&self, request: proto::ReportReturnRequest) -> Result<Report, ServiceError> {
        let reason = convert::reason(request.reason())?;
        let order_id = rulings::order_id(&request.order_id)?;
        let actor = rulings::actor(&request.actor)?;
        routing::departments_asked(request.max_departments)?;
        let given_time = request.return_time.map(|time| convert::moment("return_time", time)).transpose()?;
        let returned_at = given_time.unwrap_or_else(Utc::now);
        let out_of_range = || ServiceError::invalid("return_time", "OUT_OF_RANGE", "is no day of the calendar", "时间超出范围");
        let day = day_in_the_city(returned_at).ok_or_else(out_of_range)?;
        if returned_at > Utc::now() + CLOCKS_DIFFER {
            return Err(ServiceError::invalid("return_time", "OUT_OF_RANGE", "is still to come", "退单时间晚于当前时间"));
        }
        let dispatched_at = request.dispatch_time.map(|time| convert::moment("dispatch_time", time)).transpose()?;
        if dispatched_at.is_some_and(|dispatched| dispatched > returned_at) {
            let said = "is later than return_time";
            return Err(ServiceError::invalid("dispatch_time", "OUT_OF_RANGE", said, "派单时间晚于退单时间"));
        }
        let (department, unit) = self.unit(&request.unit, day)?;
        let note = convert::note("note", &request.note, MAX_NOTE_CHARS)?;
        let request_id = match request.request_id.trim() {
            "" => String::new(),
            given => rulings::id("request_id", given, MAX_REQUEST_CHARS)?,
        };
        let id = report_id(&order_id, &request_id, &[&department, unit.as_deref().unwrap_or(""), reason.id()], given_time);
        let district = match request.actual_district.trim() {
            "" => None,
            given => Some(self.district(given)?),
        };
        Ok(Report {
            id,
            objection: Objection { department, other_names: Vec::new(), unit, reason, day },
            note,
            returned_at,
            dispatched_at,
            district,
            appeal: request.appeal,
            actor,
            order_id,
            max_departments: request.max_departments,
        })
    }

    /// A concrete unit with its department, or a department.
    fn unit(&self, given: &str, day: Day) -> Result<(String, Option<String>), ServiceError> {
        let name = given.trim();
        if name.is_empty() {
            return Err(ServiceError::invalid("unit", "EMPTY", "is empty", "未填写退单单位"));
        }
        let catalog = self.rulings.router().catalog();
        if let Some(unit) =
            catalog.as_deref().and_then(|catalog| catalog.unit_named(name, day).or_else(|| catalog.unit_once_named(name)))
        {
            return Ok((unit.department.clone(), Some(unit.name.clone())));
        }
        let known = self.rulings.known();
        match known.department_on(name, Some(day)) {
            Some(id) => Ok((id.to_owned(), None)),
            None => {
                let said = format!("{name:?} is neither a unit nor a department{}", known.hint(name));
                Err(ServiceError::invalid("unit", "UNKNOWN_UNIT", &said, "没有这个承办单位"))
            }
        }
    }

    fn district(&self, given: &str) -> Result<String, ServiceError> {
        match self.rulings.router().catalog() {
            None => Ok(given.to_owned()),
            Some(catalog) => match catalog.district(given) {
                Some(known) => Ok(known.name.clone()),
                None => {
                    let said = format!("{given:?} is not among the districts of {}", catalog.city);
                    Err(ServiceError::invalid("actual_district", "UNKNOWN_DISTRICT", &said, "目录中没有这个区"))
                }
            },
        }
    }

    /// The last day on which the unit could return it, by the dispatch that was named or recorded.
    async fn deadline(&self, report: &Report) -> Result<Option<Day>, StoreError> {
        let (none, catalog) = (Holidays::default(), self.rulings.router().catalog());
        let holidays = catalog.as_deref().map_or(&none, |catalog| &catalog.holidays);
        let dispatched_at = match report.dispatched_at {
            Some(given) => Some(given),
            None => {
                let entries = self.rulings.store().audit_of_order(&report.order_id).await?;
                convert::last_dispatch(&entries, &report.objection.department, report.returned_at)
            }
        };
        Ok(dispatched_at.and_then(|time| return_deadline(time, holidays)))
    }
}

/// The order as it is known, or as it was sent along: until now, and with this return. And once more if it was not known.
fn order(report: &Report, course: Option<&Course>) -> Result<(AppealFields, OrderRecord, Option<OrderRecord>), ServiceError> {
    let known = course.map(|course| course.order.clone());
    let adopted = match (&known, &report.appeal) {
        (Some(order), _) => order.clone(),
        (None, Some(appeal)) => {
            let request = proto::RouteAppealRequest { appeal: Some(appeal.clone()), ..proto::RouteAppealRequest::default() };
            let asked = routing::asked(request)?;
            let fields = kept(AppealFields { id: report.order_id.clone(), ..asked.fields });
            OrderRecord { fields, caller: asked.caller, closed: false, first_seen: Utc::now() }.dated()
        }
        (None, None) => return Err(StoreError::NoOrder { order_id: report.order_id.clone() }.into()),
    };
    let (until_now, mut order) = (adopted.fields.clone(), adopted);
    if let Some(district) = &report.district {
        order.fields.district.clone_from(district);
    }
    // Read before it is kept: an order that cannot be routed is none.
    crate::text::Appeal::parse(order.fields.clone()).map_err(|error| routing::route_error(error.into()))?;
    let new = known.is_none().then(|| order.clone());
    Ok((until_now, order, new))
}

/// The standing ruling that this very return contests: its lead's, which is out with it, for itself or since no unit of it is left.
fn contested(objection: &Objection, basis: &[Ground]) -> Option<String> {
    let disputes = objection.reason.disputes_responsibility();
    basis.iter().find_map(|ground| match ground {
        Ground::ContestedRuling { ruling, leads } if disputes && leads.iter().any(|lead| objection.is_of(&lead.id)) => {
            Some(ruling.id.clone())
        }
        _ => None,
    })
}

/// The same report has the same id. A request id stands for it; otherwise what was said does, and when.
fn report_id(order_id: &str, request_id: &str, said: &[&str], time: Option<DateTime<Utc>>) -> String {
    let mut hasher = Sha256::new();
    let time = time.map(|time| time.timestamp_millis().to_string()).unwrap_or_default();
    let said = if request_id.is_empty() { said.iter().copied().chain([time.as_str()]).collect() } else { vec!["", request_id] };
    for part in [order_id].into_iter().chain(said) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hex: String = hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("T-{hex}")
}
