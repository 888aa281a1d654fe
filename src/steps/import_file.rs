//! A customers file as entries, read as often as needed.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::path::Path;

use anyhow::Context;

use crate::domain::entry::Entry;
use crate::domain::fields::shown;
use crate::steps::csv_rows::{CsvRows, Next};
use crate::steps::entry_text::Reader;
use crate::steps::import_header::Header;
use crate::steps::import_report::Problem;
use crate::zones::Zones;

/// The file as a whole cannot be read as customers; nothing was written. One line says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// One reading of the file from its start to its end.
pub struct Pass<'a> {
    rows: CsvRows<Digested>,
    pub header: Header,
    pub reader: Reader<'a>,
}

/// A row: where it starts, and what it says or everything that is wrong with it.
pub type Line = (u64, Result<Entry, Vec<Problem>>);

impl<'a> Pass<'a> {
    /// Opens the file and reads its header.
    pub fn open(
        path: &Path,
        zones: &'a Zones,
        default_country: Option<&'a str>,
    ) -> anyhow::Result<Pass<'a>> {
        let name = file_name(path);
        let unusable = |why: String| Unusable(format!("{name}: {why}"));
        let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
        let is_file = file.metadata().is_ok_and(|about| about.is_file());
        if !is_file {
            return Err(
                unusable("is no regular file; it is read twice, so save it first".into()).into()
            );
        }
        let source = Digested { file, hasher: DefaultHasher::new() };
        let mut rows = CsvRows::new(source).map_err(|error| unusable(error.to_string()))?;
        let header = match rows.next_row().map_err(|error| unusable(error.to_string()))? {
            Next::End => return Err(unusable("is empty; it needs a header line".into()).into()),
            Next::Bad { line, reason } => {
                return Err(unusable(format!("line {line}: {reason}")).into());
            }
            Next::Row(row) => {
                Header::read(&row).map_err(|why| Unusable(format!("{name} {why}")))?
            }
        };
        Ok(Pass { rows, header, reader: Reader::new(zones, default_country) })
    }

    /// The next row that is not blank; `None` at the end.
    pub fn next_line(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            let row = match self.rows.next_row().context("read the file")? {
                Next::End => return Ok(None),
                Next::Bad { line, reason } => {
                    let problem = Problem { line, column: None, reason: reason.to_string() };
                    return Ok(Some((line, Err(vec![problem]))));
                }
                Next::Row(row) => row,
            };
            if !row.is_blank() {
                return Ok(Some((row.line, self.header.entry(&mut self.reader, &row))));
            }
        }
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.rows.bytes_read()
    }

    /// Tells whether two whole readings saw the same bytes.
    pub fn digest(&self) -> u64 {
        self.rows.source().hasher.finish()
    }
}

/// The file's name without its folders, for messages.
pub fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    shown(&name.to_string_lossy()).into_owned()
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
