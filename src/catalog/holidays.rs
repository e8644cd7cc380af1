//! Working days: Monday to Friday, less the holidays of the year, and with the days off that are worked in their stead (调休). Both are
//! announced every autumn for the year to come, so they stand in a file, `holidays.toml`, and a year that is not in it is told.

use std::collections::BTreeSet;

use chrono::{Datelike, Weekday};

use super::sheet::{Section, Sheet};
use super::{Day, Fault};

/// The longest holiday that is believed, in days: a longer one is a slip of the pen.
const LONGEST: i64 = 31;

/// The days that are not what their weekday says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holidays {
    off: BTreeSet<Day>,
    worked: BTreeSet<Day>,
}

impl Holidays {
    /// True if offices work on that day.
    pub fn is_working_day(&self, day: Day) -> bool {
        let weekend = matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        self.worked.contains(&day) || !weekend && !self.off.contains(&day)
    }

    /// The last day on which something may be done within so many working days after `day`, which itself does not count.
    pub fn deadline(&self, day: Day, working_days: u32) -> Day {
        let later = day.iter_days().skip(1).filter(|day| self.is_working_day(*day));
        // The calendar of the type ends in the year 262142.
        later.take(working_days as usize).last().unwrap_or(day)
    }

    /// True if anything is said of the year of a day. Where nothing is, weekends alone are off.
    pub fn knows_year(&self, day: Day) -> bool {
        self.off.iter().any(|one| one.year() == day.year())
    }
}

/// Reads `[[holiday]]` and `[[workday]]`.
pub(super) fn read(sheet: &mut Sheet, root: Section<'_>) -> Holidays {
    sheet.only(root, &["holiday", "workday"]);
    let mut holidays = Holidays::default();
    for section in sheet.sections(root, "holiday") {
        sheet.only(section, &["name", "from", "to"]);
        sheet.required(section, "name");
        let place = sheet.place_of(section);
        let (from, to) = (sheet.day(section, "from"), sheet.day(section, "to"));
        let Some(from) = from else {
            sheet.faults.push(place.fault("from is missing; write the first day, such as from = 2026-10-01"));
            continue;
        };
        let to = to.map_or(from.value, |to| to.value);
        let days = (to - from.value).num_days() + 1;
        if !(1..=LONGEST).contains(&days) {
            sheet.faults.push(place.fault(format!("from {} to {to} is no holiday of 1 to {LONGEST} days", from.value)));
            continue;
        }
        for day in from.value.iter_days().take(days as usize) {
            if !holidays.off.insert(day) {
                sheet.faults.push(place.fault(format!("{day} is a holiday already")));
            }
        }
    }
    for section in sheet.sections(root, "workday") {
        sheet.only(section, &["day"]);
        let place = sheet.place_of(section);
        let fault: Option<Fault> = match sheet.day(section, "day") {
            None => Some(place.fault("day is missing; write the day that is worked, such as day = 2026-10-10")),
            Some(day) if holidays.off.contains(&day.value) => Some(place.fault(format!("{} is a holiday", day.value))),
            Some(day) => {
                holidays.worked.insert(day.value);
                None
            }
        };
        sheet.faults.extend(fault);
    }
    holidays
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    fn calendar() -> Holidays {
        let text = "[[holiday]]\nname = \"国庆\"\nfrom = 2026-10-01\nto = 2026-10-07\n\n[[workday]]\nday = 2026-10-10\n";
        let (mut sheet, document) = Sheet::parse("holidays.toml", text.to_owned());
        let holidays = read(&mut sheet, Sheet::root(document.as_ref().expect("toml")));
        assert!(sheet.faults.is_empty(), "{:?}", sheet.faults);
        holidays
    }

    #[test]
    fn a_deadline_skips_weekends_and_holidays_and_counts_days_off_that_are_worked() {
        let calendar = calendar();
        assert_eq!(calendar.deadline(day("2026-09-29"), 2), day("2026-10-08"), "30 September, then the holidays");
        assert_eq!(calendar.deadline(day("2026-10-08"), 2), day("2026-10-10"), "a Saturday that is worked");
        assert_eq!(calendar.deadline(day("2026-11-06"), 2), day("2026-11-10"), "over a weekend");
        assert!(calendar.knows_year(day("2026-01-05")) && !calendar.knows_year(day("2027-01-05")));
    }

    #[test]
    fn every_fault_of_the_file_is_told_with_its_line() {
        let text =
            "[[holiday]]\nname = \"国庆\"\nfrom = 2026-10-07\nto = 2026-10-01\n[[holiday]]\nname = \"元旦\"\n[[workday]]\n";
        let (mut sheet, document) = Sheet::parse("holidays.toml", text.to_owned());
        read(&mut sheet, Sheet::root(document.as_ref().expect("toml")));
        let lines: Vec<usize> = sheet.faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [1, 5, 7], "{:?}", sheet.faults);
    }
}
