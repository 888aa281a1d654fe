//! Maps the columns of a customers file, and turns a row into an entry.
//!
//! Refuses a header in which two columns mean the same, or without a phone or time zone.

use crate::domain::customer::columns::{Column, letters, nearest, plain_header, shown};
use crate::domain::customer::entry::CustomerEntry;
use crate::domain::customer::near_header;
use crate::steps::import::csv::CsvRow;
use crate::steps::import::field_values::{Draft, Reader};
use crate::steps::import::options::Options;
use crate::steps::import::report::RowProblem;

/// The most columns in a header.
const COLUMNS_MAX: usize = 500;

/// The meaning of each column, in the order of the file.
#[derive(Debug)]
pub struct Header {
    slots: Vec<Slot>,
    clear_blanks: bool,
}

#[derive(Debug, PartialEq)]
enum Slot {
    Field(Column),
    Variable(String),
    /// A column without a name, as trailing separators create it. It must be empty.
    Unnamed,
}

impl Header {
    /// Parses the first row. The error is one line that says what to fix.
    pub fn read(row: &CsvRow<'_>, options: &Options<'_>) -> Result<Header, String> {
        if COLUMNS_MAX < row.fields() {
            return Err(format!("line 1: has more than {COLUMNS_MAX} columns"));
        }
        let names = (0..row.fields())
            .map(|index| {
                let text = row.text(index);
                text.map_err(|reason| format!("line 1: column {} {reason}", index + 1))
            })
            .collect::<Result<Vec<&str>, String>>()?;
        for wanted in options.map.iter().map(|(_, header)| header).chain(options.as_variable) {
            is_there(wanted, &names)?;
        }
        let slots: Vec<Slot> = names.iter().map(|name| slot(name, options)).collect();
        let header = Header { clear_blanks: options.clear_blanks, slots };
        header.refuse_repeated(&names)?;
        header.refuse_misnamed(options.as_variable)?;
        for needed in [Column::Phone, Column::Timezone] {
            header.require(needed)?;
        }
        Ok(header)
    }

    /// Two columns of one meaning would overwrite each other.
    fn refuse_repeated(&self, names: &[&str]) -> Result<(), String> {
        for (index, slot) in self.slots.iter().enumerate() {
            let earlier = self.slots[..index].iter().position(|earlier| match (earlier, slot) {
                (Slot::Field(earlier), Slot::Field(column)) => earlier == column,
                (Slot::Variable(earlier), Slot::Variable(name)) => {
                    plain_header(earlier) == plain_header(name)
                }
                _ => false,
            });
            let Some(earlier) = earlier else { continue };
            let (first, second) = (shown(names[earlier]), shown(names[index]));
            return Err(match slot {
                Slot::Field(column) if !first.eq_ignore_ascii_case(&second) => format!(
                    "line 1: the columns \"{first}\" and \"{second}\" both mean {column}: remove \
                     one, or give --as-variable \"{second}\""
                ),
                _ => format!("line 1: two columns are named \"{second}\""),
            });
        }
        Ok(())
    }

    /// A column that is nearly a known one would silently become a variable: people would be
    /// welcomed again, or never called.
    fn refuse_misnamed(&self, as_variable: &[String]) -> Result<(), String> {
        let present: Vec<Column> = self.fields().collect();
        let misnamed: Vec<String> = self
            .variables()
            .filter(|name| !as_variable.iter().any(|known| is_same_header(known, name)))
            .filter_map(|name| {
                let (column, name) = (near_header::meant(name, &present)?, shown(name));
                Some(format!(
                    "\"{name}\" looks like {column}: give --map {column}=\"{name}\", or \
                     --as-variable \"{name}\""
                ))
            })
            .collect();
        match misnamed.is_empty() {
            true => Ok(()),
            false => Err(format!("line 1: {}", misnamed.join("; "))),
        }
    }

    fn require(&self, needed: Column) -> Result<(), String> {
        if self.slots.contains(&Slot::Field(needed)) {
            return Ok(());
        }
        let near = match nearest(needed.as_str(), self.variables()) {
            Some(near) => {
                format!("rename the column \"{0}\", or give --map {needed}=\"{0}\"", shown(near))
            }
            None => "add it; phone and timezone are required".to_string(),
        };
        Err(format!("line 1: there is no column \"{needed}\": {near}"))
    }

    fn fields(&self) -> impl Iterator<Item = Column> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Field(column) => Some(*column),
            _ => None,
        })
    }

    /// The columns that become variables, in the order of the file.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Variable(name) => Some(name.as_str()),
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
    pub fn phone_text<'r>(&self, row: &CsvRow<'r>) -> Option<&'r str> {
        let phone = self.slots.iter().position(|slot| *slot == Slot::Field(Column::Phone))?;
        row.text(phone).ok()
    }

    /// The row as an entry, or all of its problems.
    pub fn entry(
        &self,
        reader: &mut Reader<'_>,
        row: &CsvRow<'_>,
    ) -> Result<CustomerEntry, Vec<RowProblem>> {
        if row.fields() != self.slots.len() {
            let reason =
                format!("has {} fields, the header has {}", row.fields(), self.slots.len());
            return Err(vec![RowProblem { line: row.line, column: None, reason }]);
        }
        let mut draft = Draft::default();
        let mut problems = Vec::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let taken = row.text(index).map_err(str::to_string).and_then(|text| match slot {
                // Most exports leave a cell blank that they do not know.
                Slot::Field(_) | Slot::Variable(_) if text.is_empty() && !self.clear_blanks => {
                    Ok(())
                }
                Slot::Field(column) => reader.set(&mut draft, *column, text),
                Slot::Variable(name) => reader.set_variable(&mut draft, name, text),
                Slot::Unnamed if text.is_empty() => Ok(()),
                Slot::Unnamed => Err("is written in a column without a name".to_string()),
            });
            if let Err(reason) = taken {
                problems.push(RowProblem {
                    line: row.line,
                    column: Some(slot.name(index)),
                    reason,
                });
            }
        }
        if problems.is_empty() { Ok(draft.finish()) } else { Err(problems) }
    }
}

fn slot(name: &str, options: &Options<'_>) -> Slot {
    let mapped = options.map.iter().find(|(_, header)| is_same_header(header, name));
    let is_variable = options.as_variable.iter().any(|header| is_same_header(header, name));
    match (mapped, Column::of_header(name)) {
        (Some((column, _)), _) => Slot::Field(*column),
        (None, Some(column)) if !is_variable => Slot::Field(column),
        _ if plain_header(name).is_empty() => Slot::Unnamed,
        _ => Slot::Variable(name.to_string()),
    }
}

/// The header that a flag names must be in the file: a misspelt flag would have no effect.
fn is_there(wanted: &str, names: &[&str]) -> Result<(), String> {
    if names.iter().any(|name| is_same_header(wanted, name)) {
        return Ok(());
    }
    let near = match nearest(wanted, names.iter().copied()) {
        Some(near) => format!("did you mean \"{}\"?", shown(near)),
        None => "name a header of the file".to_string(),
    };
    Err(format!("line 1: there is no column \"{}\": {near}", shown(wanted)))
}

fn is_same_header(a: &str, b: &str) -> bool {
    let (a, b) = (plain_header(a), plain_header(b));
    a == b || (!letters(&a).is_empty() && letters(&a) == letters(&b))
}

impl Slot {
    fn name(&self, index: usize) -> String {
        match self {
            Slot::Field(column) => column.to_string(),
            Slot::Variable(name) => shown(name).into_owned(),
            Slot::Unnamed => (index + 1).to_string(),
        }
    }
}

/// The field that somebody may have meant by a column that becomes a variable.
pub fn meant_by(variable: &str) -> Option<&'static str> {
    let fields = Column::ALL.iter().filter(|column| !column.is_ours() && **column != Column::Id);
    nearest(variable, fields.map(|column| column.as_str()))
}
