//! The fields of a filter, and what the value beside one means: an id for a name, a time as it stands in the database. What could
//! never be found as it is written is refused, since an empty list would say that there is no such ruling.

use chrono::{DateTime, SecondsFormat};

use super::{Term, Value};
use crate::catalog::Day;
use crate::rulings::{Body, Known};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Compared as it stands.
    Text,
    /// One of these.
    Choice(&'static [&'static str]),
    Body,
    Department,
    District,
    Day,
    Time,
}

/// Fields that are compared, and their columns.
const FIELDS: [(&str, &str, Kind); 10] = [
    ("id", "id", Kind::Text),
    ("scope", "scope", Kind::Choice(&["case", "standing"])),
    ("status", "status", Kind::Choice(&["draft", "in_force", "superseded", "withdrawn"])),
    ("body", "body", Kind::Body),
    ("matter", "matter", Kind::Text),
    ("lead", "lead_department", Kind::Department),
    ("decided_on", "decided_on", Kind::Day),
    ("effective_from", "effective_from", Kind::Day),
    ("create_time", "create_time", Kind::Time),
    ("update_time", "update_time", Kind::Time),
];

/// Lists, and the kind of name in `ruling_names`.
const LISTS: [(&str, &str, Kind); 5] = [
    ("orders", "order", Kind::Text),
    ("districts", "district", Kind::District),
    ("supporting", "supporting", Kind::Department),
    ("excluded", "excluded", Kind::Department),
    ("positions.department", "contesting", Kind::Department),
];

/// True for a field whose values have names besides the one that is kept.
pub(super) fn has_names(name: &str) -> bool {
    let all = FIELDS.into_iter().chain(LISTS);
    all.filter(|(field, ..)| *field == name).any(|(.., kind)| matches!(kind, Kind::Department | Kind::District))
}

/// One comparison. Without the names that are known a name is taken for what is kept.
pub(super) fn compare(name: &str, sign: &'static str, value: String, known: Option<&Known>) -> Result<Term, String> {
    if let Some((_, of, kind)) = LISTS.into_iter().find(|(field, ..)| *field == name) {
        return match (sign, known) {
            (":" | "=", Some(known)) => Ok(Term::Names { kind: of, value: kept(kind, value, known)? }),
            (":" | "=", None) => Ok(Term::Names { kind: of, value }),
            _ => Err(format!("{name} is a list; write {name}:\"…\"")),
        };
    }
    let Some((_, column, kind)) = FIELDS.into_iter().find(|(field, ..)| *field == name) else {
        let fields: Vec<&str> = FIELDS.iter().chain(&LISTS).map(|field| field.0).collect();
        return Err(format!("there is no field {name:?}; there are {}", fields.join(", ")));
    };
    let text = |sign, text: String| Ok(Term::Compare { column, sign, value: Value::Text(text) });
    match (kind, sign) {
        (Kind::Body | Kind::Time, ":") => Err(format!("{name} has no parts; compare it with =, <, >")),
        // A choice has no parts either, but of a whole one the two say the same.
        (Kind::Choice(choices), sign) => {
            let known = choices.iter().find(|choice| choice.eq_ignore_ascii_case(&value));
            let known = known.ok_or_else(|| format!("no {name} {value:?}; there are {}", choices.join(", ")))?;
            text(if sign == ":" { "=" } else { sign }, (*known).to_owned())
        }
        (Kind::Department, ":") => match known.and_then(|known| known.department(&value)) {
            Some(id) if id != value => text("=", id.to_owned()),
            _ => Ok(Term::Contains { column, value }),
        },
        (_, ":") => Ok(Term::Contains { column, value }),
        (Kind::Body, sign) => {
            let rank = Body::ALL.iter().position(|(_, id, word)| *id == value || *word == value);
            let names: Vec<&str> = Body::ALL.iter().map(|(_, id, _)| *id).collect();
            let rank = rank.ok_or_else(|| format!("no body {value:?}; there are {}", names.join(", ")))?;
            Ok(Term::Compare { column, sign, value: Value::Rank(rank as i64) })
        }
        (Kind::Day, sign) => {
            let day = value.parse::<Day>();
            text(sign, day.map_err(|_| format!("{name} is a day, which {value:?} is not; write YYYY-MM-DD"))?.to_string())
        }
        (Kind::Time, sign) => text(sign, moment(name, &value)?),
        (Kind::Text | Kind::Department | Kind::District, sign) => match known {
            Some(known) => text(sign, kept(kind, value, known)?),
            None => text(sign, value),
        },
    }
}

/// What is kept of what goes by this name.
fn kept(kind: Kind, value: String, known: &Known) -> Result<String, String> {
    match kind {
        Kind::Department => match known.department(&value) {
            Some(id) => Ok(id.to_owned()),
            None => Err(format!("no department {value:?} is known{}", known.hint(&value))),
        },
        Kind::District if !known.districts.is_empty() => match known.district(&value) {
            Some(name) => Ok(name.to_owned()),
            None => {
                let there: Vec<&str> = known.districts.iter().map(|(name, _)| name.as_str()).collect();
                Err(format!("no district {value:?} is known; there are {}", there.join(", ")))
            }
        },
        _ => Ok(value),
    }
}

/// A time as the database has it: there texts are compared, and sort as times do only if they are all written in one way.
fn moment(name: &str, value: &str) -> Result<String, String> {
    let time = DateTime::parse_from_rfc3339(value).map(|time| time.to_utc()).ok();
    let time = time.filter(|time| time.timestamp_subsec_nanos() % 1_000_000 == 0).ok_or_else(|| {
        format!("{name} is a time, which {value:?} is not; write it as 2026-01-31T08:00:00+08:00, to the millisecond at most")
    })?;
    Ok(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::super::Filter;
    use crate::catalog::Validity;
    use crate::rulings::{Known, KnownDepartment};

    fn known() -> Known {
        let department = |id: &str, name: &str| KnownDepartment {
            id: id.to_owned(),
            names: vec![name.to_owned()],
            validity: Validity { from: None, to: None },
        };
        let districts = vec![("龙华区".to_owned(), vec!["龙华".to_owned()])];
        Known {
            departments: vec![department("城管", "城市管理和综合执法"), department("环保", "生态环境保护")], districts
        }
    }

    fn values(filter: &str) -> Vec<String> {
        Filter::parse_named(filter, &known()).unwrap_or_else(|error| panic!("{filter}: {error}")).sql(1).1
    }

    #[test]
    fn a_name_means_the_id_that_rulings_are_kept_with() {
        for field in ["lead =", "lead !=", "lead:", "supporting:", "excluded:", "positions.department ="] {
            assert_eq!(values(&format!("{field} \"城市管理和综合执法\"")), ["城管"], "{field}");
        }
        assert_eq!(values("lead = 城管"), ["城管"]);
        assert_eq!(values("lead:\"城\""), ["%城%"], "a part of an id");
        assert_eq!(values("districts:龙华"), ["龙华区"]);
        assert_eq!(values("orders:龙华 matter:城市管理和综合执法"), ["龙华", "%城市管理和综合执法%"], "those are no names");
    }

    #[test]
    fn a_name_that_nobody_has_is_told_with_its_place() {
        for (filter, said) in [
            ("id = 1 AND lead = 城菅", "character 12: no department \"城菅\" is known (did you mean \"城管\"?)"),
            ("supporting:城菅", "character 1: no department"),
            ("districts:美兰", "character 1: no district \"美兰\" is known; there are 龙华区"),
        ] {
            let error = Filter::parse_named(filter, &known()).expect_err(filter);
            assert!(error.starts_with(said), "{filter}: {error}");
        }
        assert!(Filter::parse("lead = 城菅").is_ok_and(|filter| filter.has_names()), "nothing is known of names here");
        assert!(!Filter::parse("id = 城菅 OR scope = case").expect("a filter").has_names());
    }

    #[test]
    fn a_time_is_compared_as_it_is_kept_wherever_it_was_read_from_a_clock() {
        for time in ["2026-11-27T08:00:00+08:00", "2026-11-27T00:00:00Z", "2026-11-26T16:00:00.000-08:00"] {
            assert_eq!(values(&format!("create_time > \"{time}\"")), ["2026-11-27T00:00:00.000Z"], "{time}");
        }
        assert_eq!(values("update_time <= \"2026-11-27T00:00:00.123Z\""), ["2026-11-27T00:00:00.123Z"]);
        assert_eq!(values("decided_on >= 2026-3-1 AND decided_on:\"2026-03\""), ["2026-03-01", "%2026-03%"]);
    }

    #[test]
    fn what_is_no_day_or_time_is_refused_with_its_place_and_the_way_out() {
        for (filter, said) in [
            ("id = 1 decided_on = \"2026-13-01\"", "character 8: decided_on is a day"),
            ("effective_from < \"2026-11\"", "write YYYY-MM-DD"),
            ("create_time > \"x\"", "character 1: create_time is a time"),
            ("create_time > \"2026-11-27\"", "write it as 2026-01-31T08:00:00+08:00"),
            ("update_time > \"2026-11-27T00:00:00.0001Z\"", "to the millisecond"),
            ("create_time:\"2026\"", "has no parts"),
        ] {
            let error = Filter::parse(filter).expect_err(filter);
            assert!(error.contains(said), "{filter}: {error}");
        }
        assert_eq!(values("status:IN_FORCE scope:case"), ["in_force", "case"]);
    }
}
