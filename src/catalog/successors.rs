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

    /// The other ids of one office: what it was called before and since, as long as it was renamed or merged with others. What a
    /// split made of it is none of these: one of several successors does not speak for the others.
    pub fn other_names(&self, id: &str) -> Vec<&str> {
        let heir = |id: &str| -> Option<&str> {
            self.entries(id).find_map(|entry| match entry.successors.as_slice() {
                [heir] if heir != id => Some(heir.as_str()),
                _ => None,
            })
        };
        let mut names: Vec<&str> = Vec::new();
        let mut since = heir(id);
        while let Some(later) = since.filter(|later| !names.contains(later) && *later != id) {
            names.push(later);
            since = heir(later);
        }
        // Whoever became it, and whoever became those.
        let mut fresh = vec![id];
        while let Some(later) = fresh.pop() {
            let former = self.departments.iter().map(|one| one.id.as_str()).filter(|one| heir(one) == Some(later));
            for one in former.filter(|one| *one != id).collect::<Vec<_>>() {
                if !names.contains(&one) {
                    names.push(one);
                    fresh.push(one);
                }
            }
        }
        names
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Validity;

    fn department(id: &str, successors: &[&str]) -> CatalogDepartment {
        CatalogDepartment {
            id: id.to_owned(),
            name: id.to_owned(),
            aliases: Vec::new(),
            duties: Vec::new(),
            validity: Validity::default(),
            successors: successors.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    #[test]
    fn an_office_goes_by_all_names_of_a_rename_or_a_merger_but_by_none_of_a_split_nor_by_its_partners() {
        let departments = [
            department("市政", &["城维"]),
            department("城维", &["城运"]),
            department("园林", &["城运"]),
            department("城运", &[]),
            department("工商", &["市监", "知产"]),
            department("市监", &[]),
            department("知产", &[]),
        ];
        let catalog = DepartmentCatalog {
            version: String::new(),
            city: String::new(),
            disclaimer: String::new(),
            districts: Vec::new(),
            by_id: departments.iter().enumerate().map(|(place, one)| (one.id.clone(), vec![place])).collect(),
            departments: departments.to_vec(),
            units: Vec::new(),
            matters: Vec::new(),
            holidays: crate::catalog::Holidays::default(),
        };
        let names = |id: &str| {
            let mut names = catalog.other_names(id);
            names.sort_unstable();
            names
        };
        assert_eq!(names("市政"), ["城维", "城运"]);
        assert_eq!(names("城维"), ["城运", "市政"]);
        assert_eq!(names("城运"), ["园林", "城维", "市政"]);
        assert_eq!(names("园林"), ["城运"]);
        assert!(names("工商").is_empty() && names("市监").is_empty());
    }
}
