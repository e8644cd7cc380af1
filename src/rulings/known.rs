//! The names that rulings and returns may use, and the ids that they mean.

use crate::catalog::{CatalogDepartment, Day, DepartmentCatalog, Validity};
use crate::model::Department;
use crate::text::nearest;

/// The names that a ruling may use: those of the catalogue, or of the model where there is no catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Departments by the names that they go by, each as often as it went by others.
    pub departments: Vec<KnownDepartment>,
    /// Districts, each with the other names it goes by; empty: nothing is known of districts, and any name will do.
    pub districts: Vec<(String, Vec<String>)>,
}

/// A department by its names of a time.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownDepartment {
    /// Its id.
    pub id: String,
    /// The other names it goes by.
    pub names: Vec<String>,
    /// When it goes by them.
    pub validity: Validity,
}

impl Known {
    /// The departments of a model, where there is no catalogue.
    pub fn of_model<'a>(departments: impl IntoIterator<Item = &'a Department>) -> Self {
        let known = |one: &Department| KnownDepartment {
            id: one.id.clone(),
            names: vec![one.name.clone()],
            validity: Validity { from: None, to: None },
        };
        Self { departments: departments.into_iter().map(known).collect(), districts: Vec::new() }
    }

    /// Every department that the catalogue has ever had, and its districts.
    pub fn of_catalog(catalog: &DepartmentCatalog) -> Self {
        let names = |one: &CatalogDepartment| std::iter::once(&one.name).chain(&one.aliases).cloned().collect();
        Self {
            departments: catalog
                .departments
                .iter()
                .map(|one| KnownDepartment { id: one.id.clone(), names: names(one), validity: one.validity })
                .collect(),
            districts: catalog.districts.iter().map(|one| (one.name.clone(), one.aliases.clone())).collect(),
        }
    }

    /// The id that a name means nowadays.
    pub fn department(&self, name: &str) -> Option<&str> {
        self.department_on(name, None)
    }

    /// The id that a name means to whoever uses it on a day: a name may have been another department's before. Of those who do not go
    /// by it on that day it is the last who did.
    pub fn department_on(&self, name: &str, day: Option<Day>) -> Option<&str> {
        let called = |one: &&KnownDepartment| one.names.iter().any(|own| own == name);
        let by_id = self.departments.iter().find(|one| one.id == name);
        let of_the_day = |one: &&KnownDepartment| {
            let there = day.map_or(one.validity.to.is_none(), |day| one.validity.contains(day));
            (there, one.validity.to.is_none(), one.validity.to)
        };
        // Of several the first in the catalogue, as everywhere.
        by_id.or_else(|| self.departments.iter().filter(called).rev().max_by_key(of_the_day)).map(|one| one.id.as_str())
    }

    /// The district that a name means, as the catalogue calls it.
    pub fn district(&self, name: &str) -> Option<&str> {
        let called = |(own, others): &&(String, Vec<String>)| own == name || others.iter().any(|one| one == name);
        self.districts.iter().find(called).map(|(own, _)| own.as_str())
    }

    /// The ids of the departments that a text names, in its order, each once. Of names that overlap the longer one counts: whoever
    /// writes 公安交警 does not mean 公安.
    pub fn named_in(&self, text: &str, day: Day) -> Vec<&str> {
        let mut found: Vec<(usize, usize, &str)> = Vec::new();
        for one in &self.departments {
            let called = std::iter::once(&one.id).chain(&one.names).filter(|name| name.chars().count() > 1);
            for name in called {
                // Two may have gone by one name, one after the other.
                let Some(id) = self.department_on(name, Some(day)) else { continue };
                found.extend(text.match_indices(name.as_str()).map(|(at, _)| (at, at + name.len(), id)));
            }
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
        let ids = self.departments.iter().map(|one| one.id.as_str());
        let near = nearest(typed, ids).filter(|name| name.chars().any(|c| typed.contains(c)));
        near.map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_names_that_overlap_the_longer_counts_and_each_department_once() {
        let department = |id: &str, names: &[&str]| known(id, names, None, None);
        let day = "2026-03-01".parse().expect("a day");
        let known = Known {
            departments: vec![
                department("公安", &["公安局"]),
                department("交警", &["公安交警", "交警支队"]),
                department("水", &[]),
                department("水务", &["水务局"]),
            ],
            districts: Vec::new(),
        };
        assert_eq!(known.named_in("应由公安交警处理，交警支队已知悉；供水问题请转水务局", day), ["交警", "水务"]);
        assert_eq!(known.named_in("请转公安局，另抄交警", day), ["公安", "交警"]);
        assert!(known.named_in("不属于我单位职责", day).is_empty());
    }

    #[test]
    fn a_name_means_who_went_by_it_on_the_day_and_nowadays_who_goes_by_it() {
        let known = Known {
            departments: vec![
                known("旧市容", &["市容局"], None, Some("2018-12-31")),
                known("新市容", &["市容局"], Some("2019-01-01"), None),
            ],
            districts: Vec::new(),
        };
        let on = |day: &str| known.department_on("市容局", Some(day.parse().expect("a day")));
        assert_eq!(
            (on("2018-12-31"), on("2019-01-01"), known.department("市容局")),
            (Some("旧市容"), Some("新市容"), Some("新市容"))
        );
        assert_eq!(known.department("旧市容"), Some("旧市容"), "an id is an id");
        assert_eq!(known.named_in("请转市容局", "2020-01-01".parse().expect("a day")), ["新市容"]);
    }

    fn known(id: &str, names: &[&str], from: Option<&str>, to: Option<&str>) -> KnownDepartment {
        let day = |day: Option<&str>| day.map(|day| day.parse().expect("a day"));
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        KnownDepartment { id: id.to_owned(), names, validity: Validity { from: day(from), to: day(to) } }
    }
}
