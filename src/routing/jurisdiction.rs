//! Jurisdiction: what the catalogue makes of the model's ranking on the day of the appeal.
//!
//! The model names departments by the ids it was taught. Here they become the departments of the day: a renamed or merged one
//! gives its probability to its successor; a split one gives an equal share to each of its successors, since the model cannot
//! tell them apart, so that the margin between them is nothing and a person is asked. The catalogue never moves a probability
//! otherwise: a matter that names another lead is told beside the answer, not put in its place.
//!
//! Supporting departments are those of the matter that fits, less the lead, and only if the lead is one of the matter's own
//! departments: whoever leads something else needs no support in this.

use std::sync::Arc;

use super::active::ActiveCatalog;
use super::ground::Ground;
use super::newcomers::Newcomers;
use super::reason;
use super::returned::{Objection, ReturnReason};
use super::ruled::Ruled;
use super::{Decision, RankedDepartment};
use crate::catalog::{CatalogDepartment, Day, DepartmentCatalog, District, InForce, Matter, Place, Unit};
use crate::model::Department;
use crate::rulings::RulingId;
use crate::text::{AppealFields, normalize};

/// What the catalogue needs to know of an appeal, and which catalogue.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The hotline's number of the order; empty if it has none yet.
    pub order: String,
    /// The ruling that settled the order's case, if one did.
    pub settled_by: Option<RulingId>,
    /// The day that decides who exists.
    pub day: Day,
    /// The district as the caller named it; empty if unknown.
    pub district: String,
    /// Text and category, normalised, in which the words of matters, duties and units are looked for.
    pub words: String,
    /// For each proposed name who is meant by it on the day; several if it was split since.
    pub proposals: Vec<Vec<Arc<Department>>>,
    /// Departments of the day that were proposed and that no label of the model reaches.
    pub unseen_proposals: Vec<Arc<Department>>,
    /// The catalogue that was in use when the appeal was prepared.
    pub(super) active: Option<Arc<ActiveCatalog>>,
}

impl Circumstances {
    /// Of an appeal that came in on `day`.
    pub fn of(fields: &AppealFields, day: Day) -> Self {
        let mut words = fields.text.clone();
        for level in fields.category.iter().chain([&fields.appeal_type]) {
            words.push('\n');
            words.push_str(level);
        }
        let words = normalize(&words);
        let (order, district) = (fields.id.trim().to_owned(), fields.district.clone());
        let (proposals, unseen_proposals) = (Vec::new(), Vec::new());
        Self { order, settled_by: None, day, district, words, proposals, unseen_proposals, active: None }
    }

    /// The catalogue that the appeal is answered with; `None` without one.
    pub fn catalog(&self) -> Option<&Arc<DepartmentCatalog>> {
        self.active.as_ref().map(|active| &active.catalog)
    }

    /// The district with all its names: callers may use another than the catalogue's, and so may a ruling that was recorded before
    /// there was this catalogue.
    pub fn place(&self) -> Place<'_> {
        Place::of(self.catalog().map(Arc::as_ref), &self.district)
    }
}

/// Minutes by which the city's clock is ahead of UTC: China has one time.
const CITY_OFFSET_MINUTES: i32 = 8 * 60;

/// The day, in the city, of an RFC 3339 date or date-time, as `Appeal` lets in.
pub fn day_of(received_at: &str) -> Option<Day> {
    if let Ok(day) = received_at.parse() {
        return Some(day);
    }
    let moment = chrono::DateTime::parse_from_rfc3339(received_at).ok()?;
    day_in_the_city(moment.to_utc())
}

/// The day that it is in the city at a moment.
pub fn day_in_the_city(moment: chrono::DateTime<chrono::Utc>) -> Option<Day> {
    Some(time_in_the_city(moment)?.date_naive())
}

/// A moment by the city's clock.
pub fn time_in_the_city(moment: chrono::DateTime<chrono::Utc>) -> Option<chrono::DateTime<chrono::FixedOffset>> {
    Some(moment.with_timezone(&chrono::FixedOffset::east_opt(CITY_OFFSET_MINUTES * 60)?))
}

/// A department of the day, with the row of the model that gave it most.
#[derive(Debug, Clone)]
pub(super) struct OfTheDay {
    pub ranked: RankedDepartment,
    pub row: usize,
}

/// What speaks for an answer, before the catalogue is asked.
pub(super) struct Said {
    /// What the model itself put first.
    pub model: Ground,
    /// What the rulings say.
    pub ruled: Ruled,
    /// A department that the model has never seen, by its duties.
    pub newcomer: Option<Ground>,
}

/// The catalogue, asked about one appeal.
pub(super) struct Jurisdiction<'a> {
    pub catalog: &'a DepartmentCatalog,
    pub circumstances: &'a Circumstances,
    /// Finds departments that the model has never seen.
    pub newcomers: Option<&'a Newcomers>,
    matter: Option<&'a Matter>,
}

impl<'a> Jurisdiction<'a> {
    /// Of the catalogue that the appeal was prepared with; `None` without one.
    pub fn of(circumstances: &'a Circumstances) -> Option<Self> {
        let ActiveCatalog { catalog, newcomers } = circumstances.active.as_deref()?;
        let matter = catalog.matter(&circumstances.words);
        Some(Self { catalog, circumstances, newcomers: newcomers.as_ref(), matter })
    }

    /// The departments of the day. `ranked` are the model's, best first, each with its row.
    pub fn of_the_day(&self, ranked: Vec<OfTheDay>) -> Vec<OfTheDay> {
        let mut all: Vec<OfTheDay> = Vec::with_capacity(ranked.len());
        for OfTheDay { ranked: RankedDepartment { department, probability }, row } in ranked {
            let heirs = self.heirs(&department);
            let share = probability / heirs.len() as f32;
            for heir in heirs {
                match all.iter_mut().find(|known| known.ranked.department.id == heir.id) {
                    // Whoever came first gave most: the model's order is by probability.
                    Some(known) => known.ranked.probability += share,
                    None => all.push(OfTheDay { ranked: RankedDepartment { department: heir, probability: share }, row }),
                }
            }
        }
        let leads = self.matter.map(|matter| self.catalog.in_force(&matter.lead, self.circumstances.day).departments());
        let is_lead = |one: &OfTheDay| leads.iter().flatten().any(|lead| lead.id == one.ranked.department.id);
        // Stable: successors of a split stand as the catalogue has them, unless the matter names one of them.
        all.sort_by(|a, b| b.ranked.probability.total_cmp(&a.ranked.probability).then_with(|| is_lead(b).cmp(&is_lead(a))));
        all
    }

    /// Who answers for a department of the model; itself, if the catalogue knows nobody on that day.
    pub(super) fn heirs(&self, department: &Arc<Department>) -> Vec<Arc<Department>> {
        let heirs = self.catalog.in_force(&department.id, self.circumstances.day).departments();
        if heirs.is_empty() {
            return vec![Arc::clone(department)];
        }
        heirs.into_iter().map(|heir| named(heir, department)).collect()
    }

    /// Fills in unit, supporting departments, basis and reason. Who supports by a standing ruling does so whatever the matter says.
    pub fn complete(&self, decision: &mut Decision, mut said: Said, objections: &[Objection]) {
        let lead = Arc::clone(&decision.lead().department);
        let meant = self.unit(&lead.id);
        let unit = meant.and_then(|unit| self.not_objecting(unit, objections));
        decision.unit = unit.cloned().map(Arc::new);
        decision.supporting_departments = match said.ruled.settled {
            Some(_) => std::mem::take(&mut said.ruled.supporting),
            None => self.supporting(&lead),
        };
        decision.catalog_version = Some(self.catalog.version.clone());
        decision.basis = self.grounds(&lead, said);
        decision.reason = reason::line(decision, self.unit_note(meant, unit, objections));
    }

    /// What is to be said of the unit: that it is the city's though a district was named, that the district is missing, or that the
    /// one which the order is meant for has returned it.
    fn unit_note(&self, meant: Option<&Unit>, unit: Option<&Unit>, objections: &[Objection]) -> reason::UnitNote {
        let known = self.district().is_some();
        match (meant, unit) {
            (Some(Unit { district: Some(_), .. }), Some(Unit { district: None, .. })) => reason::UnitNote::OfCityAfterReturn,
            (_, Some(Unit { district: Some(_), .. })) => reason::UnitNote::OfDistrict,
            (_, Some(_)) if self.circumstances.district.is_empty() => reason::UnitNote::DistrictMissing,
            (_, Some(_)) if !known => reason::UnitNote::DistrictUnknown,
            (_, Some(_)) => reason::UnitNote::OfCity,
            (None, None) if known => reason::UnitNote::NotListed,
            (None, None) => reason::UnitNote::Unknown,
            (Some(meant), None) => match (meant.district.is_some(), self.is_elsewhere(meant, objections)) {
                (true, true) => reason::UnitNote::OtherDistrict,
                (true, false) => reason::UnitNote::DistrictReturned,
                (false, true) => reason::UnitNote::Unknown,
                (false, false) => reason::UnitNote::CityReturned,
            },
        }
    }

    /// The district of the order; `None` if nobody named one, or one that the catalogue does not know.
    fn district(&self) -> Option<&'a District> {
        self.catalog.district(&self.circumstances.district)
    }

    /// The unit of a department that the order is meant for, whoever returned it.
    fn unit(&self, department: &str) -> Option<&'a Unit> {
        let Circumstances { day, words, .. } = self.circumstances;
        self.catalog.unit(department, self.district(), words, *day)
    }

    /// False if the department has no unit left for the order: each that could be meant returned it, and no other district of it is
    /// to be asked for. True where the catalogue knows no unit of it at all.
    pub fn has_unit_left(&self, department: &str, objections: &[Objection]) -> bool {
        let left = |unit: &Unit| self.not_objecting(unit, objections).is_some() || self.is_elsewhere(unit, objections);
        self.unit(department).is_none_or(left)
    }

    /// The return that takes this unit out. A department that said "another district" of an order whose own nobody knew spoke for the
    /// unit that gets such orders, the city's, until somebody says which district it is.
    fn objection<'b>(&self, unit: &Unit, objections: &'b [Objection]) -> Option<&'b Objection> {
        let districtless = unit.district.is_none() && self.district().is_none();
        let out =
            |one: &&Objection| one.excludes_unit(&unit.name) || (districtless && one.is_of_another_district(&unit.department));
        objections.iter().find(out)
    }

    /// The unit, unless it returned the order: then the one of the whole city where the level was wrong, and otherwise none, since the
    /// right district is not known.
    fn not_objecting<'b>(&'b self, unit: &'b Unit, objections: &[Objection]) -> Option<&'b Unit> {
        let Some(objection) = self.objection(unit, objections) else { return Some(unit) };
        let Circumstances { day, words, .. } = self.circumstances;
        let city = self.catalog.city_unit(&unit.department, words, *day);
        city.filter(|city| objection.reason == ReturnReason::WrongLevel && self.objection(city, objections).is_none())
    }

    /// True if the unit that returned the order left it to its department in another district, which is to be asked for: a district's
    /// own said that it is not this one, or the city's, which had it for want of a district, that it is not for the city.
    fn is_elsewhere(&self, unit: &Unit, objections: &[Objection]) -> bool {
        let Some(objection) = self.objection(unit, objections) else { return false };
        let day = self.circumstances.day;
        match (objection.reason, &unit.district) {
            (ReturnReason::WrongDistrict, Some(_)) => true,
            (ReturnReason::WrongDistrict | ReturnReason::WrongLevel, None) if self.district().is_none() => {
                let of_district = |one: &&Unit| one.department == unit.department && one.district.is_some();
                let mut units = self.catalog.units.iter().filter(of_district).filter(|one| one.validity.contains(day));
                units.any(|one| self.objection(one, objections).is_none())
            }
            _ => false,
        }
    }

    fn grounds(&self, lead: &Arc<Department>, Said { model, ruled, newcomer }: Said) -> Vec<Ground> {
        let day = self.circumstances.day;
        let mut grounds: Vec<Ground> = ruled.settled.into_iter().chain(ruled.returned).collect();
        if let Ground::Model { department: former, .. } = &model {
            match self.catalog.in_force(&former.id, day) {
                InForce::Itself(entry) => {
                    grounds.extend(self.catalog.former_name(entry).map(|before| Ground::Succession {
                        former: named(before, former),
                        successors: vec![named(entry, former)],
                        since: entry.validity.from,
                    }));
                }
                InForce::Successors { since, former: entry, successors } => grounds.push(Ground::Succession {
                    former: named(entry, former),
                    successors: successors.into_iter().map(|heir| named(heir, former)).collect(),
                    since: Some(since),
                }),
                InForce::Nobody => {
                    grounds.push(Ground::Succession { former: Arc::clone(former), successors: Vec::new(), since: None });
                }
            }
        }
        grounds.extend(self.matter.and_then(|matter| {
            let leads = self.leading(matter);
            // Nobody answers for it on that day, so it says nothing of who should.
            (!leads.is_empty()).then(|| Ground::Matter {
                id: matter.id.clone(),
                name: matter.name.clone(),
                agrees: leads.iter().any(|one| one.id == lead.id),
                leads,
                contesting: self.on_the_day(&matter.contesting),
                basis: matter.basis.clone(),
            })
        }));
        let entry = self.catalog.entries(&lead.id).find(|entry| entry.validity.contains(day));
        let duties = entry.iter().flat_map(|entry| &entry.duties);
        let fitting = duties.filter(|duty| duty.words.fit(&self.circumstances.words).is_some());
        grounds.extend(fitting.map(|duty| Ground::Duty {
            department: Arc::clone(lead),
            text: duty.text.clone(),
            basis: duty.basis.clone(),
        }));
        let supports = |ground: &Ground| {
            matches!(ground, Ground::Duty { .. } | Ground::Matter { agrees: true, .. }) || ground.leading_ruling().is_some()
        };
        let supported = grounds.iter().any(supports);
        grounds.extend(newcomer);
        grounds.extend(ruled.precedents);
        grounds.push(match model {
            Ground::Model { version, department, probability, .. } => {
                Ground::Model { version, department, probability, alone: !supported }
            }
            other => other,
        });
        grounds
    }

    /// Who leads a matter on the day: before a reform those whom its lead took over from.
    fn leading(&self, matter: &Matter) -> Vec<Arc<Department>> {
        let leads = self.on_the_day([&matter.lead]);
        if !leads.is_empty() {
            return leads;
        }
        let before: Vec<String> = self.catalog.other_names(&matter.lead).into_iter().map(str::to_owned).collect();
        self.on_the_day(&before)
    }

    fn supporting(&self, lead: &Department) -> Vec<Arc<Department>> {
        let Some(matter) = self.matter else { return Vec::new() };
        let own = self.leading(matter).into_iter().chain(self.on_the_day(matter.supporting.iter().chain(&matter.contesting)));
        if !own.into_iter().any(|one| one.id == lead.id) {
            return Vec::new();
        }
        let mut supporting = self.on_the_day(&matter.supporting);
        supporting.retain(|one| one.id != lead.id);
        supporting
    }

    /// True if a department of the day is one of those that an office was made of which is founded since.
    pub fn became(&self, department: &str, office: &str) -> bool {
        let founded = self.catalog.in_force(office, self.circumstances.day).departments().is_empty();
        founded && self.catalog.other_names(office).contains(&department)
    }

    /// Departments of the catalogue as they are on the day, each once.
    pub fn on_the_day<'b>(&self, ids: impl IntoIterator<Item = &'b String>) -> Vec<Arc<Department>> {
        let mut all: Vec<Arc<Department>> = Vec::new();
        for heir in ids.into_iter().flat_map(|id| self.catalog.in_force(id, self.circumstances.day).departments()) {
            if !all.iter().any(|known| known.id == heir.id) {
                all.push(Arc::new(Department { id: heir.id.clone(), name: heir.name.clone(), training_orders: 0 }));
            }
        }
        all
    }
}

/// A department of the catalogue as answers have it; the model's own where nothing has changed.
fn named(entry: &CatalogDepartment, department: &Arc<Department>) -> Arc<Department> {
    if entry.id == department.id && entry.name == department.name {
        return Arc::clone(department);
    }
    let training_orders = if entry.id == department.id { department.training_orders } else { 0 };
    Arc::new(Department { id: entry.id.clone(), name: entry.name.clone(), training_orders })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_the_citys_and_not_the_one_of_greenwich() {
        let day = |text: &str| day_of(text).map(|day| day.to_string());
        assert_eq!(day("2026-02-28T16:30:00Z").as_deref(), Some("2026-03-01"));
        assert_eq!(day("2026-02-28T15:59:59Z").as_deref(), Some("2026-02-28"));
        assert_eq!(day("2026-03-01T00:30:00+08:00").as_deref(), Some("2026-03-01"));
        assert_eq!(day("2026-03-01 00:30:60.5+08:00").as_deref(), Some("2026-03-01"), "a leap second");
        assert_eq!(day("2026-03-01").as_deref(), Some("2026-03-01"));
        assert_eq!(day(""), None);
    }
}
