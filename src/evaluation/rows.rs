//! Lines of a file of any size: none of them fills the memory.

use std::io::{self, BufRead};

use super::work_order::MAX_LINE_BYTES;

/// A line that is not blank.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Counted from 1, blank lines too.
    pub line: u64,
    /// Its bytes; `None` if it is longer than [`MAX_LINE_BYTES`] (it was read past, not kept).
    pub bytes: Option<Vec<u8>>,
    /// Place of the file after it.
    pub end: u64,
}

/// Reads lines, one at a time. A byte order mark at the start is passed over.
pub struct Rows<R> {
    reader: R,
    line: u64,
    end: u64,
}

impl<R: BufRead> Rows<R> {
    /// From the start of a file.
    pub fn new(reader: R) -> Self {
        Self { reader, line: 0, end: 0 }
    }

    /// One line without its end, blank or not.
    fn read(&mut self) -> io::Result<Option<Row>> {
        let (mut bytes, mut too_long, mut any) = (Vec::new(), false, false);
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break;
            }
            any = true;
            let newline = buffer.iter().position(|byte| *byte == b'\n');
            let piece = &buffer[..newline.unwrap_or(buffer.len())];
            if bytes.len() + piece.len() > MAX_LINE_BYTES {
                too_long = true;
                bytes = Vec::new();
            } else if !too_long {
                bytes.extend_from_slice(piece);
            }
            let used = newline.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(used);
            self.end += used as u64;
            if newline.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.line += 1;
        if self.line == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        Ok(Some(Row { line: self.line, bytes: (!too_long).then_some(bytes), end: self.end }))
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = self.read().transpose()?;
            let blank = row.as_ref().is_ok_and(|row| row.bytes.as_ref().is_some_and(|bytes| bytes.trim_ascii().is_empty()));
            if !blank {
                return Some(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn blank_lines_are_counted_and_long_ones_are_read_past() -> io::Result<()> {
        let mut file = b"\xef\xbb\xbfone\r\n\n".to_vec();
        file.extend(vec![b'x'; MAX_LINE_BYTES + 1]);
        file.extend(b"\nlast");
        let rows: Vec<Row> = Rows::new(BufReader::with_capacity(7, &file[..])).collect::<io::Result<_>>()?;
        let seen: Vec<(u64, Option<&[u8]>)> = rows.iter().map(|row| (row.line, row.bytes.as_deref())).collect();
        assert_eq!(seen, [(1, Some(&b"one\r"[..])), (3, None), (4, Some(&b"last"[..]))]);
        assert_eq!(rows.last().map(|row| row.end), Some(file.len() as u64));
        Ok(())
    }

    #[test]
    fn a_line_of_the_very_limit_is_kept() -> io::Result<()> {
        let mut file = vec![b'x'; MAX_LINE_BYTES];
        file.push(b'\n');
        let rows: Vec<Row> = Rows::new(BufReader::new(&file[..])).collect::<io::Result<_>>()?;
        assert_eq!(rows.first().and_then(|row| row.bytes.as_ref()).map(Vec::len), Some(MAX_LINE_BYTES));
        Ok(())
    }
}
