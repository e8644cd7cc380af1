//! How much a workbook unpacks to, counted before calamine takes all of it into memory. A workbook is a zip, and a zip of some
//! kilobytes can hold gigabytes; what its own directory says of sizes is only what its writer says.

use std::io::{BufReader, Cursor, Read, copy, sink};

use quick_xml::events::Event;
use zip::ZipArchive;

use super::{ExchangeError, MAX_COLUMNS, MAX_ROWS, MAX_UNPACKED_BYTES};

/// Most different texts of a workbook. calamine makes room for as many as `sharedStrings.xml` says, whether they are there or not.
const MAX_TEXTS: u64 = MAX_COLUMNS as u64 * (MAX_ROWS as u64 + 1);

/// Refuses a workbook that is larger than it looks.
pub(super) fn check(bytes: &[u8]) -> Result<(), ExchangeError> {
    // What is no zip at all is told better by those who want a workbook.
    let Ok(mut zip) = ZipArchive::new(Cursor::new(bytes)) else { return Ok(()) };
    let (mut left, mut texts) = (MAX_UNPACKED_BYTES, Vec::new());
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(fault)?;
        let unpacked = copy(&mut entry.by_ref().take(left + 1), &mut sink()).map_err(fault)?;
        left = left.checked_sub(unpacked).ok_or(ExchangeError::Unpacked)?;
        // Whatever the folder: calamine finds it by the workbook's own.
        if entry.name().map_err(fault)?.to_ascii_lowercase().ends_with("sharedstrings.xml") {
            texts.push(index);
        }
    }
    texts.into_iter().try_for_each(|index| texts_claimed(zip.by_index(index).map_err(fault)?))
}

/// Holds the number of texts that `sst` claims against what a table can have.
fn texts_claimed(entry: impl Read) -> Result<(), ExchangeError> {
    let mut xml = quick_xml::Reader::from_reader(BufReader::new(entry));
    // As calamine reads it: what it takes must be what was looked at.
    xml.config_mut().expand_empty_elements = true;
    xml.config_mut().check_end_names = false;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match xml.read_event_into(&mut buffer).map_err(fault)? {
            Event::Start(start) if start.local_name().as_ref() == "sst" => {
                for attribute in start.attributes().with_checks(false) {
                    let attribute = attribute.map_err(fault)?;
                    let claimed = attribute.value.parse::<u64>();
                    if attribute.key.as_ref() == "uniqueCount" && !claimed.is_ok_and(|count| count <= MAX_TEXTS) {
                        let said = &attribute.value;
                        return Err(fault(format!(
                            "it says that it has {said:.40} different texts; at most {MAX_TEXTS} are read"
                        )));
                    }
                }
                return Ok(());
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

fn fault(reason: impl ToString) -> ExchangeError {
    ExchangeError::Format { format: "xlsx", reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    /// A zip with one file, made of a beginning and so many blanks.
    fn zipped(name: &str, beginning: &str, blanks: u64) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(name, SimpleFileOptions::default()).expect("a file");
        zip.write_all(beginning.as_bytes()).expect("written");
        copy(&mut std::io::repeat(b' ').take(blanks), &mut zip).expect("written");
        zip.finish().expect("a zip").into_inner()
    }

    #[test]
    fn a_zip_that_unpacks_to_more_than_anybody_writes_is_refused_unread() {
        let bomb = zipped("xl/worksheets/sheet1.xml", "<worksheet>", MAX_UNPACKED_BYTES);
        assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
        assert_eq!(check(&bomb), Err(ExchangeError::Unpacked));
        assert_eq!(check(&zipped("xl/worksheets/sheet1.xml", "<worksheet>", 1 << 20)), Ok(()));
        assert_eq!(check(b"no zip"), Ok(()), "somebody else tells that");
    }

    #[test]
    fn texts_that_are_claimed_but_not_there_get_no_room() {
        let head = |count: &str| format!("<?xml version=\"1.0\"?><sst uniqueCount = '{count}'>");
        for count in ["99999999999999", "12800065", "-1", "many"] {
            let error = check(&zipped("XL/SharedStrings.xml", &head(count), 0)).expect_err(count).to_string();
            assert!(error.contains(&format!("it says that it has {count} different texts; at most 12800064")), "{error}");
        }
        assert_eq!(check(&zipped("xl/sharedStrings.xml", &head("12800064"), 0)), Ok(()));
    }
}
