//! Reads a JSON list of records from a stream, one record at a time, so that the memory does not
//! grow with the length of the list or of a transcript.
//!
//! A record may hold anything: words of a call, megabytes of messages, broken text. Long strings are
//! cut and deep parts become `null` while they are read. A record that is still not readable does
//! not hide the others.

use std::io::{self, BufRead};

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The longest text of a list that is read, in bytes. Names, ids and reasons are far shorter.
pub(crate) const LONGEST_IN_A_LIST: usize = 16 * 1024;
/// The longest record of a list that is kept in memory, in bytes, after its long texts are cut.
const LONGEST_RECORD: usize = 8 * 1024 * 1024;
/// The same for a record that is read alone: it holds its transcript several times.
const LONGEST_ALONE: usize = 64 * 1024 * 1024;
/// Parts below this depth become `null`. The fields that are read lie above it.
const DEEPEST: usize = 40;

/// One record of a list.
#[derive(Debug)]
pub(crate) enum Record {
    Read(Value),
    /// A hash of the record: equal for equal records, and free of their content.
    Unreadable(String),
}

/// Why a list ended before its closing bracket.
#[derive(Debug)]
pub(super) enum Broken {
    /// With the members of the last record that came before the error.
    Io(io::Error, Option<Value>),
    NotAList,
    NotJson,
}

/// Gives each record of a JSON list to `take`. Records before an error were given.
pub(super) fn each(
    from: &mut dyn BufRead,
    longest_text: usize,
    take: &mut dyn FnMut(Record),
) -> Result<(), Broken> {
    let mut is_open = false;
    loop {
        match next_sign(from)? {
            Some(b'[') if !is_open => is_open = true,
            Some(b']') if is_open => return nothing_follows(from),
            Some(b',') if is_open => {}
            Some(first) if is_open => take(record(from, first, (longest_text, LONGEST_RECORD))?),
            Some(_) => return Err(Broken::NotAList),
            None => return Err(Broken::NotJson),
        }
    }
}

/// The one value of a whole answer.
pub(super) fn one(from: &mut dyn BufRead, longest_text: usize) -> Result<Value, Broken> {
    let Some(first) = next_sign(from)? else { return Err(Broken::NotJson) };
    let found = record(from, first, (longest_text, LONGEST_ALONE))?;
    nothing_follows(from)?;
    match found {
        Record::Read(value) => Ok(value),
        Record::Unreadable(_) => Err(Broken::NotJson),
    }
}

fn nothing_follows(from: &mut dyn BufRead) -> Result<(), Broken> {
    next_sign(from)?.map_or(Ok(()), |_| Err(Broken::NotJson))
}

/// The next byte that is not white space.
fn next_sign(from: &mut dyn BufRead) -> Result<Option<u8>, Broken> {
    loop {
        match next(from)? {
            Some(byte) if byte.is_ascii_whitespace() => {}
            other => return Ok(other),
        }
    }
}

fn next(from: &mut dyn BufRead) -> Result<Option<u8>, Broken> {
    let byte = from.fill_buf().map_err(|error| Broken::Io(error, None))?.first().copied();
    if byte.is_some() {
        from.consume(1);
    }
    Ok(byte)
}

/// Reads one value whose first byte was read.
fn record(
    from: &mut dyn BufRead,
    first: u8,
    (longest_text, longest): (usize, usize),
) -> Result<Record, Broken> {
    let mut scan = Scan { longest_text, longest, ..Scan::default() };
    scan.see(first);
    while !scan.is_over {
        let buffer = from.fill_buf().map_err(|error| Broken::Io(error, scan.begun()))?;
        if buffer.is_empty() {
            return if scan.is_plain() { Ok(scan.record()) } else { Err(Broken::NotJson) };
        }
        let used = scan.see_all(buffer);
        from.consume(used);
    }
    Ok(scan.record())
}

/// The bytes of one value so far, without the parts that are left out.
#[derive(Default)]
struct Scan {
    longest_text: usize,
    /// Of the whole value.
    longest: usize,
    kept: Vec<u8>,
    depth: usize,
    in_text: bool,
    escape: Escape,
    /// How much of the present text is kept.
    text_length: usize,
    /// Where a number begins in `kept`.
    number: Option<usize>,
    /// Where the last whole member of the value itself ends in `kept`.
    members_end: usize,
    is_too_long: bool,
    is_over: bool,
}

/// A place in an escape of a text: none, after the backslash, or before so many hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq)]
enum Escape {
    #[default]
    None,
    Begun,
    Digits(u8),
}

impl Scan {
    /// Whether the value is neither an object nor an array nor a text.
    fn is_plain(&self) -> bool {
        self.depth == 0 && !self.in_text
    }

    /// Reads to the end of the value, or of the buffer. Returns how many bytes it used.
    fn see_all(&mut self, buffer: &[u8]) -> usize {
        let mut used = 0;
        while used < buffer.len() && !self.is_over {
            let rest = &buffer[used..];
            if self.in_text && self.escape == Escape::None {
                // Most bytes are inside of texts, so they are taken together.
                let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
                let run = special.unwrap_or(rest.len());
                self.keep_text(&rest[..run]);
                used += run;
                if run == rest.len() {
                    break;
                }
            }
            let byte = buffer[used];
            if self.is_plain() && matches!(byte, b',' | b']') {
                // A plain value ends before the comma or the bracket, which belong to the list.
                self.is_over = true;
                break;
            }
            self.see(byte);
            used += 1;
        }
        used
    }

    fn see(&mut self, byte: u8) {
        if self.in_text {
            return self.see_text(byte);
        }
        let in_number = matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        match (in_number, self.number) {
            (true, None) => self.number = Some(self.kept.len()),
            (false, Some(begins)) => self.end_number(begins),
            _ => {}
        }
        match byte {
            b'"' => {
                (self.in_text, self.text_length) = (true, 0);
                self.keep(&[byte]);
            }
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == DEEPEST {
                    self.kept.extend_from_slice(b"null");
                }
                self.keep(&[byte]);
            }
            b'}' | b']' => {
                self.keep(&[byte]);
                self.depth = self.depth.saturating_sub(1);
                self.is_over = self.depth == 0;
            }
            b',' if self.depth == 1 => {
                self.members_end = self.kept.len();
                self.keep(&[byte]);
            }
            _ => self.keep(&[byte]),
        }
    }

    /// One byte of a text that may end it, or belongs to an escape. An escape is kept whole or not
    /// at all.
    fn see_text(&mut self, byte: u8) {
        let before = self.escape;
        self.escape = match (before, byte) {
            (Escape::None, b'\\') => Escape::Begun,
            (Escape::Begun, b'u') => Escape::Digits(4),
            (Escape::Digits(left), _) if left > 1 => Escape::Digits(left - 1),
            _ => Escape::None,
        };
        if before == Escape::None && byte == b'"' {
            self.keep(&[byte]);
            (self.in_text, self.is_over) = (false, self.depth == 0);
        } else if before != Escape::None {
            // Its backslash was kept, or the text was cut before it.
            if self.text_length < usize::MAX {
                self.keep(&[byte]);
            }
        } else {
            self.keep_text(&[byte]);
        }
    }

    /// Keeps a part of a text up to the longest, and nothing behind a cut.
    fn keep_text(&mut self, part: &[u8]) {
        if self.text_length == usize::MAX {
            return;
        }
        let left = self.longest_text.saturating_sub(self.text_length);
        if part.len() <= left {
            self.text_length += part.len();
            return self.keep(part);
        }
        // Not inside of a character: the bytes of its rest begin with the bits 10.
        let end = (0..=left).rev().find(|at| part[*at] & 0xC0 != 0x80).unwrap_or(0);
        self.keep(&part[..end]);
        self.text_length = usize::MAX;
    }

    /// A number that no reader can hold becomes `null`.
    fn end_number(&mut self, begins: usize) {
        self.number = None;
        let text = self.kept.get(begins..).and_then(|kept| std::str::from_utf8(kept).ok());
        if text.and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_infinite) {
            self.kept.truncate(begins);
            self.kept.extend_from_slice(b"null");
        }
    }

    fn keep(&mut self, part: &[u8]) {
        if self.depth >= DEEPEST {
            return;
        }
        self.is_too_long |= self.kept.len() + part.len() > self.longest;
        if !self.is_too_long {
            self.kept.extend_from_slice(part);
        }
    }

    /// The whole members of an object that is not read to its end.
    fn begun(&self) -> Option<Value> {
        parsed(&[&self.kept[..self.members_end], b"}"].concat())
    }

    fn record(mut self) -> Record {
        if let Some(begins) = self.number {
            self.end_number(begins);
        }
        let whole = if self.is_too_long { None } else { parsed(&self.kept) };
        match whole {
            Some(value) => Record::Read(value),
            None => Record::Unreadable(HEXLOWER.encode(&Sha256::digest(&self.kept)[..16])),
        }
    }
}

/// The value, also where its text is not UTF-8 or holds half of a surrogate pair.
fn parsed(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().or_else(|| {
        let text = String::from_utf8_lossy(bytes);
        let lower = text.to_ascii_lowercase();
        let mut whole = String::new();
        let mut from = 0;
        // `\ud` begins every half of a pair, and nothing else.
        while let Some(at) = lower[from..].find("\\ud").map(|at| at + from) {
            whole.push_str(&text[from..at]);
            whole.push_str("\\ufffd");
            from = (at + 6).min(text.len());
            if !text.is_char_boundary(from) {
                return None;
            }
        }
        whole.push_str(&text[from..]);
        serde_json::from_str(&whole).ok()
    })
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
