//! xlsx, by libraries that know it. Cells are taken one by one as the sheet has them, and empty ones are none: a table as wide and
//! as high as the farthest cell says would be half a terabyte for one blank in the last corner.

use std::io::Cursor;

use calamine::{DataRef, Reader, Xlsx};

use super::columns::{self, COLUMNS, Cell, Fields};
use super::entries::AS_TEXT;
use super::{ExchangeError, MAX_CELL, MAX_COLUMNS, MAX_ROWS, MAX_UNPACKED_BYTES, Row, spreadsheet, unpacked};
use crate::rulings::RulingDraft;

/// From so large a number on Excel has fewer digits than were typed.
const INEXACT: f64 = 1e15;

pub(super) fn read(bytes: &[u8]) -> Result<Vec<Row>, ExchangeError> {
    let fault = |reason: String| ExchangeError::Format { format: "xlsx", reason };
    unpacked::check(bytes)?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|error| fault(error.to_string()))?;
    let first = book.sheet_names().into_iter().next().ok_or_else(|| fault("it has no sheet".to_owned()))?;
    let mut cells = book.worksheet_cells_reader(&first).map_err(|error| fault(error.to_string()))?;
    let mut table = Table::default();
    while let Some(read) = cells.next_cell().map_err(|error| fault(error.to_string()))? {
        let (row, column) = read.get_position();
        if !is_blank(read.get_value()) {
            table.put(row, column, read.get_value())?;
        }
    }
    table.end()
}

/// What was read of a sheet so far, a row at a time.
#[derive(Default)]
struct Table {
    /// Row of the header, which is the first that is not empty, and what it says.
    head: Option<(u32, Fields)>,
    /// The row that is being read.
    row: u32,
    cells: Vec<Cell>,
    rows: Vec<Row>,
    /// Bytes of all texts: many cells can share one.
    text: u64,
}

impl Table {
    fn put(&mut self, row: u32, column: u32, value: &DataRef<'_>) -> Result<(), ExchangeError> {
        if row != self.row {
            self.end_row()?;
            if row < self.row {
                let reason = format!("row {} stands behind row {}", row + 1, self.row + 1);
                return Err(ExchangeError::Format { format: "xlsx", reason });
            }
            self.row = row;
        }
        let below = self.head.as_ref().map_or(0, |(head, _)| row - head);
        if below as usize > MAX_ROWS || column >= MAX_COLUMNS {
            return Err(ExchangeError::Outside { row: u64::from(row) + 1, column: u64::from(column) + 1 });
        }
        let (place, cell) = (column as usize, cell(value));
        self.text += cell.as_ref().map_or(0, |text| text.len() as u64);
        if self.text > MAX_UNPACKED_BYTES {
            return Err(ExchangeError::Unpacked);
        }
        if self.cells.len() <= place {
            self.cells.resize(place + 1, Ok(String::new()));
        }
        self.cells[place] = cell;
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), ExchangeError> {
        let cells = std::mem::take(&mut self.cells);
        match &self.head {
            Some((_, fields)) => self.rows.extend(spreadsheet::row(fields, cells, u64::from(self.row) + 1)),
            None if cells.is_empty() => {}
            None => self.head = Some((self.row, columns::header(&cells)?)),
        }
        Ok(())
    }

    fn end(mut self) -> Result<Vec<Row>, ExchangeError> {
        self.end_row()?;
        if self.head.is_none() { Err(ExchangeError::Header("the sheet is empty".to_owned())) } else { Ok(self.rows) }
    }
}

/// Looked at before anything is kept of a cell: blanks stand far away from the table as often as not.
fn is_blank(value: &DataRef<'_>) -> bool {
    match value {
        DataRef::Empty => true,
        DataRef::String(text) => text.trim().is_empty(),
        DataRef::SharedString(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// Excel makes dates of what looks like one, and numbers of order numbers. What it has lost on the way is told, not guessed at.
fn cell(value: &DataRef<'_>) -> Cell {
    match value {
        DataRef::DateTime(when) => {
            let (year, month, day, ..) = when.to_ymd_hms_milli();
            Ok(format!("{year:04}-{month:02}-{day:02}"))
        }
        DataRef::Float(number) if number.abs() >= INEXACT => {
            Err(format!("is the number {number:.0}, of which Excel keeps the first 15 digits only; {}", AS_TEXT))
        }
        DataRef::Float(number) => Ok(number.to_string()),
        DataRef::Int(number) => Ok(number.to_string()),
        DataRef::String(text) | DataRef::DurationIso(text) => Ok(text.clone()),
        DataRef::SharedString(text) => Ok((*text).to_owned()),
        // A day, or a time that begins with one.
        DataRef::DateTimeIso(text) => Ok(text.split('T').next().unwrap_or_default().to_owned()),
        DataRef::Bool(truth) => {
            Err(format!("is the truth value {}, not a text; {}", truth.to_string().to_uppercase(), AS_TEXT))
        }
        DataRef::Error(error) => Err(format!("is the error {error} of a formula; enter what it should say")),
        DataRef::Empty => Ok(String::new()),
    }
}

pub(super) fn write(drafts: &[RulingDraft]) -> Result<Vec<u8>, ExchangeError> {
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
        for ((column, (field, zh)), cell) in (0u16..).zip(COLUMNS).zip(columns::cells(draft)) {
            let length = cell.encode_utf16().count();
            if length > MAX_CELL {
                return Err(ExchangeError::LongCell { id: draft.id.clone(), column: format!("{field} ({zh})"), length });
            }
            sheet.write_string_with_format(row, column, &cell, &wrapped).map_err(failed)?;
        }
    }
    sheet.set_freeze_panes(1, 0).map_err(failed)?;
    book.save_to_buffer().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [&str; 6] = ["编号", "类型", "事项", "主办单位", "认定日期", "工单号"];

    /// A sheet with a header and what else the test puts there.
    fn sheet(fill: impl FnOnce(&mut rust_xlsxwriter::Worksheet)) -> Vec<u8> {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        sheet.write_row(0, 0, HEAD).expect("a header");
        sheet.write_row(1, 0, ["A1", "个案", "占道经营", "城管", "2026-01-02", "Q1"]).expect("a row");
        fill(sheet);
        book.save_to_buffer().expect("a workbook")
    }

    fn faults(row: &Row) -> Vec<String> {
        row.draft.as_ref().expect_err("a bad row").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_value_in_the_farthest_corner_is_named_and_a_blank_there_is_nothing() {
        for (row, column) in [(1_048_575, 16_383), (200_001, 0), (1, 64)] {
            let bytes = sheet(|sheet| {
                sheet.write(row, column, "x").expect("a cell");
            });
            let (row, column) = (u64::from(row) + 1, u64::from(column) + 1);
            assert_eq!(read(&bytes), Err(ExchangeError::Outside { row, column }));
        }
        let bold = rust_xlsxwriter::Format::new().set_bold();
        for text in ["", " "] {
            let bytes = sheet(|sheet| {
                sheet.write_with_format(1_048_575, 16_383, text, &bold).expect("a cell");
            });
            assert_eq!(read(&bytes).map(|rows| rows.len()), Ok(1), "{text:?}");
        }
    }

    #[test]
    fn rows_keep_their_numbers_and_places_wherever_the_table_begins() {
        let mut book = rust_xlsxwriter::Workbook::new();
        let page = book.add_worksheet();
        page.write_row(2, 1, HEAD).expect("a header");
        page.write_row(9, 1, ["", "个案", "占道经营", "城管"]).expect("a row");
        page.write_row(200_002, 1, ["", "个案", "油烟", "城管", "", "", "x"]).expect("a row");
        let rows = read(&book.save_to_buffer().expect("a workbook")).expect("read");
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [10, 200_003]);
        assert_eq!(rows[0].draft.as_ref().map(|draft| (draft.matter.as_str(), draft.lead.as_str())), Ok(("占道经营", "城管")));
        assert_eq!(faults(&rows[1]), ["row: has 8 cells, but the header has 7"]);
    }

    #[test]
    fn a_text_that_all_cells_share_is_counted_in_every_one_of_them() {
        let long = "长".repeat(30_000);
        let bytes = sheet(|sheet| {
            for row in 0..100 {
                for column in 0..60 {
                    sheet.write(row + 1, column, &long).expect("a cell");
                }
            }
        });
        assert!(bytes.len() < 100_000, "{} bytes", bytes.len());
        assert_eq!(read(&bytes), Err(ExchangeError::Unpacked));
    }

    #[test]
    fn what_excel_made_of_a_number_is_a_fault_of_its_field_and_what_it_kept_is_read() {
        let bytes = sheet(|sheet| {
            sheet.write(2, 0, 201_801_310_000_011_234_f64).expect("a number");
            sheet.write(2, 2, true).expect("a truth");
            sheet.write(2, 3, rust_xlsxwriter::Formula::new("=A999999").set_result("#REF!")).expect("a formula");
            sheet.write(2, 5, "Q1；2.01801E+13").expect("a text");
            sheet.write_row(3, 1, ["个案", "占道经营", "城管", "2026年1月2日"]).expect("a row");
            sheet.write(3, 5, 20_180_131_000_001_f64).expect("a number");
        });
        let rows = read(&bytes).expect("read");
        let told = faults(&rows[1]);
        assert_eq!(rows[1].line, 3);
        assert!(told[0].starts_with("id: is the number 2018013100000112") && told[0].ends_with(AS_TEXT), "{told:#?}");
        assert!(told[1].starts_with("matter: is the truth value TRUE"), "{told:#?}");
        assert_eq!(told[2], "lead: is the error #REF! of a formula; enter what it should say");
        assert!(told[3].starts_with("orders: \"2.01801E+13\" is a number as Excel shortens it"), "{told:#?}");
        assert_eq!(told.len(), 4);
        let good = rows[2].draft.as_ref().expect("a good row");
        assert_eq!((good.orders.as_slice(), good.decided_on.as_str()), (&["20180131000001".to_owned()][..], "2026-01-02"));
    }

    #[test]
    fn a_ruling_that_fits_no_cell_is_named_with_the_way_out() {
        let short = RulingDraft { id: "S1".to_owned(), ..RulingDraft::default() };
        let long = RulingDraft { id: "L1".to_owned(), examples: vec!["长".repeat(400); 100], ..RulingDraft::default() };
        let error = write(&[short, long]).expect_err("too long").to_string();
        assert!(error.starts_with("ruling \"L1\": examples (示例诉求) has 40099 characters"), "{error}");
        assert!(error.contains("holds 32767") && error.contains(".jsonl"), "{error}");
    }
}
