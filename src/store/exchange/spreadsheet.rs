//! csv, by a library that knows its dialects, and what the rows of every table have in common.

use super::columns::{self, COLUMNS, Cell, Fields};
use super::quotes::{Slip, slips};
use super::{ExchangeError, MARK, MAX_ROWS, Row};
use crate::rulings::{RulingDraft, RulingFault};

pub(super) fn read_csv(bytes: &[u8]) -> Result<Vec<Row>, ExchangeError> {
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // Excel in China saves csv in GBK. What is neither is not guessed at.
        Err(error) => {
            let (text, _, wrong) = encoding_rs::GB18030.decode(bytes);
            if wrong {
                let reason = format!("not UTF-8 at byte {}, and not GBK either", error.valid_up_to() + 1);
                return Err(ExchangeError::Format { format: "csv", reason });
            }
            text.into_owned()
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let fault = |error: csv::Error| ExchangeError::Format { format: "csv", reason: error.to_string() };
    let mut record = csv::StringRecord::new();
    let mut lines = Lines { text: text.as_bytes(), at: 0, line: 1 };
    let mut slips = slips(text.as_bytes()).into_iter().peekable();
    if !reader.read_record(&mut record).map_err(fault)? {
        return Err(ExchangeError::Header("the file is empty".to_owned()));
    }
    if let Some(slip) = slips.next_if(|slip| (slip.at as u64) < reader.position().byte()) {
        return Err(ExchangeError::Quote { line: lines.at(slip.at), reason: without_partner(slip, &mut lines) });
    }
    let fields = columns::header(&owned(&record))?;
    let mut rows = Vec::new();
    while reader.read_record(&mut record).map_err(fault)? {
        let start = record.position().map_or(0, csv::Position::byte);
        let end = reader.position().byte();
        match slips.next_if(|slip| (slip.at as u64) < end) {
            Some(slip) => {
                let (line, reason) = (lines.at(slip.at), without_partner(slip, &mut lines));
                rows.push(Row { line, draft: Err(vec![RulingFault { field: "row".to_owned(), reason }]) });
                // More of the same row: the first says it all.
                while slips.next_if(|slip| (slip.at as u64) < end).is_some() {}
            }
            None => rows.extend(row(&fields, owned(&record), lines.of(start))),
        }
        if rows.len() > MAX_ROWS {
            return Err(ExchangeError::TooManyRows);
        }
    }
    Ok(rows)
}

/// What is wrong with a quote, and which rows it costs.
fn without_partner(slip: Slip, lines: &mut Lines<'_>) -> String {
    match slip.closed.map(|closed| lines.at(closed)) {
        None => {
            "a quote is opened and never closed; nothing from here on is read, so close it and import the file again".to_owned()
        }
        Some(line) => format!(
            "a quote is opened here and closed in the middle of a cell of line {line}; one of the two lacks its partner, and nothing \
             between them is read"
        ),
    }
}

fn owned(record: &csv::StringRecord) -> Vec<Cell> {
    record.iter().map(|cell| Ok(unguarded(cell).to_owned())).collect()
}

/// Counts lines, from the start to the end of a file. The library's own count is of where it stopped reading, which is before the
/// end of the line before, or before empty lines.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// Line of the record that was looked for from this byte on.
    fn of(&mut self, byte: u64) -> u64 {
        let from = usize::try_from(byte).map_or(self.text.len(), |byte| byte.clamp(self.at, self.text.len()));
        self.at(from + self.text[from..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count())
    }

    /// Line of a byte that is not before the last one asked for.
    fn at(&mut self, start: usize) -> u64 {
        // A line ends with \n, \r\n, or \r alone.
        let ends = |&at: &usize| self.text[at] == b'\n' || self.text[at] == b'\r' && self.text.get(at + 1) != Some(&b'\n');
        self.line += (self.at..start).filter(ends).count() as u64;
        self.at = start;
        self.line
    }
}

/// A row; `None` for an empty one, which people leave between blocks.
pub(super) fn row(fields: &Fields, cells: Vec<Cell>, line: u64) -> Option<Row> {
    let is_blank = |cell: &Cell| cell.as_ref().is_ok_and(|text| text.trim().is_empty());
    if cells.iter().all(is_blank) {
        return None;
    }
    let more = cells.iter().skip(fields.len()).any(|cell| !is_blank(cell));
    let draft = if more {
        let reason = format!("has {} cells, but the header has {}", cells.len(), fields.len());
        Err(vec![RulingFault { field: "row".to_owned(), reason }])
    } else {
        columns::draft(fields, &cells)
    };
    Some(Row { line, draft })
}

/// What a spreadsheet would take for a formula, or would once a guard is taken off: a citizen's words must not be run by whoever opens
/// the file.
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t'])
}

fn guarded(cell: String) -> String {
    if is_formula(&cell) { format!("'{cell}") } else { cell }
}

fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(cell)
}

pub(super) fn write_csv(drafts: &[RulingDraft]) -> Result<Vec<u8>, ExchangeError> {
    let failed = |error: csv::Error| ExchangeError::Write(error.to_string());
    let mut writer = csv::Writer::from_writer(MARK.to_vec());
    writer.write_record(COLUMNS.iter().map(|(_, zh)| *zh)).map_err(failed)?;
    for draft in drafts {
        writer.write_record(columns::cells(draft).into_iter().map(guarded)).map_err(failed)?;
    }
    writer.into_inner().map_err(|error| ExchangeError::Write(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_spreadsheet_would_run_are_guarded_and_come_back_as_they_were() {
        for matter in ["=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")"].map(str::to_owned) {
            let draft = RulingDraft { scope: "case".to_owned(), matter, lead: "城管".to_owned(), ..RulingDraft::default() };
            let bytes = write_csv(std::slice::from_ref(&draft)).expect("a file");
            assert!(String::from_utf8_lossy(&bytes).contains("'=HYPERLINK"));
            let rows = read_csv(&bytes).expect("our own file");
            assert_eq!(rows[0].draft.as_ref().map(|back| back.matter.as_str()), Ok(draft.matter.as_str()));
        }
    }

    /// Lines of the rows that are told as read from these bytes.
    fn lines(text: &str) -> Vec<u64> {
        read_csv(text.as_bytes()).expect("a table").iter().map(|row| row.line).collect()
    }

    #[test]
    fn a_row_has_the_line_that_an_editor_shows_whatever_ends_the_lines() {
        let table = "类型,事项,主办单位\n个案,一,城管\n\n,,\n个案,\"二\n\n又二\",城管\n\n\n个案,三,城管\n个案,四,城管";
        assert_eq!(lines(table), [2, 5, 10, 11]);
        assert_eq!(lines(&table.replace('\n', "\r\n")), [2, 5, 10, 11]);
        assert_eq!(lines(&table.replace('\n', "\r")), [2, 5, 10, 11]);
        assert_eq!(lines(&format!("\u{feff}\r\n\r\n{table}")), [4, 7, 12, 13]);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_told_where_it_opened_and_the_rows_before_it_are_kept() {
        let table = "类型,事项,主办单位\n个案,\"一\n又一\",城管\n个案,二,\"城管\n个案,三,城管\n个案,四,城管\n";
        let rows = read_csv(table.as_bytes()).expect("a table");
        assert_eq!(rows.iter().map(|row| (row.line, row.draft.is_ok())).collect::<Vec<_>>(), [(2, true), (4, false)]);
        let told = rows[1].draft.as_ref().expect_err("a fault")[0].to_string();
        assert!(told.starts_with("row: a quote is opened and never closed"), "{told}");
        let told = read_csv("类型,\"事项,主办单位\n个案,一,城管\n".as_bytes()).expect_err("a header like that").to_string();
        assert!(told.starts_with("line 1: a quote is opened and never closed"), "{told}");
    }

    #[test]
    fn a_quote_that_the_next_quoted_cell_closes_does_not_swallow_the_rows_between() {
        let table = "类型,事项,主办单位\n个案,\"一,城管\n个案,二,城管\n个案,\"三\",城管\n个案,四,城管\n";
        let rows = read_csv(table.as_bytes()).expect("a table");
        assert_eq!(rows.iter().map(|row| (row.line, row.draft.is_ok())).collect::<Vec<_>>(), [(2, false), (5, true)]);
        let told = rows[0].draft.as_ref().expect_err("a fault")[0].to_string();
        assert!(told.contains("closed in the middle of a cell of line 4"), "{told}");
    }

    #[test]
    fn empty_rows_do_not_count_and_rows_behind_them_are_not_lost() {
        let head = "类型,事项,主办单位\n".to_owned();
        let empty = ",,\n".repeat(MAX_ROWS + 10);
        assert_eq!(lines(&format!("{head}{empty}个案,一,城管\n")), [MAX_ROWS as u64 + 12]);
        let full = "个案,一,城管\n".repeat(MAX_ROWS);
        assert_eq!(lines(&format!("{head}{full}")).len(), MAX_ROWS);
        assert_eq!(read_csv(format!("{head}{full}{empty}个案,一,城管\n").as_bytes()), Err(ExchangeError::TooManyRows));
    }
}
