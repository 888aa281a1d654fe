//! A customers file as entries. It can be read more than once.

use crate::domain::customer::entry::CustomerEntry;
use crate::steps::import::field_values::Reader;
use crate::steps::import::header::Header;
use crate::steps::import::options::Options;
use crate::steps::import::report::RowProblem;
use crate::steps::import::sheet::csv::Next;
use crate::steps::import::sheet::{Sheet, SheetRows, read_so_far};
use crate::zones::Zones;

/// The file cannot be read as customers, and nothing was written. One line says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// Bytes between two progress reports.
const PROGRESS_BYTES: u64 = 1 << 18;

/// One reading of the file from start to end.
///
/// Parsing a phone costs more than the rest of its row, so a second reading may trust the first
/// one's results. The caller must compare the digests before it uses the second reading.
pub struct FilePass<'a> {
    pub rows: SheetRows,
    name: String,
    verdicts: Verdicts,
    pub header: Header,
    /// Rows so far that end before the header does.
    pub short_rows: u64,
    pub reader: Reader<'a>,
    rows_so_far: u64,
    reported_bytes: u64,
}

/// A row's line, with its entry or all of its problems.
pub type Line = (u64, Result<CustomerEntry, Vec<RowProblem>>);

impl<'a> FilePass<'a> {
    /// Begins a reading with the header. `name` is the file's, for messages.
    pub fn open(
        (sheet, name): (&Sheet, &str),
        zones: &'a Zones,
        options: &Options<'a>,
    ) -> anyhow::Result<FilePass<'a>> {
        let unusable = |why: String| Unusable(format!("{name}: {why}"));
        let mut rows = sheet.rows().map_err(unusable)?;
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
        let reader =
            Reader::new(zones, options.default_country).with_assistants(options.assistants);
        Ok(FilePass {
            rows,
            name: name.to_string(),
            verdicts,
            header,
            short_rows: 0,
            reader,
            rows_so_far: 0,
            reported_bytes: 0,
        })
    }

    /// Trusts the phone results of an earlier reading of the same bytes.
    pub fn trust(&mut self, earlier: FilePass<'_>) {
        self.verdicts = Verdicts { row: 0, is_complete: true, ..earlier.verdicts };
    }

    /// The next row that is not blank; `None` at the end.
    pub fn next_line(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            let row = match self
                .rows
                .next_row()
                .map_err(|error| Unusable(format!("{}: cannot be read: {error}", self.name)))?
            {
                Next::End => return Ok(None),
                Next::Bad { line, reason } => {
                    self.rows_so_far += 1;
                    let problem = RowProblem { line, column: None, reason: reason.to_string() };
                    return Ok(Some((line, Err(vec![problem]))));
                }
                Next::Row(row) => row,
            };
            if row.is_blank() {
                continue;
            }
            self.rows_so_far += 1;
            self.reader.next_phone_is_likely = self.verdicts.next_is_likely();
            self.short_rows += u64::from(self.header.is_short(&row));
            let entry = self.header.entry(&mut self.reader, &row);
            let is_likely = !self.verdicts.is_complete
                && entry.as_ref().is_ok_and(|entry| {
                    let phone = entry.phone.as_ref().filter(|phone| phone.valid);
                    let text = self.header.phone_text(&row);
                    let likely = text.and_then(|text| self.reader.likely_phone(&text));
                    phone.is_some_and(|phone| likely.as_ref() == Some(&phone.e164))
                });
            self.verdicts.take(is_likely);
            return Ok(Some((row.line, entry)));
        }
    }

    /// Bytes of the stored file that were read so far.
    pub fn bytes_read(&self) -> u64 {
        read_so_far(&self.rows).0
    }

    /// The bytes and rows that were read so far, from time to time.
    pub fn news(&mut self) -> Option<(u64, u64)> {
        let bytes = self.bytes_read();
        if bytes <= self.reported_bytes + PROGRESS_BYTES {
            return None;
        }
        self.reported_bytes = bytes;
        Some((bytes, self.rows_so_far))
    }

    /// A digest of the bytes. It shows whether two complete readings read the same bytes.
    pub fn digest(&self) -> u64 {
        read_so_far(&self.rows).1
    }
}

/// Whether the phone of a row is valid, and what `likely_phone` says.
#[derive(Default)]
struct Verdicts {
    likely: RowBits,
    row: usize,
    /// All rows were checked, and the results are now in use.
    is_complete: bool,
}

impl Verdicts {
    fn next_is_likely(&self) -> bool {
        self.is_complete && self.likely.get(self.row)
    }

    fn take(&mut self, is_likely: bool) {
        if !self.is_complete {
            self.likely.push(is_likely);
        }
        self.row += 1;
    }
}

/// One bit a row: a million rows take 125 kB.
#[derive(Default)]
pub struct RowBits {
    words: Vec<u64>,
    rows: usize,
}

impl RowBits {
    pub fn push(&mut self, bit: bool) {
        if self.rows.is_multiple_of(64) {
            self.words.push(0);
        }
        self.words[self.rows / 64] |= u64::from(bit) << (self.rows % 64);
        self.rows += 1;
    }

    pub fn get(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}
