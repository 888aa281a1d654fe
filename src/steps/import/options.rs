//! How a person wants a customers file to be read and written.

use chrono::Duration;

use crate::domain::customer::columns::{Column, nearest, shown};
use crate::domain::customer::date_format::DateFormat;
use crate::domain::gate::facts::Rules;
use crate::steps::import::consequences::outcome::RowSink;

/// A person's decision about the welcome calls of old sign-ups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Welcome {
    /// A first import that would welcome many old sign-ups is refused.
    #[default]
    Ask,
    /// `--welcome-existing`: old sign-ups get their welcome call.
    Existing,
    /// `--no-welcome`: nobody new in this file gets a welcome call.
    Nobody,
}

/// Whether customers who are not in the file are paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PauseMissing {
    #[default]
    No,
    /// `--pause-missing`: unless the file lacks most of the customers.
    Few,
    /// `--pause-missing=all`.
    All,
}

/// How to import a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Check only.
    pub dry_run: bool,
    /// Skip bad rows instead of refusing the file.
    pub skip_bad: bool,
    /// The country of phones without a country code.
    pub default_country: Option<&'a str>,
    /// The names of `[assistants]`, which the column `assistant` may hold.
    pub assistants: &'a [String],
    /// Blank cells erase what is known; otherwise they say nothing.
    pub clear_blanks: bool,
    /// Headers that stand for a column, by the column.
    pub map: &'a [(Column, String)],
    /// Headers that are variables although they look like a column.
    pub as_variable: &'a [String],
    /// The header of the column with the country or calling code of each phone.
    pub country_column: Option<&'a str>,
    /// How dates are written, besides 2026-11-22.
    pub date_format: Option<&'a DateFormat>,
    /// The encoding of the file; `None`: it is found out.
    pub encoding: Option<&'a str>,
    pub welcome: Welcome,
    pub pause_missing: PauseMissing,
    /// The rules by which the consequences are computed; `None`: they are not.
    pub outlook: Option<&'a Outlook>,
    /// Takes each row with its consequences.
    pub rows: Option<RowSink<'a>>,
}

/// The rules and the pace by which the customers of a file are called.
#[derive(Clone, Debug)]
pub struct Outlook {
    pub rules: Rules,
    /// The shortest time between two calls, by the pace and by the lines.
    pub between_calls: Duration,
}

/// Reads `phone="Phone Number"`, as in `--map`.
pub fn parse_map(text: &str) -> Result<(Column, String), String> {
    let both = text.split_once('=').filter(|(_, header)| !header.trim().is_empty());
    let Some((name, header)) = both else {
        return Err(format!("\"{}\" names no header: write COLUMN=HEADER", shown(text)));
    };
    let columns = || Column::ALL.iter().filter(|column| !column.is_ours());
    match Column::of_header(name).filter(|column| !column.is_ours()) {
        Some(column) => Ok((column, header.trim().to_string())),
        None => Err(match nearest(name, columns().map(|column| column.as_str())) {
            Some(near) => format!("\"{}\" is not a column: did you mean {near}?", shown(name)),
            None => {
                let known: Vec<&str> = columns().map(|column| column.as_str()).collect();
                format!("\"{}\" is not a column: give one of {}", shown(name), known.join(", "))
            }
        }),
    }
}
