//! Maps the columns of a customers file, and turns a row into an entry.
//!
//! Refuses a header in which two columns mean the same, or without a phone or time zone.

use crate::domain::customer::columns::{Column, nearest, plain_header, shown};
use crate::domain::customer::entry::CustomerEntry;
use crate::steps::import::csv::CsvRow;
use crate::steps::import::field_values::{Draft, Reader};
use crate::steps::import::report::RowProblem;

/// The most columns in a header.
const COLUMNS_MAX: usize = 500;

/// The meaning of each column, in the order of the file.
#[derive(Debug)]
pub struct Header {
    slots: Vec<Slot>,
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
    pub fn read(row: &CsvRow<'_>) -> Result<Header, String> {
        if COLUMNS_MAX < row.fields() {
            return Err(format!("line 1: has more than {COLUMNS_MAX} columns"));
        }
        let mut slots = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for index in 0..row.fields() {
            let name = row
                .text(index)
                .map_err(|reason| format!("line 1: column {} {reason}", index + 1))?;
            let plain = plain_header(name);
            if !plain.is_empty() && names.contains(&plain) {
                return Err(format!("line 1: two columns are named \"{}\"", shown(name)));
            }
            slots.push(match Column::of_header(name) {
                Some(column) => Slot::Field(column),
                None if name.is_empty() => Slot::Unnamed,
                None => Slot::Variable(name.to_string()),
            });
            names.push(plain);
        }
        let header = Header { slots };
        for needed in [Column::Phone, Column::Timezone] {
            header.require(needed)?;
        }
        Ok(header)
    }

    fn require(&self, needed: Column) -> Result<(), String> {
        if self.slots.contains(&Slot::Field(needed)) {
            return Ok(());
        }
        let near = match nearest(needed.as_str(), self.variables()) {
            Some(near) => format!("rename the column \"{}\"", shown(near)),
            None => "add it; phone and timezone are required".to_string(),
        };
        Err(format!("line 1: there is no column \"{needed}\": {near}"))
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
