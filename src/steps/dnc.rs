//! dnc: numbers that nobody calls, by a person or from a file. Effective before the next POST,
//! also for what is queued: the gate asks the list in the transaction that writes the intent.
//!
//! Refuses a file with a line that is no number: a number that was not understood would ring.

use std::path::Path;

use crate::domain::Instant;
use crate::domain::fields::{plain_header, shown};
use crate::phones;
use crate::steps::csv_rows::{CsvRows, Next};
use crate::steps::import_file::file_name;
use crate::store::do_not_call::{self, Entry};
use crate::store::meta::Installation;
use crate::store::queue::Moved;
use crate::store::{Store, Tx, journal};

/// One number of a file and why it is on the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// E.164.
    pub phone: String,
    pub reason: String,
}

/// Adds numbers in one transaction; returns how many were new. The side file is written first, so
/// that a crash in between keeps them.
pub fn add(
    store: &Store,
    installation: &Installation,
    numbers: &[Listed],
    who: &str,
    now: Instant,
) -> anyhow::Result<usize> {
    store.write(|tx| {
        let mut new = 0;
        for listed in numbers {
            let entry = entry(&listed.phone, &listed.reason, who, now);
            if do_not_call::add(tx, store.path(), &entry)? == Moved::Yes {
                note(tx, installation, &entry, "added", now)?;
                new += 1;
            }
        }
        Ok(new)
    })
}

/// Takes a number off the list; `false` when it was not on it.
pub fn remove(
    store: &Store,
    installation: &Installation,
    phone: &str,
    reason: &str,
    who: &str,
    now: Instant,
) -> anyhow::Result<bool> {
    let entry = entry(phone, reason, who, now);
    store.write(|tx| {
        let moved = do_not_call::remove(tx, store.path(), &entry)?;
        if moved == Moved::Yes {
            note(tx, installation, &entry, "removed", now)?;
        }
        Ok(moved == Moved::Yes)
    })
}

fn entry(phone: &str, reason: &str, who: &str, now: Instant) -> Entry {
    Entry {
        phone: phone.to_string(),
        reason: reason.to_string(),
        source: who.to_string(),
        created_at: now,
    }
}

/// The journal outlives erasure, so it knows the number by its key only.
fn note(
    tx: &Tx<'_>,
    installation: &Installation,
    entry: &Entry,
    what: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let subject = format!("number:{}", installation.phone_key(&entry.phone));
    let (who, why) = (entry.source.as_str(), Some(entry.reason.as_str()));
    let new = Some(what);
    journal::add(
        tx,
        now,
        journal::Entry { who, what: "do not call", subject: &subject, old: None, new, why },
    )
}

/// A number that a person gave. Also one that is not valid: nobody is called there either way.
pub fn phone(text: &str, default_country: Option<&str>) -> Result<String, String> {
    match phones::parse(text, default_country) {
        Ok(phone) => Ok(phone.e164),
        Err(why) => Err(format!("\"{}\" {why}", shown(text))),
    }
}

/// Reads a file: one number a line, or a CSV with a column `phone` and perhaps `reason`. The
/// errors are all lines that are no number; then nothing is taken.
pub fn read_file(
    path: &Path,
    default_country: Option<&str>,
    reason: Option<&str>,
) -> Result<Vec<Listed>, Vec<String>> {
    let name = file_name(path);
    let whole = |why: String| vec![format!("{name}: {why}")];
    let file = std::fs::File::open(path).map_err(|error| whole(error.to_string()))?;
    let mut rows = CsvRows::new(file).map_err(|error| whole(error.to_string()))?;
    let (mut numbers, mut problems) = (Vec::new(), Vec::new());
    let (mut phone_at, mut reason_at, mut first) = (0, None, true);
    loop {
        let row = match rows.next_row().map_err(|error| whole(error.to_string()))? {
            Next::End => break,
            Next::Bad { line, reason } => {
                problems.push(format!("{name} line {line}: {reason}"));
                continue;
            }
            Next::Row(row) if row.is_blank() => continue,
            Next::Row(row) => row,
        };
        let cells: Vec<&str> = (0..row.fields()).map(|i| row.text(i).unwrap_or("")).collect();
        if std::mem::take(&mut first) {
            let named = |wanted: &str| cells.iter().position(|cell| plain_header(cell) == wanted);
            if let Some(at) = named("phone") {
                (phone_at, reason_at) = (at, named("reason"));
                continue;
            }
        }
        let cell = cells.get(phone_at).copied().unwrap_or_default();
        let own = reason_at.and_then(|at| cells.get(at)).filter(|text| !text.is_empty());
        let why = own.copied().or(reason).map(str::to_string);
        match (phone(cell, default_country), why) {
            (Ok(phone), Some(reason)) => numbers.push(Listed { phone, reason }),
            (Err(why), _) => problems.push(format!("{name} line {}: {why}", row.line)),
            (Ok(_), None) => problems.push(format!(
                "{name} line {}: has no reason: give one for all with --reason",
                row.line
            )),
        }
    }
    if problems.is_empty() { Ok(numbers) } else { Err(problems) }
}
