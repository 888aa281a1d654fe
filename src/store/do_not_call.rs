//! The do-not-call list: a table, and an append-only file beside the database that outlives a
//! restored backup. The file is written first, so that a crash between the two keeps the number.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use rusqlite::{Connection, Transaction, params};

use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::queue::Moved;
use crate::store::{files, rows};

/// A number that nobody calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// E.164.
    pub phone: String,
    pub reason: String,
    /// Who or what added it.
    pub source: String,
    pub created_at: Instant,
}

/// Adds a number; `No` when it was listed. Effective before the next POST.
pub fn add(tx: &Transaction<'_>, path: &Path, entry: &Entry) -> anyhow::Result<Moved> {
    append(path, "add", entry)?;
    insert(tx, entry)
}

/// Takes a number off the list; `No` when it was not on it.
pub fn remove(tx: &Transaction<'_>, path: &Path, entry: &Entry) -> anyhow::Result<Moved> {
    append(path, "remove", entry)?;
    delete(tx, &entry.phone)
}

/// Brings the table up to the side file, at every start. Returns how many numbers were missing.
pub fn replay(tx: &Transaction<'_>, path: &Path) -> anyhow::Result<usize> {
    if path == Path::new(":memory:") {
        return Ok(0);
    }
    let side = files::beside(path, ".do-not-call");
    let text = match std::fs::read_to_string(&side) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).with_context(|| format!("read {}", side.display())),
    };
    let mut missing = 0;
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let (verb, entry) = parse(line)
            .with_context(|| format!("{} line {} is damaged", side.display(), index + 1))?;
        let moved = if verb == "add" { insert(tx, &entry)? } else { delete(tx, &entry.phone)? };
        if moved == Moved::Yes && verb == "add" {
            missing += 1;
        }
    }
    Ok(missing)
}

pub fn all(conn: &Connection) -> anyhow::Result<Vec<Entry>> {
    let mut statement = conn.prepare_cached(
        "SELECT phone, reason, source, created_at FROM do_not_call ORDER BY created_at, phone",
    )?;
    let found = statement.query_map([], |row| {
        Ok(Entry {
            phone: row.get(0)?,
            reason: row.get(1)?,
            source: row.get(2)?,
            created_at: rows::instant(row, 3)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn insert(tx: &Transaction<'_>, entry: &Entry) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "INSERT INTO do_not_call (phone, reason, source, created_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (phone) DO NOTHING",
        )?
        .execute(params![
            entry.phone,
            entry.reason,
            entry.source,
            instant_text(entry.created_at)
        ])?;
    Ok(Moved::from_rows(rows))
}

fn delete(tx: &Transaction<'_>, phone: &str) -> anyhow::Result<Moved> {
    let rows = tx.prepare_cached("DELETE FROM do_not_call WHERE phone = ?1")?.execute([phone])?;
    Ok(Moved::from_rows(rows))
}

/// One line, synced: instant, verb, number, source, reason, separated by tabs.
fn append(path: &Path, verb: &str, entry: &Entry) -> anyhow::Result<()> {
    if path == Path::new(":memory:") {
        return Ok(());
    }
    let side = files::beside(path, ".do-not-call");
    let one_line = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    let line = format!(
        "{}\t{verb}\t{}\t{}\t{}\n",
        instant_text(entry.created_at),
        entry.phone,
        one_line(&entry.source),
        one_line(&entry.reason)
    );
    let written = || -> anyhow::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&side)?;
        files::give_to_owner_of(path, &file)?;
        file.write_all(line.as_bytes())?;
        Ok(file.sync_all()?)
    };
    written().with_context(|| format!("write {}", side.display()))
}

fn parse(line: &str) -> Option<(&str, Entry)> {
    let mut cells = line.splitn(5, '\t');
    let created_at = parse_instant(cells.next()?)?;
    let verb = cells.next().filter(|verb| ["add", "remove"].contains(verb))?;
    let phone = cells.next()?.to_string();
    let source = cells.next()?.to_string();
    let reason = cells.next()?.to_string();
    Some((verb, Entry { phone, reason, source, created_at }))
}
