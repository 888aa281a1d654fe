//! Maps the columns of a customers file, and turns a row into an entry.
//!
//! Refuses a header in which two columns mean the same, or without a phone or time zone.

use std::borrow::Cow;

use crate::domain::customer::columns::{
    Column, letters, nearest, plain_header, shown, variable_name,
};
use crate::domain::customer::date_format::{self, DateFormat};
use crate::domain::customer::entry::CustomerEntry;
use crate::domain::customer::near_header;
use crate::phones;
use crate::steps::import::field_values::{Draft, Reader};
use crate::steps::import::options::Options;
use crate::steps::import::report::RowProblem;
use crate::steps::import::sheet::cell;
use crate::steps::import::sheet::csv::CsvRow;

/// The most columns in a header.
const COLUMNS_MAX: usize = 500;

/// The meaning of each column, in the order of the file.
#[derive(Debug)]
pub struct Header {
    slots: Vec<Slot>,
    clear_blanks: bool,
    /// The column with the country of the phones.
    country: Option<usize>,
    /// A column that probably holds it, although nobody said so.
    possible_country: Option<String>,
    has_default_country: bool,
    date_format: Option<DateFormat>,
}

#[derive(Debug, PartialEq)]
enum Slot {
    Field(Column),
    Variable {
        /// The name that the assistant's template uses.
        name: String,
        header: String,
    },
    /// A column without a name, as trailing separators create it. It must be empty.
    Unnamed,
}

impl Header {
    /// Parses the first row. The error holds everything that is to be fixed.
    pub fn read(row: &CsvRow<'_>, options: &Options<'_>) -> Result<Header, String> {
        let line = row.line;
        if COLUMNS_MAX < row.fields() {
            return Err(format!("line {line}: has more than {COLUMNS_MAX} columns"));
        }
        let names: Vec<_> = (0..row.fields())
            .map(|index| {
                let text = row.text(index).map(|text| cell::unwrapped(text, true));
                text.map_err(|reason| format!("line {line}: column {} {reason}", index + 1))
            })
            .collect::<Result<_, String>>()?;
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let slots: Vec<Slot> = names.iter().map(|name| slot(name, options)).collect();
        let country = options.country_column.and_then(|wanted| place(wanted, &names));
        let possible_country = names.iter().find(|name| may_hold_countries(name));
        let header = Header {
            slots,
            clear_blanks: options.clear_blanks,
            country,
            possible_country: possible_country.map(|name| shown(name).into_owned()),
            has_default_country: options.default_country.is_some(),
            date_format: options.date_format.cloned(),
        };
        let flags = options.map.iter().map(|(_, header)| header.as_str());
        let flags = flags.chain(options.as_variable.iter().map(String::as_str));
        let mut wrong: Vec<String> =
            flags.chain(options.country_column).filter_map(|flag| is_there(flag, &names)).collect();
        wrong.extend(header.repeated(&names));
        wrong.extend(header.misnamed(options.as_variable));
        wrong.extend([Column::Phone, Column::Timezone].iter().filter_map(|it| header.lacks(*it)));
        if wrong.is_empty() {
            Ok(header)
        } else {
            Err(format!("line {line}: {}", wrong.join("; ")))
        }
    }

    /// Two columns of one meaning would overwrite each other.
    fn repeated(&self, names: &[&str]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let earlier = self.slots[..index].iter().position(|earlier| match (earlier, slot) {
                (Slot::Field(earlier), Slot::Field(column)) => earlier == column,
                (Slot::Variable { name: earlier, .. }, Slot::Variable { name, .. }) => {
                    plain_header(earlier) == plain_header(name)
                }
                _ => false,
            });
            let Some(earlier) = earlier else { continue };
            let (first, second) = (shown(names[earlier]), shown(names[index]));
            let is_same = first.eq_ignore_ascii_case(&second);
            wrong.push(match slot {
                Slot::Field(column) if !is_same => format!(
                    "the columns \"{first}\" and \"{second}\" both mean {column}: remove one, or \
                     give --as-variable \"{second}\""
                ),
                Slot::Variable { name, .. } if !is_same => format!(
                    "the columns \"{first}\" and \"{second}\" would both be the variable {}: rename \
                     one",
                    shown(name)
                ),
                _ => format!("two columns are named \"{second}\""),
            });
        }
        wrong
    }

    /// A column that is nearly a known one would silently become a variable: people would be
    /// welcomed again, or never called.
    fn misnamed(&self, as_variable: &[String]) -> Vec<String> {
        let present: Vec<Column> = self.fields().collect();
        let said = |name: &str| as_variable.iter().any(|known| is_same_header(known, name));
        let others = self.variables().filter(|(_, header)| !said(header));
        let misnamed = others.filter_map(|(_, header)| {
            let (column, name) = (near_header::meant(header, &present)?, shown(header));
            Some(format!(
                "\"{name}\" looks like {column}: give --map {column}=\"{name}\", or \
                 --as-variable \"{name}\""
            ))
        });
        misnamed.collect()
    }

    fn lacks(&self, needed: Column) -> Option<String> {
        if self.slots.contains(&Slot::Field(needed)) {
            return None;
        }
        let near = match nearest(needed.as_str(), self.variables().map(|(_, header)| header)) {
            Some(near) => {
                format!("rename the column \"{0}\", or give --map {needed}=\"{0}\"", shown(near))
            }
            None => "add it; phone and timezone are required".to_string(),
        };
        Some(format!("there is no column \"{needed}\": {near}"))
    }

    fn fields(&self) -> impl Iterator<Item = Column> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Field(column) => Some(*column),
            _ => None,
        })
    }

    /// The columns that become variables, in the order of the file: each name with its header.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Variable { name, header } => Some((name.as_str(), header.as_str())),
            _ => None,
        })
    }

    /// The columns that are ignored.
    pub fn ignored(&self) -> impl Iterator<Item = Column> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Field(column) if column.is_ours() => Some(*column),
            _ => None,
        })
    }

    /// The text in the phone column.
    pub fn phone_text<'r>(&self, row: &CsvRow<'r>) -> Option<Cow<'r, str>> {
        let phone = self.slots.iter().position(|slot| *slot == Slot::Field(Column::Phone))?;
        let is_there = phone < row.fields();
        is_there.then(|| row.text(phone).ok().map(|text| cell::value(text, false)))?
    }

    /// Whether the row ends before the header does. Its missing cells are empty.
    pub fn is_short(&self, row: &CsvRow<'_>) -> bool {
        row.fields() < self.slots.len()
    }

    /// The row as an entry, or all of its problems.
    pub fn entry(
        &self,
        reader: &mut Reader<'_>,
        row: &CsvRow<'_>,
    ) -> Result<CustomerEntry, Vec<RowProblem>> {
        let whole = |reason| Err(vec![RowProblem { line: row.line, column: None, reason }]);
        let (cells, columns) = (row.fields(), self.slots.len());
        if columns < cells {
            return whole(format!("has {cells} fields, the header has {columns}"));
        }
        // A lost cell may be the one that says that the welcome call was made.
        if cells < columns && row.is_cut {
            let missing = columns - cells;
            return whole(format!("is the end of the file, {missing} cells early: is it cut off?"));
        }
        reader.country_of_row = self.country_of(row);
        let mut draft = Draft::default();
        let mut problems = Vec::new();
        for (index, slot) in self.slots.iter().take(cells).enumerate() {
            let text = row.text(index).map(|text| cell::value(text, slot.is_free()));
            let taken = text.map_err(str::to_string).and_then(|text| {
                // Most exports leave a cell blank that they do not know.
                let says_nothing = text.is_empty() && !self.clear_blanks;
                match slot {
                    Slot::Field(_) | Slot::Variable { .. } if says_nothing => Ok(()),
                    Slot::Field(column) => self.set(reader, &mut draft, *column, &text),
                    Slot::Variable { name, .. } => reader.set_variable(&mut draft, name, &text),
                    Slot::Unnamed if text.is_empty() => Ok(()),
                    Slot::Unnamed => Err("is written in a column without a name".to_string()),
                }
            });
            if let Err(reason) = taken {
                // A phone is read by its country, which stands in a cell of its own.
                let country = self.country.filter(|_| reader.lacks_country(&reason));
                let at = country.filter(|_| *slot == Slot::Field(Column::Phone)).unwrap_or(index);
                let column = Some(self.slots[at].name(at));
                problems.push(RowProblem { line: row.line, column, reason });
            }
        }
        if problems.is_empty() { Ok(draft.finish()) } else { Err(problems) }
    }

    fn set(
        &self,
        reader: &mut Reader<'_>,
        draft: &mut Draft,
        column: Column,
        text: &str,
    ) -> Result<(), String> {
        let is_date = matches!(
            column,
            Column::LastCallDate
                | Column::CreatedAt
                | Column::NextCallScheduledAt
                | Column::ConsentAt
        );
        if is_date {
            let iso = match &self.date_format {
                Some(format) => format.iso(text)?,
                None => text.to_string(),
            };
            let set = reader.set(draft, column, &iso);
            let is_unknown = self.date_format.is_none() && date_format::is_numeric_date(text);
            return set.map_err(|reason| match is_unknown {
                true => {
                    format!("{reason}; or give --date-format, such as MM/DD/YYYY or DD.MM.YYYY")
                }
                false => reason,
            });
        }
        let set = reader.set(draft, column, text);
        let is_national = column == Column::Phone && !text.contains('+');
        let lacks_country = is_national && self.country.is_none() && !self.has_default_country;
        set.map_err(|reason| match self.possible_country.as_ref().filter(|_| lacks_country) {
            Some(name) => format!("{reason}; or --country-column \"{name}\""),
            None => reason,
        })
    }

    /// The country of the row's phone, if a column says it.
    fn country_of(&self, row: &CsvRow<'_>) -> Option<Result<String, String>> {
        let at = self.country.filter(|at| *at < row.fields())?;
        let text = row.text(at).map(|text| cell::value(text, false));
        match text {
            Ok(text) if text.is_empty() => None,
            Ok(text) => Some(phones::country_named(&text)),
            Err(reason) => Some(Err(reason.to_string())),
        }
    }
}

fn slot(name: &str, options: &Options<'_>) -> Slot {
    let mapped = options.map.iter().find(|(_, header)| is_same_header(header, name));
    let is_variable = options.as_variable.iter().any(|header| is_same_header(header, name));
    match (mapped, Column::of_header(name)) {
        (Some((column, _)), _) => Slot::Field(*column),
        (None, Some(column)) if !is_variable => Slot::Field(column),
        _ if plain_header(name).is_empty() => Slot::Unnamed,
        _ => Slot::Variable { name: variable_name(name), header: name.to_string() },
    }
}

/// Whether a header is one under which programs export the country of a number.
fn may_hold_countries(header: &str) -> bool {
    let letters = letters(header);
    let is_code = ["phone", "dial", "dialing", "calling", "country", "telephone"]
        .iter()
        .any(|word| letters.starts_with(word));
    let is_country = ["country", "countryregion", "isocountry", "phoneprefix"];
    (is_code && letters.ends_with("code")) || is_country.contains(&letters.as_str())
}

fn place(wanted: &str, names: &[&str]) -> Option<usize> {
    names.iter().position(|name| is_same_header(wanted, name))
}

/// The header that a flag names must be in the file: a misspelt flag would have no effect.
fn is_there(wanted: &str, names: &[&str]) -> Option<String> {
    if place(wanted, names).is_some() {
        return None;
    }
    let near = match nearest(wanted, names.iter().copied()) {
        Some(near) => format!("did you mean \"{}\"?", shown(near)),
        None => "name a header of the file".to_string(),
    };
    Some(format!("there is no column \"{}\": {near}", shown(wanted)))
}

pub(super) fn is_same_header(a: &str, b: &str) -> bool {
    let (a, b) = (plain_header(a), plain_header(b));
    a == b || (!letters(&a).is_empty() && letters(&a) == letters(&b))
}

impl Slot {
    /// Whether a person writes its texts, so that an apostrophe may be a letter.
    fn is_free(&self) -> bool {
        let names = [Column::Name, Column::ConsentText, Column::ConsentSource];
        match self {
            Slot::Field(column) => names.contains(column),
            Slot::Variable { .. } | Slot::Unnamed => true,
        }
    }

    fn name(&self, index: usize) -> String {
        match self {
            Slot::Field(column) => column.to_string(),
            Slot::Variable { header, .. } => shown(header).into_owned(),
            Slot::Unnamed => (index + 1).to_string(),
        }
    }
}

/// The field that somebody may have meant by a column that becomes a variable.
pub fn meant_by(variable: &str) -> Option<&'static str> {
    let fields = Column::ALL.iter().filter(|column| !column.is_ours() && **column != Column::Id);
    nearest(variable, fields.map(|column| column.as_str()))
}
