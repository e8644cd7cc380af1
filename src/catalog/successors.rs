//! Who answers for an id on a day: a reform of institutions renames, merges and splits departments over night, and a model that
//! learned the old labels goes on naming them.

use super::{CatalogDepartment, Day, DepartmentCatalog};

/// Who answers for a department's id on a day.
#[derive(Debug, Clone, PartialEq)]
pub enum InForce<'a> {
    /// The department itself.
    Itself(&'a CatalogDepartment),
    /// Its successors, in the order of the catalogue: one after a rename or a merger, several after a split.
    Successors {
        /// The entry that ended.
        former: &'a CatalogDepartment,
        /// The first day without it.
        since: Day,
        /// Who took over; at least one.
        successors: Vec<&'a CatalogDepartment>,
    },
    /// Nobody: not founded yet, or dissolved without a successor.
    Nobody,
}

impl<'a> InForce<'a> {
    /// All who answer.
    pub fn departments(&self) -> Vec<&'a CatalogDepartment> {
        match self {
            Self::Itself(department) => vec![department],
            Self::Successors { successors, .. } => successors.clone(),
            Self::Nobody => Vec::new(),
        }
    }
}

impl DepartmentCatalog {
    /// Who answers for `id` on `day`.
    pub fn in_force(&self, id: &str, day: Day) -> InForce<'_> {
        if let Some(department) = self.entries(id).find(|department| department.validity.contains(day)) {
            return InForce::Itself(department);
        }
        let Some((last, former)) = self.ended_before(id, day) else { return InForce::Nobody };
        let mut successors = Vec::new();
        self.follow(former, last, day, &mut successors);
        match last.succ_opt() {
            Some(since) if !successors.is_empty() => InForce::Successors { former, since, successors },
            _ => InForce::Nobody,
        }
    }

    /// The entry before this one of the same id, if it had another name: a rename that kept the id.
    pub fn former_name(&self, department: &CatalogDepartment) -> Option<&CatalogDepartment> {
        let (_, former) = self.ended_before(&department.id, department.validity.from?)?;
        (former.name != department.name).then_some(former)
    }

    /// The latest entry of an id that ended before a day, with its last day.
    fn ended_before(&self, id: &str, day: Day) -> Option<(Day, &CatalogDepartment)> {
        let ended = self.entries(id).filter_map(|department| Some((department.validity.to?, department)));
        ended.filter(|(last, _)| *last < day).max_by_key(|(last, _)| *last)
    }

    /// Ends: each step goes to an entry that ended later than the one before.
    fn follow<'a>(&'a self, former: &CatalogDepartment, last: Day, day: Day, found: &mut Vec<&'a CatalogDepartment>) {
        for id in &former.successors {
            if let Some(department) = self.entries(id).find(|department| department.validity.contains(day)) {
                if !found.iter().any(|known| std::ptr::eq(*known, department)) {
                    found.push(department);
                }
            } else if let Some((later, next)) = self.ended_before(id, day)
                && later > last
            {
                self.follow(next, later, day, found);
            }
        }
    }
}
