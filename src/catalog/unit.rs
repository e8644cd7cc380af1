//! Districts, and the concrete unit for function x district.

use super::{Day, DepartmentCatalog, Validity, Words};

/// A district or county.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct District {
    /// Name, such as 龙华区.
    pub name: String,
    /// Other names by which it is called.
    pub aliases: Vec<String>,
}

/// A district by all the names that it goes by: callers, and rulings that were recorded before there was this catalogue, use any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    name: &'a str,
    aliases: &'a [String],
}

impl<'a> Place<'a> {
    /// One that nobody knows another name of; the empty name is no place.
    pub fn named(name: &'a str) -> Self {
        Self { name, aliases: &[] }
    }

    /// What a catalogue knows of a name; where there is none, or it knows no such district, just that name.
    pub fn of(catalog: Option<&'a DepartmentCatalog>, given: &'a str) -> Self {
        let known = catalog.and_then(|catalog| catalog.district(given));
        known.map_or(Self::named(given), |district| Self { name: &district.name, aliases: &district.aliases })
    }

    /// True if it is called so.
    pub fn is(self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// True if it is one of these districts.
    pub fn is_among(self, districts: &[String]) -> bool {
        districts.iter().any(|one| self.is(one))
    }
}

/// A concrete unit (承办单位) that takes orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its full name.
    pub name: String,
    /// Id of the department whose function it has.
    pub department: String,
    /// Its district; `None` for the whole city.
    pub district: Option<String>,
    /// If there are several in a district: words of the appeal that mean this one, such as a street. None: it takes the rest.
    pub words: Words,
    /// When it exists.
    pub validity: Validity,
}

impl DepartmentCatalog {
    /// The unit of a department for a district, on a day: of the district's units the one whose words occur in the appeal (the
    /// longest, if several do), otherwise the one that takes the rest; where the district has none, or is not known, the same
    /// among the units of the whole city.
    ///
    /// An appeal without a district may still name a street: then a unit of any district whose words occur goes before the
    /// city's, if there is only one.
    pub fn unit(&self, department: &str, district: Option<&District>, text: &str, day: Day) -> Option<&Unit> {
        let units = || self.units.iter().filter(|unit| unit.department == department && unit.validity.contains(day));
        let of =
            |district: Option<&str>| -> Vec<&Unit> { units().filter(|unit| unit.district.as_deref() == district).collect() };
        let within = match district {
            Some(district) => chosen(&of(Some(&district.name)), text),
            None => {
                let named: Vec<&Unit> = units().filter(|unit| unit.words.fit(text).is_some()).collect();
                if let [only] = named[..] { Some(only) } else { None }
            }
        };
        within.or_else(|| chosen(&of(None), text))
    }

    /// The unit of a department for the whole city, on a day.
    pub fn city_unit(&self, department: &str, text: &str, day: Day) -> Option<&Unit> {
        let units = self.units.iter().filter(|unit| unit.department == department && unit.district.is_none());
        chosen(&units.filter(|unit| unit.validity.contains(day)).collect::<Vec<_>>(), text)
    }

    /// A unit by its full name, on a day.
    pub fn unit_named(&self, name: &str, day: Day) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.name == name && unit.validity.contains(day))
    }
}

impl DepartmentCatalog {
    /// The last unit that ever had a name.
    pub fn unit_once_named(&self, name: &str) -> Option<&Unit> {
        let last = |unit: &&Unit| (unit.validity.to.is_none(), unit.validity.to);
        self.units.iter().filter(|unit| unit.name == name).max_by_key(last)
    }
}

/// The unit whose words occur, otherwise the one that has none.
fn chosen<'a>(units: &[&'a Unit], text: &str) -> Option<&'a Unit> {
    let fitting = units.iter().rev().filter_map(|unit| Some((unit.words.fit(text)?, *unit)));
    let named = fitting.max_by_key(|(length, _)| *length).map(|(_, unit)| unit);
    named.or_else(|| units.iter().find(|unit| unit.words.is_empty()).copied())
}
