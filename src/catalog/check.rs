//! Holds the entries of a catalogue against each other.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::draft::{Draft, Entry};
use super::fault::did_you_mean;
use super::sheet::Located;
use super::{CatalogDepartment, Day, Fault, Unit};

/// Everything that no file shows by itself.
pub fn faults(draft: &Draft) -> Vec<Fault> {
    let check = Check { draft, ids: draft.departments.iter().map(|entry| entry.value.id.as_str()).collect() };
    let mut faults = Vec::new();
    check.twice(&mut faults);
    check.departments(&mut faults);
    check.names(&mut faults);
    check.references(&mut faults);
    // Where a file could not be read, half the catalogue would be missed here, and none of that is a fault of its own.
    if draft.whole {
        check.coverage(&mut faults);
    }
    faults
}

struct Check<'a> {
    draft: &'a Draft,
    ids: BTreeSet<&'a str>,
}

impl<'a> Check<'a> {
    fn entries(&self, id: &str) -> impl Iterator<Item = &'a Entry<CatalogDepartment>> {
        self.draft.departments.iter().filter(move |entry| entry.value.id == id)
    }

    /// Things that may be there once only.
    fn twice(&self, faults: &mut Vec<Fault>) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for district in &self.draft.districts {
            for name in std::iter::once(&district.value.name).chain(&district.value.aliases) {
                if let Some(line) = seen.insert(name, district.place.line) {
                    faults.push(district.place.fault(format!("district {name:?} is already on line {line}")));
                }
            }
        }
        seen.clear();
        for matter in self.draft.matters.iter().filter(|matter| !matter.value.id.is_empty()) {
            let place = matter.at("id");
            if let Some(line) = seen.insert(&matter.value.id, place.line) {
                faults.push(place.fault(format!("duplicate id: matter {:?} is already on line {line}", matter.value.id)));
            }
        }
        for (index, unit) in self.draft.units.iter().enumerate() {
            let same = |other: &&Entry<Unit>| {
                let (a, b) = (&unit.value, &other.value);
                (&a.department, &a.district, &a.words) == (&b.department, &b.district, &b.words)
                    && a.validity.overlaps(b.validity)
            };
            if let Some(other) = self.draft.units[..index].iter().find(same) {
                let place = format!("{:?} on line {}", other.value.name, other.place.line);
                let reason = format!(
                    "unit {:?} takes the same orders as {place}; give one of them words, or another time",
                    unit.value.name
                );
                faults.push(unit.place.fault(reason));
            }
        }
    }

    fn departments(&self, faults: &mut Vec<Fault>) {
        let mut told: HashSet<Vec<&str>> = HashSet::new();
        for (index, entry) in self.draft.departments.iter().enumerate() {
            let department = &entry.value;
            in_order(entry, department.validity, faults);
            let earlier = self.draft.departments[..index].iter().filter(|other| other.value.id == department.id);
            for other in earlier.filter(|other| other.value.validity.overlaps(department.validity)) {
                let line = other.at("id").line;
                let open = department.validity == other.value.validity;
                let what = if open { "duplicate id" } else { "overlapping validity" };
                faults.push(entry.at("id").fault(format!("{what}: department {:?} is already on line {line}", department.id)));
            }
            let Some(last) = department.validity.to else {
                if !department.successors.is_empty() {
                    let reason = format!("department {:?} has successors but no valid_to", department.id);
                    faults.push(entry.at("successors").fault(reason));
                }
                continue;
            };
            for successor in entry.marked("successors") {
                self.successor(department, last, successor, &mut told, faults);
            }
        }
    }

    /// On no day may two departments be meant by one name: whoever writes it would get the one that stands first in the file.
    fn names(&self, faults: &mut Vec<Fault>) {
        let mut called: HashMap<&str, Vec<(&str, &Entry<CatalogDepartment>)>> = HashMap::new();
        for entry in &self.draft.departments {
            let department = &entry.value;
            let own = [("id", &department.id), ("name", &department.name)].into_iter();
            let own = own.chain(department.aliases.iter().map(|alias| ("alias", alias)));
            let mut told = HashSet::new();
            for (what, name) in own.filter(|(_, name)| !name.is_empty() && told.insert(name.as_str())) {
                let others = called.entry(name).or_default();
                let same_time = |(_, other): &&(&str, &Entry<CatalogDepartment>)| {
                    other.value.id != department.id && other.value.validity.overlaps(department.validity)
                };
                if let Some((others_what, other)) = others.iter().find(same_time) {
                    let place = if what == "id" { entry.at("id") } else { &entry.place };
                    let (id, line) = (&other.value.id, other.place.line);
                    faults.push(place.fault(format!(
                        "ambiguous {what}: {name:?} is also the {others_what} of department {id:?} on line {line} at the same time"
                    )));
                }
                others.push((what, entry));
            }
        }
    }

    /// A successor must exist on the day after the last, or nobody would answer on that day.
    fn successor(
        &self,
        department: &'a CatalogDepartment,
        last: Day,
        successor: &Located<String>,
        told: &mut HashSet<Vec<&'a str>>,
        faults: &mut Vec<Fault>,
    ) {
        let (id, place) = (successor.value.as_str(), &successor.place);
        let Some(id) = self.ids.get(id).copied() else {
            let hint = did_you_mean(id, self.ids.iter().copied());
            faults.push(place.fault(format!("unknown id: successor {id:?} is no department of this catalogue{hint}")));
            return;
        };
        let Some(next) = last.succ_opt() else { return };
        if self.entries(id).any(|entry| entry.value.validity.contains(next)) {
            return;
        }
        match self.way_back(id, &department.id) {
            Some(way) => {
                let mut circle = way.clone();
                circle.sort_unstable();
                if told.insert(circle) {
                    let shown = std::iter::once(department.id.as_str()).chain(way).collect::<Vec<_>>().join(" → ");
                    faults.push(place.fault(format!("cycle of successors: {shown}")));
                }
            }
            None => faults.push(place.fault(format!("successor {id:?} does not exist on {next}, the day it should take over"))),
        }
    }

    /// The successors from one department to another, both included.
    fn way_back(&self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut ways = vec![vec![from]];
        let mut seen = HashSet::from([from]);
        while let Some(way) = ways.pop() {
            let here = way.last().copied()?;
            if here == to {
                return Some(way);
            }
            let next = self.entries(here).flat_map(|entry| entry.value.successors.iter().map(String::as_str));
            for id in next.filter(|id| seen.insert(id)) {
                ways.push(way.iter().copied().chain([id]).collect());
            }
        }
        None
    }

    /// Every id that something else names.
    fn references(&self, faults: &mut Vec<Fault>) {
        let mut known = |what: &str, id: &Located<String>| {
            let could_be_read = self.draft.whole || !self.ids.is_empty();
            if could_be_read && !self.ids.contains(id.value.as_str()) {
                let hint = did_you_mean(&id.value, self.ids.iter().copied());
                faults.push(
                    id.place.fault(format!("unknown id: {what} {:?} is no department of this catalogue{hint}", id.value)),
                );
            }
        };
        for unit in &self.draft.units {
            unit.marked("department").for_each(|id| known("department", id));
        }
        for matter in &self.draft.matters {
            for key in ["lead", "supporting", "contesting"] {
                matter.marked(key).for_each(|id| known(key, id));
            }
        }
        let districts = || self.draft.districts.iter().map(|district| district.value.name.as_str());
        for unit in &self.draft.units {
            in_order(unit, unit.value.validity, faults);
            for named in unit.marked("district").filter(|named| !districts().any(|name| name == named.value)) {
                if self.draft.whole || districts().next().is_some() {
                    let hint = did_you_mean(&named.value, districts());
                    let reason = format!("unknown district {:?}; no district of catalog.toml has this name{hint}", named.value);
                    faults.push(named.place.fault(reason));
                }
            }
        }
        for matter in self.draft.matters.iter().filter(|matter| matter.value.words.is_empty()) {
            let reason = format!("matter {:?} has no words, so no appeal would ever fit it", matter.value.name);
            faults.push(matter.place.fault(reason));
        }
    }

    /// On every day, each department must have a unit for each district, its own or the city's; and no district may be without
    /// any unit of its own.
    fn coverage(&self, faults: &mut Vec<Fault>) {
        let units = || self.draft.units.iter().map(|unit| &unit.value);
        for district in &self.draft.districts {
            let name = &district.value.name;
            if !units().any(|unit| unit.district.as_ref() == Some(name)) {
                faults.push(district.place.fault(format!("district {name:?} is without a unit of its own in units.toml")));
            }
        }
        for entry in &self.draft.departments {
            let department = &entry.value;
            let own: Vec<&Unit> = units().filter(|unit| unit.department == department.id && unit.words.is_empty()).collect();
            // Nothing changes between these days.
            let starts = own.iter().flat_map(|unit| [unit.validity.from, unit.validity.to.and_then(|day| day.succ_opt())]);
            let first = department.validity.from.unwrap_or(Day::MIN);
            let days: BTreeSet<Day> =
                starts.flatten().filter(|day| department.validity.contains(*day)).chain([first]).collect();
            for district in &self.draft.districts {
                let name = &district.value.name;
                let served = |day: &Day| {
                    own.iter().any(|unit| unit.district.as_ref().is_none_or(|of| of == name) && unit.validity.contains(*day))
                };
                if let Some(day) = days.iter().find(|day| !served(day)) {
                    let since = if *day == Day::MIN { String::new() } else { format!(" from {day} on") };
                    let reason = format!(
                        "department {:?} has no unit for district {name:?}{since}, and none for the whole city",
                        department.id
                    );
                    faults.push(entry.place.fault(reason));
                }
            }
        }
    }
}

fn in_order<T>(entry: &Entry<T>, validity: super::Validity, faults: &mut Vec<Fault>) {
    if let (Some(from), Some(to)) = (validity.from, validity.to)
        && from > to
    {
        faults.push(entry.at("valid_from").fault(format!("valid_from {from} is after valid_to {to}")));
    }
}
