//! Reads a CSV file as rows with line numbers, in memory that a hostile file cannot grow.
//!
//! Accepts UTF-8 with or without a BOM, comma, semicolon or tab, quoted newlines and any line
//! ending. Refuses other encodings. A row that is too long is reported and skipped.

use std::io::{BufRead, BufReader, Read};

use csv_core::ReadRecordResult;

/// The most bytes in one row.
const ROW_BYTES_MAX: usize = 1 << 20;

/// Reads rows one after the other into the same memory.
pub struct CsvRows<R> {
    input: BufReader<R>,
    core: csv_core::Reader,
    fields: Vec<u8>,
    ends: Vec<usize>,
    /// The line of the next byte, from 1.
    line: u64,
    bytes_read: u64,
}

/// The result of reading one row.
pub enum Next<'a> {
    Row(CsvRow<'a>),
    /// The row that starts on this line cannot be read; the next one can.
    Bad {
        line: u64,
        reason: &'static str,
    },
    End,
}

/// One row's fields, still as bytes.
#[derive(Clone, Copy)]
pub struct CsvRow<'a> {
    /// The row's first line. A quoted field may continue over several lines.
    pub line: u64,
    fields: &'a [u8],
    ends: &'a [usize],
}

impl<'a> CsvRow<'a> {
    /// The number of fields.
    pub fn fields(&self) -> usize {
        self.ends.len()
    }

    /// Whether every field is empty, as in the rows that spreadsheets append.
    pub fn is_blank(&self) -> bool {
        self.fields.iter().all(|b| *b == b' ')
    }

    /// The field's text without surrounding blanks. Bytes that are not UTF-8 text are an error.
    pub fn text(&self, index: usize) -> Result<&'a str, &'static str> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let bytes = &self.fields[start..self.ends[index]];
        if bytes.contains(&0) {
            return Err("holds a NUL byte");
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.trim()),
            Err(_) => Err("is not UTF-8 (Latin-1?): save the file as CSV UTF-8"),
        }
    }
}

impl<R: Read> CsvRows<R> {
    /// Detects the separator from the first line.
    pub fn new(source: R) -> anyhow::Result<CsvRows<R>> {
        let mut input = BufReader::with_capacity(1 << 16, source);
        let start = input.fill_buf()?;
        if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) {
            anyhow::bail!("is UTF-16: save it as CSV UTF-8");
        }
        let bom = if start.starts_with(&[0xEF, 0xBB, 0xBF]) { 3 } else { 0 };
        let core = csv_core::ReaderBuilder::new().delimiter(separator(&start[bom..])).build();
        input.consume(bom);
        Ok(CsvRows {
            input,
            core,
            fields: vec![0; 1 << 12],
            ends: vec![0; 64],
            line: 1,
            bytes_read: bom as u64,
        })
    }

    /// Bytes read so far, for a progress bar.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The reader that supplies the bytes.
    pub fn source(&self) -> &R {
        self.input.get_ref()
    }

    /// The next row that is not an empty line.
    pub fn next_row(&mut self) -> std::io::Result<Next<'_>> {
        self.skip_empty_lines()?;
        let line = self.line;
        let (mut written, mut ended) = (0, 0);
        let mut too_long = false;
        let mut quotes_are_even = true;
        loop {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            let (result, taken, put, put_ends) =
                self.core.read_record(input, &mut self.fields[written..], &mut self.ends[ended..]);
            for byte in &input[..taken] {
                self.line += u64::from(*byte == b'\n');
                quotes_are_even ^= *byte == b'"';
            }
            self.input.consume(taken);
            self.bytes_read += taken as u64;
            (written, ended) = (written + put, ended + put_ends);
            match result {
                ReadRecordResult::InputEmpty => {}
                // A row that is too long is still read to its end, into the same memory.
                ReadRecordResult::OutputFull if ROW_BYTES_MAX <= self.fields.len() => {
                    (too_long, written) = (true, 0);
                }
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 4, 0),
                ReadRecordResult::OutputEndsFull if ROW_BYTES_MAX <= self.ends.len() => {
                    (too_long, ended) = (true, 0);
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 4, 0),
                ReadRecordResult::End => return Ok(Next::End),
                ReadRecordResult::Record if too_long => {
                    return Ok(Next::Bad { line, reason: "is longer than 1 MiB" });
                }
                ReadRecordResult::Record if at_end && !quotes_are_even => {
                    return Ok(Next::Bad { line, reason: "opens a quote that is never closed" });
                }
                ReadRecordResult::Record => {
                    let (fields, ends) = (&self.fields[..written], &self.ends[..ended]);
                    return Ok(Next::Row(CsvRow { line, fields, ends }));
                }
            }
        }
    }

    fn skip_empty_lines(&mut self) -> std::io::Result<()> {
        loop {
            let input = self.input.fill_buf()?;
            let blank = input.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            if blank == 0 {
                return Ok(());
            }
            self.line += input[..blank].iter().filter(|b| **b == b'\n').count() as u64;
            self.input.consume(blank);
            self.bytes_read += blank as u64;
        }
    }
}

/// The separator that occurs most often in the first line, outside quotes; a comma if none does.
fn separator(start: &[u8]) -> u8 {
    let mut counts = [(b'\t', 0), (b';', 0), (b',', 0)];
    let mut quoted = false;
    for byte in start {
        match byte {
            b'"' => quoted = !quoted,
            b'\r' | b'\n' if !quoted => break,
            _ if quoted => {}
            _ => counts.iter_mut().filter(|(c, _)| c == byte).for_each(|(_, n)| *n += 1),
        }
    }
    counts.iter().max_by_key(|(_, count)| *count).map_or(b',', |(separator, _)| *separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<String> {
        let mut rows = CsvRows::new(bytes).unwrap();
        let mut found = Vec::new();
        loop {
            match rows.next_row().unwrap() {
                Next::End => return found,
                Next::Bad { line, reason } => found.push(format!("{line}! {reason}")),
                Next::Row(row) => {
                    let fields: Vec<&str> =
                        (0..row.fields()).map(|i| row.text(i).unwrap_or_else(|e| e)).collect();
                    found.push(format!("{}: {}", row.line, fields.join("|")));
                }
            }
        }
    }

    #[test]
    fn separators_quotes_boms_and_line_ends_are_all_read() {
        for bytes in [
            &b"a,b\n1,2\n"[..],
            b"a;b\r\n1;2\r\n",
            b"a\tb\n1\t2",
            b"\xEF\xBB\xBFa,b\n\"1\",2",
            b"\"a\";\"b\"\n1;2",
        ] {
            assert_eq!(read(bytes), ["1: a|b", "2: 1|2"], "{bytes:?}");
        }
    }

    #[test]
    fn a_line_number_is_where_the_row_starts() {
        let bytes = b"a,b\n\n\r\n\"one\ntwo\",2\n3,\"a \"\"b\"\"\"\n";
        assert_eq!(read(bytes), ["1: a|b", "4: one\ntwo|2", "6: 3|a \"b\""]);
    }

    #[test]
    fn a_field_that_is_not_text_is_named() {
        let rows = read(b"a,b\nM\xFCller,x\0y\n");
        let reason = "2: is not UTF-8 (Latin-1?): save the file as CSV UTF-8|holds a NUL byte";
        assert_eq!(rows[1], reason);
        assert!(CsvRows::new(&b"\xFF\xFEa\0"[..]).is_err());
    }

    #[test]
    fn an_endless_line_costs_bounded_memory_and_only_itself() {
        let mut bytes = b"a,b\n".to_vec();
        bytes.extend(vec![b'x'; 5 << 20]);
        bytes.extend(b",1\n");
        bytes.extend(vec![b','; 5 << 20]);
        bytes.extend(b"\n3,4\n");
        assert_eq!(
            read(&bytes),
            ["1: a|b", "2! is longer than 1 MiB", "3! is longer than 1 MiB", "4: 3|4"]
        );
        let mut rows = CsvRows::new(&bytes[..]).unwrap();
        while !matches!(rows.next_row().unwrap(), Next::End) {}
        assert!(rows.fields.len() <= 4 * ROW_BYTES_MAX && rows.ends.len() <= 4 * ROW_BYTES_MAX);
    }

    #[test]
    fn a_quote_that_swallows_the_rest_is_a_bad_row() {
        assert_eq!(read(b"a,b\n1,\"2\n3,4\n")[1], "2! opens a quote that is never closed");
    }
}
