//! Files of rulings: jsonl (one draft a line, everything in it), csv and xlsx (one row a ruling, as offices keep them). A file is
//! read row by row; a row that is wrong is named by its line and left out, and the good ones are kept. What is written is read again as
//! it was, in every format.

mod columns;
mod entries;
mod orders;
mod quotes;
mod spreadsheet;
mod unpacked;
mod workbook;

use crate::rulings::{RulingDraft, RulingFault};

pub use orders::from_orders;

/// Largest file, in bytes, and most rows: a day's work of all committees of a country.
pub const MAX_FILE_BYTES: usize = 64 << 20;
const MAX_ROWS: usize = 200_000;
/// Most columns of a sheet: three times those there are.
const MAX_COLUMNS: u32 = 64;
/// Most that a workbook unpacks to, in bytes: a table of [`MAX_ROWS`] long rulings fits.
const MAX_UNPACKED_BYTES: u64 = 512 << 20;
/// Most characters of a cell, as Excel counts them (in UTF-16).
const MAX_CELL: usize = 32_767;

/// UTF-8 with a mark, so that Excel shows Chinese and not its bytes. Others write it too.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated, with a header; UTF-8, or GBK as Excel writes it.
    Csv,
    /// A workbook; its first sheet, with a header.
    Xlsx,
}

impl Format {
    /// By the ending of a file's name.
    pub fn of_name(name: &str) -> Option<Self> {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase())?;
        match ending.as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "xlsx" => Some(Self::Xlsx),
            _ => None,
        }
    }
}

/// One row of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Line of the file or row of the sheet, from 1.
    pub line: u64,
    /// What it says, or what is wrong with it.
    pub draft: Result<RulingDraft, Vec<RulingFault>>,
}

/// Why a file as a whole is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// Too large.
    #[error("has {size} bytes; at most {MAX_FILE_BYTES} are read at once, so split it")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// Too many rows.
    #[error("has more than {MAX_ROWS} rows; split it")]
    TooManyRows,
    /// A workbook of a few kilobytes that unpacks to gigabytes.
    #[error("unpacks to more than {MAX_UNPACKED_BYTES} bytes; split it, and leave nothing in it but the table")]
    Unpacked,
    /// A value far away from the table, which somebody left there by mistake.
    #[error(
        "row {row}, column {column}: stands outside of the {MAX_ROWS} rows below the header and {MAX_COLUMNS} columns that are read; clear the cell, or split the file"
    )]
    Outside {
        /// Row of the sheet, from 1.
        row: u64,
        /// Column, from 1.
        column: u64,
    },
    /// A header without what a ruling needs, or with what is unknown.
    #[error("line 1: {0}")]
    Header(String),
    /// A quote of the header without a partner.
    #[error("line {line}: {reason}")]
    Quote {
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Not what its format says.
    #[error("is no {format}: {reason}")]
    Format {
        /// csv or xlsx.
        format: &'static str,
        /// Why.
        reason: String,
    },
    /// A cell that no workbook can hold.
    #[error(
        "ruling {id:?}: {column} has {length} characters, but a cell of a workbook holds {MAX_CELL}; write a .jsonl instead, which has no such limit"
    )]
    LongCell {
        /// Of the ruling.
        id: String,
        /// Name of the field and header.
        column: String,
        /// Characters, as Excel counts them.
        length: usize,
    },
    /// Could not be written: our own fault.
    #[error("could not be written: {0}")]
    Write(String),
}

/// Reads a whole file.
pub fn read(format: Format, bytes: &[u8]) -> Result<Vec<Row>, ExchangeError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(ExchangeError::TooLarge { size: bytes.len() });
    }
    let rows = match format {
        Format::Jsonl => json_lines(bytes),
        Format::Csv => spreadsheet::read_csv(bytes)?,
        Format::Xlsx => workbook::read(bytes)?,
    };
    if rows.len() > MAX_ROWS { Err(ExchangeError::TooManyRows) } else { Ok(rows) }
}

/// Writes a whole file.
pub fn write(format: Format, drafts: &[RulingDraft]) -> Result<Vec<u8>, ExchangeError> {
    match format {
        Format::Jsonl => {
            let mut bytes = Vec::new();
            for draft in drafts {
                serde_json::to_writer(&mut bytes, draft).map_err(|error| ExchangeError::Write(error.to_string()))?;
                bytes.push(b'\n');
            }
            Ok(bytes)
        }
        Format::Csv => spreadsheet::write_csv(drafts),
        Format::Xlsx => workbook::write(drafts),
    }
}

fn json_lines(bytes: &[u8]) -> Vec<Row> {
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').zip(1..);
    let lines = lines.filter(|(line, _)| !line.iter().all(u8::is_ascii_whitespace));
    lines.take(MAX_ROWS + 1).map(|(line, number)| Row { line: number, draft: json_line(line) }).collect()
}

fn json_line(line: &[u8]) -> Result<RulingDraft, Vec<RulingFault>> {
    let text = std::str::from_utf8(line).map_err(|error| {
        vec![RulingFault { field: "line".to_owned(), reason: format!("not UTF-8 at byte {}", error.valid_up_to() + 1) }]
    })?;
    RulingDraft::from_json(text).map_err(|fault| vec![fault])
}
