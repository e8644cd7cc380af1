//! Cells of several entries, as offices write them: one a line, or separated by `；`; words also by commas and `、`, since `路灯、坏` as
//! one word would never occur; texts (examples, basis, positions) only by lines. An entry of 依据 is
//! `法律|文号名称|第十四条|引文|2020-01-01`, one of 各方意见 `城管|意见|against`; parts at the end may be left out.
//!
//! What would not come back so, such as a word with a comma in it, stands in the cell as in a line of jsonl: a list of JSON,
//! `["占道、经营","1,000元"]`. Every cell is read back before it is written, so that none can say something else than the ruling does.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::catalog::written_day;
use crate::rulings::{BasisDraft, PositionDraft};

/// The way out where a spreadsheet took a text for something else.
pub(super) const AS_TEXT: &str = "format the column as text and enter it again";

/// Entries of a cell that are read: many more than a ruling may have, so that one with too many is told as such, and few enough that
/// a cell of millions costs nothing.
const MAX_CELL_ENTRIES: usize = 10_000;

/// Chinese for a vote.
const VOTES: [(&str, &str); 3] = [("for", "赞成"), ("against", "反对"), ("abstained", "弃权")];

/// How the entries of a cell are told apart, and what each is.
pub(super) struct Entries<T: 'static> {
    separators: &'static [char],
    entry: fn(&str) -> T,
    written: fn(&T) -> String,
    /// Whether no digit of them may be lost.
    numbers: bool,
}

impl Entries<String> {
    /// Departments, districts.
    pub(super) const NAMES: Self = Self::plain(&['\n', '；', ';']);
    /// Numbers that are names.
    pub(super) const NUMBERS: Self = Self { numbers: true, ..Self::NAMES };
    /// Words.
    pub(super) const WORDS: Self = Self::plain(&['\n', '；', ';', '、', '，', ',']);
    /// Texts.
    pub(super) const TEXTS: Self = Self::plain(&['\n']);

    const fn plain(separators: &'static [char]) -> Self {
        Self { separators, entry: str::to_owned, written: String::clone, numbers: false }
    }
}

impl Entries<BasisDraft> {
    /// What a ruling rests on.
    pub(super) const BASIS: Self = Self {
        separators: &['\n'],
        entry: basis,
        written: |one| parts(&[&one.level, &one.document, &one.article, &one.quote, &one.valid_from]),
        numbers: false,
    };
}

impl Entries<PositionDraft> {
    /// What the departments said.
    pub(super) const POSITIONS: Self = Self {
        separators: &['\n'],
        entry: position,
        written: |one| {
            let vote = VOTES.iter().find(|(vote, _)| *vote == one.vote).map_or(one.vote.as_str(), |(_, zh)| zh);
            parts(&[&one.department, &one.statement, vote])
        },
        numbers: false,
    };
}

impl<T: Serialize + DeserializeOwned + PartialEq> Entries<T> {
    /// Reads a cell.
    pub(super) fn read(&self, cell: &str) -> Result<Vec<T>, String> {
        let list = cell.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(['"', '{']));
        if list {
            let wrong = |error: serde_json::Error| {
                // The library counts bytes, people characters.
                let line = cell.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
                let column = line.char_indices().take_while(|(at, _)| *at < error.column()).count();
                format!("begins as a list of JSON, and breaks off at line {}, character {column} of the cell", error.line())
            };
            let mut all: Vec<T> = serde_json::from_str(cell).map_err(wrong)?;
            all.truncate(MAX_CELL_ENTRIES);
            return Ok(all);
        }
        let entries = cell.split(self.separators).map(str::trim).filter(|entry| !entry.is_empty()).take(MAX_CELL_ENTRIES);
        let entries: Vec<&str> = entries.collect();
        match entries.iter().find(|entry| self.numbers && is_shortened(entry)) {
            Some(lost) => Err(shortened(lost)),
            None => Ok(entries.into_iter().map(self.entry).collect()),
        }
    }

    /// Writes a cell that [`Self::read`] reads the same of.
    pub(super) fn write(&self, entries: &[T]) -> String {
        let between = if self.separators.contains(&'；') { "；" } else { "\n" };
        let plain: Vec<String> = entries.iter().map(self.written).collect();
        let plain = plain.join(between);
        // As whoever reads the cell has it. A workbook makes another line break of the one that old files have.
        if !plain.contains('\r') && self.read(plain.trim()).is_ok_and(|read| read == entries) {
            return plain;
        }
        // What is made of texts alone is always JSON.
        serde_json::to_string(entries).unwrap_or_default()
    }
}

/// `2.01801E+13`: what Excel leaves of 20180131000001 where it saves csv.
pub(super) fn is_shortened(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((number, power)) = name.split_once("E+").or_else(|| name.split_once("e+")) else { return false };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    digits(whole) && digits(fraction) && digits(power)
}

pub(super) fn shortened(lost: &str) -> String {
    format!("{lost:?} is a number as Excel shortens it, so its digits are lost; {AS_TEXT}")
}

/// A day as YYYY-MM-DD, however it is written; what is none as it is, and it is told later that it is no day.
pub(super) fn day(cell: &str) -> String {
    written_day(cell).map_or_else(|| cell.to_owned(), |day| day.to_string())
}

fn basis(entry: &str) -> BasisDraft {
    let mut parts = entry.split(['|', '｜']).map(|part| part.trim().to_owned());
    let mut next = || parts.next().unwrap_or_default();
    BasisDraft { level: next(), document: next(), article: next(), quote: next(), valid_from: day(&next()) }
}

fn position(entry: &str) -> PositionDraft {
    let mut parts = entry.split(['|', '｜']).map(|part| part.trim().to_owned());
    let mut next = || parts.next().unwrap_or_default();
    let (department, statement, vote) = (next(), next(), next());
    let known = VOTES.iter().find(|(_, zh)| *zh == vote).map(|(vote, _)| (*vote).to_owned());
    PositionDraft { department, statement, vote: known.unwrap_or(vote) }
}

fn parts(parts: &[&str]) -> String {
    parts.join("|").trim_end_matches('|').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_however_it_is_written_and_what_is_none_is_left_to_be_told() {
        assert_eq!((day("2026/1/2"), day("2026年1月"), day("")), ("2026-01-02".into(), "2026年1月".into(), String::new()));
        assert_eq!(basis("法律|《某法》|第一条||2020/1/1").valid_from, "2020-01-01");
    }

    #[test]
    fn a_number_that_was_shortened_is_told_from_names_with_an_e() {
        for text in ["2.01801E+13", "2E+13", "2.01801e+20"] {
            assert!(is_shortened(text), "{text}");
        }
        for text in ["E+13", "2.01801E13", "A2E+13", "2.E+13", "2E+", "O-2.1E+x", "20180131000001"] {
            assert!(!is_shortened(text), "{text}");
        }
    }

    #[test]
    fn words_are_separated_as_people_write_them_and_names_are_left_whole() {
        let words = Entries::WORDS.read("路灯、坏，不亮,暗；黑;熄\n灭|熄灭");
        assert_eq!(words.expect("words"), ["路灯", "坏", "不亮", "暗", "黑", "熄", "灭|熄灭"]);
        assert_eq!(Entries::NAMES.read("交通、港航局；城管").expect("names"), ["交通、港航局", "城管"]);
        assert_eq!(Entries::WORDS.read("[手机号]、[]、\"坏\"").expect("words"), ["[手机号]", "[]", "\"坏\""], "no lists");
    }

    #[test]
    fn an_entry_that_a_separator_would_part_is_written_as_a_list_and_any_other_cell_as_people_write_it() {
        let all = |entries: &[&str]| entries.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert_eq!(Entries::WORDS.write(&all(&["路灯", "灭|熄灭"])), "路灯；灭|熄灭");
        let comma = all(&["占道、经营", "1,000元"]);
        assert_eq!(Entries::WORDS.write(&comma), "[\"占道、经营\",\"1,000元\"]");
        assert_eq!(Entries::WORDS.read("[ \"占道、经营\",\n \"1,000元\"]").expect("a list"), comma, "as people lay it out");
        assert_eq!(Entries::NUMBERS.write(&all(&["2E+13"])), "[\"2E+13\"]", "nobody's spreadsheet shortened it");
        assert_eq!(Entries::NAMES.write(&[]), "");
        let quote = BasisDraft { level: "三定".into(), quote: "一|二\n三".into(), ..BasisDraft::default() };
        let cell = Entries::BASIS.write(std::slice::from_ref(&quote));
        assert_eq!(Entries::BASIS.read(&cell).expect("a list"), [quote], "{cell}");
    }

    #[test]
    fn a_list_that_somebody_broke_is_a_fault_and_not_words() {
        let error = Entries::WORDS.read("[\"占道、经营\",\"1,000元]").expect_err("it is broken");
        assert_eq!(error, "begins as a list of JSON, and breaks off at line 1, character 17 of the cell");
    }
}
