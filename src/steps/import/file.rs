//! A customers file as entries. It can be read more than once.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::path::Path;

use anyhow::Context;

use crate::domain::customer::columns::shown;
use crate::domain::customer::entry::CustomerEntry;
use crate::steps::import::csv::{CsvRows, Next};
use crate::steps::import::field_values::Reader;
use crate::steps::import::header::Header;
use crate::steps::import::options::Options;
use crate::steps::import::report::RowProblem;
use crate::zones::Zones;

/// The file cannot be read as customers, and nothing was written. One line says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// One reading of the file from start to end.
///
/// Parsing a phone costs more than the rest of its row, so a second reading may trust the first
/// one's results. The caller must compare the digests before it uses the second reading.
pub struct FilePass<'a> {
    rows: CsvRows<Digested>,
    verdicts: Verdicts,
    pub header: Header,
    pub reader: Reader<'a>,
}

/// A row's line, with its entry or all of its problems.
pub type Line = (u64, Result<CustomerEntry, Vec<RowProblem>>);

impl<'a> FilePass<'a> {
    /// Opens the file and reads its header.
    pub fn open(
        path: &Path,
        zones: &'a Zones,
        options: &Options<'a>,
    ) -> anyhow::Result<FilePass<'a>> {
        let name = file_name(path);
        let unusable = |why: String| Unusable(format!("{name}: {why}"));
        let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
        let is_file = file.metadata().is_ok_and(|about| about.is_file());
        if !is_file {
            return Err(unusable(
                "is not a regular file; it is read twice, so save it first".into(),
            )
            .into());
        }
        let source = Digested { file, hasher: DefaultHasher::new() };
        let mut rows = CsvRows::new(source).map_err(|error| unusable(error.to_string()))?;
        let header = match rows.next_row().map_err(|error| unusable(error.to_string()))? {
            Next::End => return Err(unusable("is empty; it needs a header line".into()).into()),
            Next::Bad { line, reason } => {
                return Err(unusable(format!("line {line}: {reason}")).into());
            }
            Next::Row(row) => {
                Header::read(&row, options).map_err(|why| Unusable(format!("{name} {why}")))?
            }
        };
        let verdicts = Verdicts::default();
        let reader = Reader::new(zones, options.default_country);
        Ok(FilePass { rows, verdicts, header, reader })
    }

    /// Trusts the phone results of an earlier reading of the same bytes.
    pub fn trust(&mut self, earlier: FilePass<'_>) {
        self.verdicts = Verdicts { row: 0, is_complete: true, ..earlier.verdicts };
    }

    /// The next row that is not blank; `None` at the end.
    pub fn next_line(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            let row = match self.rows.next_row().context("read the file")? {
                Next::End => return Ok(None),
                Next::Bad { line, reason } => {
                    let problem = RowProblem { line, column: None, reason: reason.to_string() };
                    return Ok(Some((line, Err(vec![problem]))));
                }
                Next::Row(row) => row,
            };
            if row.is_blank() {
                continue;
            }
            self.reader.next_phone_is_plain = self.verdicts.next_is_plain();
            let entry = self.header.entry(&mut self.reader, &row);
            let is_plain = entry.as_ref().is_ok_and(|entry| {
                let phone = entry.phone.as_ref().filter(|phone| phone.valid);
                phone.is_some_and(|phone| self.header.phone_text(&row) == Some(&phone.e164))
            });
            self.verdicts.take(is_plain);
            return Ok(Some((row.line, entry)));
        }
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.rows.bytes_read()
    }

    /// A digest of the bytes. It shows whether two complete readings read the same bytes.
    pub fn digest(&self) -> u64 {
        self.rows.source().hasher.finish()
    }
}

/// The file's name without folders, for messages.
pub fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    shown(&name.to_string_lossy()).into_owned()
}

/// One bit a row: the phone is valid E.164 as written.
#[derive(Default)]
struct Verdicts {
    plain: Vec<u64>,
    row: usize,
    /// All rows were checked, and the results are now in use.
    is_complete: bool,
}

impl Verdicts {
    fn next_is_plain(&self) -> bool {
        let word = self.plain.get(self.row / 64).copied().unwrap_or(0);
        self.is_complete && word >> (self.row % 64) & 1 == 1
    }

    fn take(&mut self, is_plain: bool) {
        if !self.is_complete {
            if self.row.is_multiple_of(64) {
                self.plain.push(0);
            }
            self.plain[self.row / 64] |= u64::from(is_plain) << (self.row % 64);
        }
        self.row += 1;
    }
}

struct Digested {
    file: File,
    hasher: DefaultHasher,
}

impl Read for Digested {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(into)?;
        self.hasher.write(&into[..read]);
        Ok(read)
    }
}
