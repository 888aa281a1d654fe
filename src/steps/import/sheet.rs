//! A file of rows in any of the forms in which people export tables.
//!
//! It finds out the encoding, the compression and the separator by content, and refuses what is not
//! a table of text with the one step that helps. The rows can be read several times.

pub mod cell;
pub mod csv;
mod encoding;
mod kind;
mod source;

use std::io::Read;
use std::path::Path;

use encoding_rs::Encoding;
use serde::Serialize;

use crate::domain::customer::columns::shown;
use crate::steps::import::sheet::csv::CsvRows;
use crate::steps::import::sheet::encoding::Decoded;
pub(crate) use crate::steps::import::sheet::source::nameless_file;
use crate::steps::import::sheet::source::{Origin, Source};

/// How many bytes at the beginning show what kind of file it is.
const BEGINNING: usize = 1 << 12;

/// The rows of a [`Sheet`].
pub type SheetRows = CsvRows<Decoded<Source>>;

/// A file whose form is known.
pub struct Sheet {
    origin: Origin,
    encoding: &'static Encoding,
    is_compressed: bool,
    bytes: u64,
}

/// The form of a file, for a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SheetForm {
    /// `UTF-8`, `UTF-16LE`, `windows-1252`, …
    pub encoding: String,
    /// `,`, `;`, `|` or a tab.
    pub separator: char,
    pub is_compressed: bool,
}

impl Sheet {
    /// Reads the file once to find out its form; `-` is standard input. `label` names the encoding
    /// instead. The error says what the file is and what to do.
    pub fn open(path: &Path, label: Option<&str>) -> Result<Sheet, String> {
        let named = label.map(encoding::named).transpose()?;
        let origin = Origin::of(path).map_err(|error| error.to_string())?;
        let source = || origin.open().and_then(Source::new).map_err(|error| error.to_string());
        let damaged = |error: std::io::Error| format!("cannot be read: {error}");
        let mut beginning = Vec::with_capacity(BEGINNING);
        source()?.take(BEGINNING as u64).read_to_end(&mut beginning).map_err(damaged)?;
        if let Some(what) = kind::not_a_table(&beginning) {
            return Err(what.to_string());
        }
        let mut whole = source()?;
        let is_compressed = whole.is_compressed();
        let encoding = match named {
            // A damaged archive is found before anything is written.
            Some(encoding) if !is_compressed => encoding,
            Some(encoding) => encoding::of(&mut whole).map(|_| encoding).map_err(damaged)?,
            None => encoding::of(&mut whole).map_err(damaged)?,
        };
        let bytes = origin.bytes().map_err(damaged)?;
        Ok(Sheet { origin, encoding, is_compressed, bytes })
    }

    /// A new reading from the first row on.
    pub fn rows(&self) -> Result<SheetRows, String> {
        let source = self.origin.open().and_then(Source::new).map_err(|error| error.to_string())?;
        let decoded = Decoded::new(source, self.encoding).map_err(|error| error.to_string())?;
        CsvRows::new(decoded).map_err(|error| error.to_string())
    }

    /// The whole text as UTF-8, in at most this many bytes.
    pub fn text(&self, bytes_max: u64) -> Result<String, String> {
        let source = self.origin.open().and_then(Source::new);
        let decoded = source.and_then(|source| Decoded::new(source, self.encoding));
        let mut bytes = Vec::new();
        let read = decoded.and_then(|text| text.take(bytes_max + 1).read_to_end(&mut bytes));
        read.map_err(|error| format!("cannot be read: {error}"))?;
        if bytes_max < bytes.len() as u64 {
            return Err(format!("is longer than {} MiB", bytes_max >> 20));
        }
        String::from_utf8(bytes)
            .map_err(|_| "holds bytes that are not text in its encoding".to_string())
    }

    pub fn form(&self, rows: &SheetRows) -> SheetForm {
        SheetForm {
            encoding: self.encoding.name().to_string(),
            separator: char::from(rows.separator()),
            is_compressed: self.is_compressed,
        }
    }

    /// The size of the file as it is stored.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Bytes of the stored file that were read so far, and a digest of them. Two complete readings with
/// one digest read the same bytes.
pub fn read_so_far(rows: &SheetRows) -> (u64, u64) {
    rows.source().source().so_far()
}

/// The name of a file without folders, for messages.
pub fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    if name == "-" {
        return "standard input".to_string();
    }
    shown(&name.to_string_lossy()).into_owned()
}
