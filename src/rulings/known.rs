//! The names that rulings and returns may use, and the ids that they mean.

use crate::catalog::{CatalogDepartment, DepartmentCatalog};
use crate::text::nearest;

/// The names that a ruling may use: those of the catalogue, or of the model where there is no catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Ids of departments, each with the other names it goes by.
    pub departments: Vec<(String, Vec<String>)>,
    /// Districts, each with the other names it goes by; empty: nothing is known of districts, and any name will do.
    pub districts: Vec<(String, Vec<String>)>,
}

impl Known {
    /// Every department that the catalogue has ever had, and its districts.
    pub fn of_catalog(catalog: &DepartmentCatalog) -> Self {
        let names = |one: &CatalogDepartment| std::iter::once(&one.name).chain(&one.aliases).cloned().collect();
        Self {
            departments: catalog.departments.iter().map(|one| (one.id.clone(), names(one))).collect(),
            districts: catalog.districts.iter().map(|one| (one.name.clone(), one.aliases.clone())).collect(),
        }
    }

    /// The id that a name means.
    pub fn department(&self, name: &str) -> Option<&str> {
        let ids = self.departments.iter().map(|(id, _)| id.as_str());
        ids.clone().find(|id| *id == name).or_else(|| {
            let called = |(_, names): &&(String, Vec<String>)| names.iter().any(|one| one == name);
            self.departments.iter().find(called).map(|(id, _)| id.as_str())
        })
    }

    /// The district that a name means, as the catalogue calls it.
    pub fn district(&self, name: &str) -> Option<&str> {
        let called = |(own, others): &&(String, Vec<String>)| own == name || others.iter().any(|one| one == name);
        self.districts.iter().find(called).map(|(own, _)| own.as_str())
    }

    /// The ids of the departments that a text names, in its order, each once. Of names that overlap the longer one counts: whoever
    /// writes 公安交警 does not mean 公安.
    pub fn named_in(&self, text: &str) -> Vec<&str> {
        let mut found: Vec<(usize, usize, &str)> = Vec::new();
        for (id, names) in &self.departments {
            let called = std::iter::once(id).chain(names).filter(|name| name.chars().count() > 1);
            found.extend(
                called.flat_map(|name| text.match_indices(name.as_str()).map(|(at, _)| (at, at + name.len(), id.as_str()))),
            );
        }
        let longer = |a: &(usize, usize, &str), b: &(usize, usize, &str)| b.1 - b.0 > a.1 - a.0 && a.0 < b.1 && b.0 < a.1;
        let mut kept: Vec<_> = found.iter().filter(|one| !found.iter().any(|other| longer(one, other))).collect();
        kept.sort_unstable();
        let mut ids: Vec<&str> = Vec::new();
        kept.into_iter().for_each(|(_, _, id)| {
            if !ids.contains(id) {
                ids.push(id)
            }
        });
        ids
    }

    /// The nearest name, as the end of a sentence; empty if none is near.
    pub fn hint(&self, typed: &str) -> String {
        let ids = self.departments.iter().map(|(id, _)| id.as_str());
        let near = nearest(typed, ids).filter(|name| name.chars().any(|c| typed.contains(c)));
        near.map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_names_that_overlap_the_longer_counts_and_each_department_once() {
        let department = |id: &str, names: &[&str]| (id.to_owned(), names.iter().map(|name| (*name).to_owned()).collect());
        let known = Known {
            departments: vec![
                department("公安", &["公安局"]),
                department("交警", &["公安交警", "交警支队"]),
                department("水", &[]),
                department("水务", &["水务局"]),
            ],
            districts: Vec::new(),
        };
        assert_eq!(known.named_in("应由公安交警处理，交警支队已知悉；供水问题请转水务局"), ["交警", "水务"]);
        assert_eq!(known.named_in("请转公安局，另抄交警"), ["公安", "交警"]);
        assert!(known.named_in("不属于我单位职责").is_empty());
    }
}
