//! csv and xlsx, by libraries that know their dialects.

use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};

use super::columns::{self, COLUMNS};
use super::{ExchangeError, MAX_ROWS, Row};
use crate::rulings::{RulingDraft, RulingFault};

/// UTF-8 with a mark, so that Excel shows Chinese and not its bytes.
const MARK: &[u8] = b"\xef\xbb\xbf";

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
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut records = reader.records();
    let fault = |error: csv::Error| ExchangeError::Format { format: "csv", reason: error.to_string() };
    let Some(head) = records.next() else { return Err(ExchangeError::Header("the file is empty".to_owned())) };
    let fields = columns::header(&owned(&head.map_err(fault)?))?;
    let mut rows = Vec::new();
    for record in records.take(MAX_ROWS + 1) {
        let record = record.map_err(fault)?;
        let line = record.position().map_or(0, csv::Position::line);
        rows.extend(row(&fields, owned(&record), line));
    }
    Ok(rows)
}

fn owned(record: &csv::StringRecord) -> Vec<String> {
    record.iter().map(|cell| unguarded(cell).to_owned()).collect()
}

pub(super) fn read_xlsx(bytes: &[u8]) -> Result<Vec<Row>, ExchangeError> {
    let fault = |reason: String| ExchangeError::Format { format: "xlsx", reason };
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|error| fault(error.to_string()))?;
    let sheet = book.worksheet_range_at(0).ok_or_else(|| fault("it has no sheet".to_owned()))?;
    let sheet = sheet.map_err(|error| fault(error.to_string()))?;
    let first = u64::from(sheet.start().map_or(0, |(row, _)| row)) + 1;
    let mut lines = sheet.rows().zip(first..);
    let Some((head, _)) = lines.next() else { return Err(ExchangeError::Header("the sheet is empty".to_owned())) };
    let fields = columns::header(&head.iter().map(cell).collect::<Vec<_>>())?;
    Ok(lines.take(MAX_ROWS + 1).filter_map(|(cells, line)| row(&fields, cells.iter().map(cell).collect(), line)).collect())
}

/// Excel makes dates of what looks like one, and numbers of order numbers.
fn cell(data: &Data) -> String {
    match data {
        Data::DateTime(when) => {
            let (year, month, day, ..) = when.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}")
        }
        Data::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        other => other.to_string(),
    }
}

/// A row; `None` for an empty one, which people leave between blocks.
fn row(fields: &[Option<&'static str>], cells: Vec<String>, line: u64) -> Option<Row> {
    if cells.iter().all(|cell| cell.trim().is_empty()) {
        return None;
    }
    let more = cells.iter().skip(fields.len()).any(|cell| !cell.trim().is_empty());
    let draft = if more {
        let reason = format!("has {} cells, but the header has {}", cells.len(), fields.len());
        Err(vec![RulingFault { field: "row".to_owned(), reason }])
    } else {
        Ok(columns::draft(fields, &cells))
    };
    Some(Row { line, draft })
}

/// What a spreadsheet would take for a formula: a citizen's words must not be run by whoever opens the file.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t'])
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

pub(super) fn write_xlsx(drafts: &[RulingDraft]) -> Result<Vec<u8>, ExchangeError> {
    let failed = |error: rust_xlsxwriter::XlsxError| ExchangeError::Write(error.to_string());
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    sheet.set_name("认定").map_err(failed)?;
    let bold = rust_xlsxwriter::Format::new().set_bold();
    let wrapped = rust_xlsxwriter::Format::new().set_text_wrap();
    for (column, (_, zh)) in (0u16..).zip(COLUMNS) {
        sheet.write_string_with_format(0, column, zh, &bold).map_err(failed)?;
    }
    for (row, draft) in (1u32..).zip(drafts) {
        for (column, cell) in (0u16..).zip(columns::cells(draft)) {
            sheet.write_string_with_format(row, column, &cell, &wrapped).map_err(failed)?;
        }
    }
    sheet.set_freeze_panes(1, 0).map_err(failed)?;
    book.save_to_buffer().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_spreadsheet_would_run_are_guarded_and_come_back_as_they_were() {
        let matter = "=HYPERLINK(\"x\")".to_owned();
        let draft = RulingDraft { scope: "case".to_owned(), matter, lead: "城管".to_owned(), ..RulingDraft::default() };
        let bytes = write_csv(std::slice::from_ref(&draft)).expect("a file");
        assert!(String::from_utf8_lossy(&bytes).contains("'=HYPERLINK"));
        let rows = read_csv(&bytes).expect("our own file");
        assert_eq!(rows[0].draft.as_ref().map(|back| back.matter.as_str()), Ok(draft.matter.as_str()));
    }
}
