//! The table of dates without calls. The files that it comes from are read elsewhere.

use chrono::NaiveDate;
use rusqlite::{Transaction, params};

/// A date on which nobody in a country is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holiday {
    /// Two letters, or `*` for everybody.
    pub country: String,
    pub date: NaiveDate,
    pub name: String,
}

/// Writes these dates in place of all others. A date that is named twice keeps its first name.
pub fn replace(tx: &Transaction<'_>, days: &[Holiday]) -> anyhow::Result<()> {
    tx.execute("DELETE FROM holidays", [])?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO holidays (country, date, name) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    for day in days {
        insert.execute(params![day.country, day.date.to_string(), day.name])?;
    }
    Ok(())
}
