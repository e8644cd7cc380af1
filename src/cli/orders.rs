//! Files of past orders, as they are opened. One that is no lines of JSON as a whole is told as such: row by row it would be told by
//! what is wrong with its first letters.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::Path;

use crate::cli::{Failure, code};

/// Bytes at the start that are looked at.
const LOOKED_AT: u64 = 4096;

/// Opens a file of orders; refuses a folder, a file in UTF-16, and one that is a single JSON array.
pub fn open(path: &Path) -> Result<File, Failure> {
    let mut file = File::open(path).map_err(|error| Failure::file(path, error))?;
    if file.metadata().map_err(|error| Failure::file(path, error))?.is_dir() {
        return Err(Failure::said(code::NO_INPUT, format!("{}: is a folder, not a file of orders", path.display())));
    }
    check(path, &mut file)?;
    Ok(file)
}

/// What rows that are not UTF-8 point to, and the way out.
pub fn not_utf8(rows: u64, path: &Path) -> String {
    let way_out = "if it was saved in GBK, convert it first: iconv -f GB18030 -t UTF-8";
    format!("{rows} rows are not UTF-8: {way_out} {} > utf8.jsonl", path.display())
}

/// The file is at its start afterwards; what cannot be read a second time, such as a pipe, is not looked at.
fn check(path: &Path, file: &mut File) -> Result<(), Failure> {
    match file.rewind() {
        Err(error) if error.kind() == ErrorKind::NotSeekable => return Ok(()),
        rewound => rewound.map_err(|error| Failure::file(path, error))?,
    }
    let mut start = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut start).and_then(|_| file.rewind()).map_err(|error| Failure::file(path, error))?;
    match fault(&start, &path.display().to_string()) {
        Some(fault) => Err(Failure::said(code::DATA, format!("{}: {fault}", path.display()))),
        None => Ok(()),
    }
}

fn fault(start: &[u8], name: &str) -> Option<String> {
    let pair = |at: usize| start.get(at..at + 2);
    // With its mark, or an opening brace or bracket of two bytes.
    let is_utf16 = [&[0xff, 0xfe][..], &[0xfe, 0xff]].contains(&pair(0)?)
        || pair(0)?.contains(&0) && pair(0)?.iter().any(|byte| b"{[\r\n \t".contains(byte));
    if is_utf16 {
        return Some(format!("is UTF-16, not UTF-8; convert it first: iconv -f UTF-16 -t UTF-8 {name} > utf8.jsonl"));
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let way_out = "is one JSON array, and an object a line is read; convert it first: jq -c '.[]'";
    text.starts_with(b"[").then(|| format!("{way_out} {name} > lines.jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(start: &[u8]) -> String {
        fault(start, "orders.jsonl").unwrap_or_default()
    }

    #[test]
    fn what_is_utf_16_or_an_array_is_told_with_the_way_out() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        for start in [utf16("\u{feff}{\"order_id\""), utf16("{\"order_id\""), utf16("\r\n{"), b"\xfe\xff\0{".to_vec()] {
            assert!(told(&start).contains("iconv -f UTF-16 -t UTF-8 orders.jsonl"), "{start:?}");
        }
        for start in ["[\n{\"order_id\": 1},", "\u{feff} \n [{", "[]"] {
            assert!(told(start.as_bytes()).contains("jq -c '.[]' orders.jsonl"), "{start:?}");
        }
    }

    #[test]
    fn lines_of_any_other_kind_are_left_to_be_told_one_by_one() {
        let gbk = encoding_rs::GB18030.encode("{\"appeal\": \"路灯坏了\"}").0.into_owned();
        for start in [&b""[..], b"{", b"{}\n[1]\n", b"\xef\xbb\xbf{\"order_id\"", b"not json", b"\0", &gbk] {
            assert_eq!(told(start), "", "{start:?}");
        }
    }
}
