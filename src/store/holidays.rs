//! The table of dates without calls. Other modules read the files that the dates come from.

use chrono::NaiveDate;
use rusqlite::{Transaction, params};

/// A date on which no customer of a country is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holiday {
    /// Two letters, or `*` for all countries.
    pub country: String,
    pub date: NaiveDate,
    pub name: String,
}

/// Replaces all dates with these. A date that is listed twice keeps its first name.
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
