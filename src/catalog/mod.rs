//! The dispatch catalogue (派单目录): who does what in a city, on which basis, since when, and under which name on which street.
//!
//! A catalogue is a folder of four files that people edit, and a fifth if there are deadlines to keep:
//!
//! ```text
//! catalog.toml      version, city, disclaimer, districts
//! departments.toml  [[department]] id, name, aliases, valid_from, valid_to, successors, [[department.duty]]
//! units.toml        [[unit]] function x district, with a unit of the whole city where none is named
//! matters.toml      [[matter]] kinds of appeal whose responsibility was settled, or is contested, with the lead
//! holidays.toml     [[holiday]] and [[workday]]: which days are no working days, whatever their weekday; may be missing
//! ```
//!
//! [`DepartmentCatalog::open`] reads it whole or not at all: `sheet` reads typed values with their lines, `draft` makes entries of
//! them, `check` holds the entries against each other, and every fault of every file is told at once. The model knows departments
//! by stable id; after a reform of institutions [`DepartmentCatalog::in_force`] says who answers for an id on a day.
//!
//! Pure: the day is handed in.

mod check;
mod department;
mod draft;
mod fault;
mod holidays;
mod matter;
mod sheet;
mod successors;
mod unit;
mod words;
mod written_day;

use std::collections::HashMap;
use std::path::Path;

pub use department::{Basis, CatalogDepartment, Duty, Level, Validity};
pub use draft::file;
pub use fault::{CatalogError, Fault};
pub use holidays::Holidays;
pub use matter::Matter;
pub use successors::InForce;
pub use unit::{District, Place, Unit};
pub use words::Words;
pub use written_day::written_day;

/// A day of the calendar, as it is in the city.
pub use chrono::NaiveDate as Day;

/// A city's catalogue. One that exists has no faults.
#[derive(Debug, Clone, PartialEq)]
pub struct DepartmentCatalog {
    /// Named in every answer.
    pub version: String,
    /// Whose it is.
    pub city: String,
    /// What it is, and is not, good for; shown wherever the catalogue is shown.
    pub disclaimer: String,
    /// Districts and counties.
    pub districts: Vec<District>,
    /// Departments; one id may have several entries whose validity does not overlap.
    pub departments: Vec<CatalogDepartment>,
    /// Concrete units.
    pub units: Vec<Unit>,
    /// Matters.
    pub matters: Vec<Matter>,
    /// Which days are working days.
    pub holidays: Holidays,
    /// Places in `departments` of each id.
    by_id: HashMap<String, Vec<usize>>,
}

impl DepartmentCatalog {
    /// Reads a catalogue's folder; either every file is sound, or all faults are told.
    pub fn open(folder: &Path) -> Result<Self, CatalogError> {
        let (draft, mut faults) = draft::read(folder)?;
        faults.extend(check::faults(&draft));
        if !faults.is_empty() {
            faults.sort();
            faults.dedup();
            return Err(CatalogError::Faulty { folder: folder.to_owned(), faults });
        }
        Ok(Self::of(draft))
    }

    fn of(draft: draft::Draft) -> Self {
        let departments: Vec<CatalogDepartment> = draft.departments.into_iter().map(|entry| entry.value).collect();
        let mut by_id: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, department) in departments.iter().enumerate() {
            by_id.entry(department.id.clone()).or_default().push(index);
        }
        Self {
            version: draft.version,
            city: draft.city,
            disclaimer: draft.disclaimer,
            districts: draft.districts.into_iter().map(|entry| entry.value).collect(),
            departments,
            units: draft.units.into_iter().map(|entry| entry.value).collect(),
            matters: draft.matters.into_iter().map(|entry| entry.value).collect(),
            holidays: draft.holidays,
            by_id,
        }
    }

    /// All entries of an id, in the order of the file.
    pub fn entries(&self, id: &str) -> impl Iterator<Item = &CatalogDepartment> {
        self.by_id.get(id).into_iter().flatten().map(|index| &self.departments[*index])
    }

    /// What a department was called last, on whatever day.
    pub fn last_name(&self, id: &str) -> Option<&str> {
        self.entries(id).last().map(|entry| entry.name.as_str())
    }

    /// Departments that are in force on a day.
    pub fn departments_on(&self, day: Day) -> impl Iterator<Item = &CatalogDepartment> {
        self.departments.iter().filter(move |department| department.validity.contains(day))
    }

    /// Finds a department that is in force on a day by its id, name or alias.
    pub fn find(&self, id_or_name: &str, day: Day) -> Option<&CatalogDepartment> {
        let called = |department: &&CatalogDepartment| department.id == id_or_name;
        let known_as = |department: &&CatalogDepartment| {
            department.name == id_or_name || department.aliases.iter().any(|alias| alias == id_or_name)
        };
        self.departments_on(day).find(called).or_else(|| self.departments_on(day).find(known_as))
    }

    /// The district that is meant by a name or an alias.
    pub fn district(&self, name: &str) -> Option<&District> {
        self.districts.iter().find(|district| district.name == name || district.aliases.iter().any(|alias| alias == name))
    }

    /// The matter that an appeal's words fit, if any does: all words of the matter occur, and none of those that must not. Of
    /// several the one whose words are longest, since it says most; then the first in the file.
    pub fn matter(&self, text: &str) -> Option<&Matter> {
        let fitting = self.matters.iter().rev().filter_map(|matter| Some((matter.fit(text)?, matter)));
        fitting.max_by_key(|(length, _)| *length).map(|(_, matter)| matter)
    }

    /// An error that names a department which the model knows and the catalogue does not.
    pub fn must_have<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<(), CatalogError> {
        match ids.into_iter().find(|id| !self.by_id.contains_key(*id)) {
            None => Ok(()),
            Some(id) => {
                let hint = fault::did_you_mean(id, self.by_id.keys().map(String::as_str));
                Err(CatalogError::Lacks { city: self.city.clone(), version: self.version.clone(), id: id.to_owned(), hint })
            }
        }
    }
}
