//! Reads a CSV file as rows with line numbers, in memory that a hostile file cannot grow.
//!
//! Accepts UTF-8 with or without a BOM, a comma, semicolon, tab or pipe, a line `sep=;` before the
//! header, quoted newlines, and CR, LF or CRLF. A row that is too long is reported and skipped.

use std::io::{BufRead, BufReader, Chain, Cursor, Read};

use csv_core::ReadRecordResult;

/// The most bytes in one row.
const ROW_BYTES_MAX: usize = 1 << 20;
/// How many bytes at the beginning decide about the separator.
const BEGINNING: u64 = 1 << 16;

/// Reads rows one after the other into the same memory.
pub struct CsvRows<R> {
    input: BufReader<Chain<Cursor<Vec<u8>>, R>>,
    separator: u8,
    core: csv_core::Reader,
    fields: Vec<u8>,
    ends: Vec<usize>,
    /// The line of the next byte, from 1.
    line: u64,
    /// The last byte was CR, so that LF after it ends the same line.
    is_after_cr: bool,
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
    /// The file ends in this row: it has no line end.
    pub is_cut: bool,
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
            Err(_) => {
                Err("holds bytes that are not text in the encoding of the file: correct the cell")
            }
        }
    }
}

impl<R: Read> CsvRows<R> {
    /// Detects the separator from the first line.
    pub fn new(mut source: R) -> std::io::Result<CsvRows<R>> {
        let mut start = Vec::new();
        source.by_ref().take(BEGINNING).read_to_end(&mut start)?;
        if start.starts_with(&[0xEF, 0xBB, 0xBF]) {
            start.drain(..3);
        }
        let (separator, header) = match named_separator(&start) {
            Some((separator, header)) => (separator, header),
            None => (separator(&start), 0),
        };
        let core = csv_core::ReaderBuilder::new().delimiter(separator).build();
        let input = BufReader::with_capacity(1 << 16, Cursor::new(start).chain(source));
        let mut rows = CsvRows {
            input,
            separator,
            core,
            fields: vec![0; 1 << 12],
            ends: vec![0; 64],
            line: 1,
            is_after_cr: false,
        };
        rows.consume(header)?;
        Ok(rows)
    }

    pub fn separator(&self) -> u8 {
        self.separator
    }

    /// Skips bytes that are in the buffer.
    fn consume(&mut self, bytes: usize) -> std::io::Result<()> {
        let input = self.input.fill_buf()?;
        let bytes = bytes.min(input.len());
        count_lines(&input[..bytes], &mut self.line, &mut self.is_after_cr);
        self.input.consume(bytes);
        Ok(())
    }

    /// The reader that supplies the bytes.
    pub fn source(&self) -> &R {
        self.input.get_ref().get_ref().1
    }

    /// The next row that is not an empty line.
    pub fn next_row(&mut self) -> std::io::Result<Next<'_>> {
        self.skip_empty_lines()?;
        let line = self.line;
        let (mut written, mut ended) = (0, 0);
        let mut too_long = false;
        let mut quotes_are_even = true;
        let mut last = 0;
        loop {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            let (result, taken, put, put_ends) =
                self.core.read_record(input, &mut self.fields[written..], &mut self.ends[ended..]);
            let taken_bytes = &input[..taken];
            count_lines(taken_bytes, &mut self.line, &mut self.is_after_cr);
            for byte in taken_bytes {
                quotes_are_even ^= *byte == b'"';
            }
            last = taken_bytes.last().copied().unwrap_or(last);
            self.input.consume(taken);
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
                    let is_cut = !matches!(last, b'\r' | b'\n');
                    return Ok(Next::Row(CsvRow { line, is_cut, fields, ends }));
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
            count_lines(&input[..blank], &mut self.line, &mut self.is_after_cr);
            self.input.consume(blank);
        }
    }
}

/// Adds the line ends: CR, LF, or both together.
fn count_lines(bytes: &[u8], line: &mut u64, is_after_cr: &mut bool) {
    for byte in bytes {
        let is_second_half = *byte == b'\n' && *is_after_cr;
        *is_after_cr = *byte == b'\r';
        *line += u64::from(matches!(byte, b'\r' | b'\n') && !is_second_half);
    }
}

/// The separator of a first line `sep=;`, as Excel writes it, and the length of that line.
fn named_separator(start: &[u8]) -> Option<(u8, usize)> {
    let length = start.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let line = start[..length].strip_prefix(b"\"").unwrap_or(&start[..length]);
    let line = line.strip_suffix(b"\"").unwrap_or(line);
    match line {
        [s, e, p, b'=', separator @ (b',' | b';' | b'\t' | b'|')]
            if [*s, *e, *p].eq_ignore_ascii_case(b"sep") =>
        {
            Some((*separator, length))
        }
        _ => None,
    }
}

/// The separator that occurs most often in the first line, outside quotes; a comma if none does.
fn separator(start: &[u8]) -> u8 {
    let mut counts = [(b'|', 0), (b'\t', 0), (b';', 0), (b',', 0)];
    let mut quoted = false;
    for byte in start.iter().skip_while(|byte| matches!(byte, b'\r' | b'\n')) {
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
            b"a|b\n1|2\n",
            b"a,b\r1,2\r",
        ] {
            assert_eq!(read(bytes), ["1: a|b", "2: 1|2"], "{bytes:?}");
        }
    }

    #[test]
    fn a_line_number_is_where_the_row_starts() {
        let bytes = b"a,b\n\n\r\n\"one\ntwo\",2\n3,\"a \"\"b\"\"\"\n";
        assert_eq!(read(bytes), ["1: a|b", "4: one\ntwo|2", "6: 3|a \"b\""]);
        let bytes = b"a,b\r\r\r\"one\rtwo\",2\r3,x\r";
        assert_eq!(read(bytes), ["1: a|b", "4: one\rtwo|2", "6: 3|x"]);
        let bytes = b"a,b\r\n\r\n\"one\r\ntwo\",2\r\n3,x\r\n";
        assert_eq!(read(bytes), ["1: a|b", "3: one\r\ntwo|2", "5: 3|x"]);
    }

    #[test]
    fn a_line_that_names_the_separator_is_not_the_header() {
        for bytes in [&b"sep=;\r\na;b,c\r\n1;2\r\n"[..], b"\"SEP=;\"\na;b,c\n1;2"] {
            assert_eq!(read(bytes), ["2: a|b,c", "3: 1|2"]);
        }
        assert_eq!(read(b"sep=\t\ra\tb\r"), ["2: a|b"]);
        assert_eq!(read(b"sep=x,b\n1,2\n"), ["1: sep=x|b", "2: 1|2"]);
    }

    #[test]
    fn a_row_without_its_line_end_is_where_the_file_was_cut() {
        for (bytes, is_cut) in [(&b"a,b\n1"[..], true), (b"a,b\n1\n", false), (b"a\n\"1\"", true)] {
            let mut rows = CsvRows::new(bytes).unwrap();
            rows.next_row().unwrap();
            let Next::Row(row) = rows.next_row().unwrap() else { panic!("a row") };
            assert_eq!(row.is_cut, is_cut, "{bytes:?}");
        }
    }

    #[test]
    fn a_field_that_is_not_text_is_named() {
        let rows = read(b"a,b\nM\xFCller,x\0y\n");
        let reason = "2: holds bytes that are not text in the encoding of the file: correct the \
                      cell|holds a NUL byte";
        assert_eq!(rows[1], reason);
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
