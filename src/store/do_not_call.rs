//! The do-not-call list: a table, and an append-only file beside the database that outlives a
//! restored backup. The file is written first, so that a crash between the two keeps the number.
//!
//! A number is stored once, in the form that was given. A lookup checks all forms that the
//! subscriber's number had, because the list and the customers may hold forms from before a
//! renumbering.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Context;
use rusqlite::{Connection, Transaction, params};

use crate::domain::{Instant, instant_text, parse_instant};
use crate::phones;
use crate::store::cells;
use crate::store::events;
use crate::store::file::side_files;
use crate::store::quarantine::{OddRow, Place};
use crate::store::transaction::Moved;

/// The file of added and removed numbers, beside the database.
const SIDE_FILE: &str = ".do-not-call";

/// A number that is never called.
#[derive(Clone, Debug, PartialEq)]
pub struct DoNotCallEntry {
    /// E.164.
    pub phone: String,
    pub reason: String,
    /// The person or the command that added it.
    pub source: String,
    pub created_at: Instant,
}

/// Adds a number; `No` if it was listed. Effective before the next POST.
pub fn add(tx: &Transaction<'_>, path: &Path, entry: &DoNotCallEntry) -> anyhow::Result<Moved> {
    append(path, "add", entry)?;
    let moved = insert(tx, entry)?;
    if moved == Moved::Yes {
        events::opted_out(tx, &forms(&entry.phone), &entry.source, entry.created_at)?;
    }
    Ok(moved)
}

/// Removes a number from the list, in every form that protects it; `No` if it was not listed.
pub fn remove(tx: &Transaction<'_>, path: &Path, entry: &DoNotCallEntry) -> anyhow::Result<Moved> {
    let mut moved = Moved::No;
    for phone in listed_forms(tx, path, &entry.phone)? {
        append(path, "remove", &DoNotCallEntry { phone: phone.clone(), ..entry.clone() })?;
        tx.prepare_cached("DELETE FROM do_not_call WHERE phone = ?1")?.execute([&phone])?;
        moved = Moved::Yes;
    }
    Ok(moved)
}

/// Applies the side file to the table, at every start. Returns how many numbers were missing.
pub fn replay(tx: &Transaction<'_>, path: &Path) -> anyhow::Result<usize> {
    replay_lines(tx, side_lines(path)?)
}

/// Applies the side file for one number, in all its forms.
pub fn replay_one(tx: &Transaction<'_>, path: &Path, phone: &str) -> anyhow::Result<usize> {
    replay_lines(tx, lines_of(path, &forms(phone))?)
}

/// A number and its forms before and after a renumbering: one listed form protects all of them.
pub fn forms(phone: &str) -> Vec<String> {
    let mut forms = vec![phone.to_string()];
    forms.extend(phones::other_forms(phone));
    forms
}

fn replay_lines(tx: &Transaction<'_>, lines: Vec<DoNotCallLine>) -> anyhow::Result<usize> {
    let mut missing = 0;
    for line in lines {
        match line.verb {
            Verb::Add => missing += usize::from(insert(tx, &line.entry)? == Moved::Yes),
            Verb::Remove => delete(tx, &line.entry)?,
        }
    }
    Ok(missing)
}

/// The list as the next start will store it: the table with the side file applied, without writing.
/// Between a restored backup and that start, the table alone lacks numbers.
pub fn all(conn: &Connection, path: &Path) -> anyhow::Result<Vec<DoNotCallEntry>> {
    let listed = brought_up(in_table(conn, None)?, side_lines(path)?);
    let mut listed: Vec<DoNotCallEntry> = listed.into_values().map(|(entry, _)| entry).collect();
    listed.sort_by(|a, b| (a.created_at, &a.phone).cmp(&(b.created_at, &b.phone)));
    Ok(listed)
}

/// Whether a number is on the list of [`all`], in any of its forms.
pub fn is_listed(conn: &Connection, path: &Path, phone: &str) -> anyhow::Result<bool> {
    Ok(!listed_forms(conn, path, phone)?.is_empty())
}

/// Whether the file lists any number.
pub fn is_any_stored(conn: &Connection) -> anyhow::Result<bool> {
    Ok(conn.query_one("SELECT EXISTS (SELECT 1 FROM do_not_call)", [], |row| row.get(0))?)
}

/// Whether the file lists a number, in any of its forms. The list beside the file, which a start
/// brings in, is not asked: that would read it for each row of an import.
pub fn is_stored(conn: &Connection, phone: &str) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM do_not_call WHERE phone = ?1)";
    let mut statement = conn.prepare_cached(sql)?;
    for form in forms(phone) {
        if statement.query_one([form], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The forms of a number that are on the list of [`all`].
fn listed_forms(conn: &Connection, path: &Path, phone: &str) -> anyhow::Result<Vec<String>> {
    Ok(entries_of(conn, path, phone)?.into_iter().map(|entry| entry.phone).collect())
}

/// The entries of the list of [`all`] that protect a number.
pub fn entries_of(
    conn: &Connection,
    path: &Path,
    phone: &str,
) -> anyhow::Result<Vec<DoNotCallEntry>> {
    let forms = forms(phone);
    let mut rows = Vec::new();
    for form in &forms {
        rows.extend(in_table(conn, Some(form))?);
    }
    let listed = brought_up(rows, lines_of(path, &forms)?);
    Ok(listed.into_values().map(|(entry, _)| entry).collect())
}

/// The content that `replay` would leave in the table, by number: an entry, and the text of its
/// time.
fn brought_up(
    in_table: Vec<(DoNotCallEntry, String)>,
    lines: Vec<DoNotCallLine>,
) -> HashMap<String, (DoNotCallEntry, String)> {
    let by_number = in_table.into_iter().map(|(entry, at)| (entry.phone.clone(), (entry, at)));
    let mut listed: HashMap<_, _> = by_number.collect();
    for DoNotCallLine { verb, entry } in lines {
        let at = instant_text(entry.created_at);
        match verb {
            Verb::Add => drop(listed.entry(entry.phone.clone()).or_insert((entry, at))),
            Verb::Remove => {
                if listed.get(&entry.phone).is_some_and(|(_, added_at)| *added_at <= at) {
                    listed.remove(&entry.phone);
                }
            }
        }
    }
    listed
}

/// A line of the side file.
struct DoNotCallLine {
    verb: Verb,
    entry: DoNotCallEntry,
}

enum Verb {
    Add,
    Remove,
}

/// The lines of the side file, oldest first; empty if it does not exist.
fn side_lines(path: &Path) -> anyhow::Result<Vec<DoNotCallLine>> {
    if path == Path::new(":memory:") {
        return Ok(Vec::new());
    }
    let side = side_files::beside(path, SIDE_FILE);
    let text = match std::fs::read_to_string(&side) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", side.display())),
    };
    let text = &text[..text.len() - cut_off(text.as_bytes())];
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let parsed = lines.map(|(index, line)| {
        parse(line).with_context(|| format!("{} line {} is damaged", side.display(), index + 1))
    });
    parsed.collect()
}

/// How many bytes at the end belong to a line that was never written whole. Its number was never
/// reported as listed.
fn cut_off(text: &[u8]) -> usize {
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let tail = std::str::from_utf8(&text[whole..]);
    let is_readable = tail.is_ok_and(|line| line.is_empty() || parse(line).is_some());
    if is_readable { 0 } else { text.len() - whole }
}

/// The lines of the side file about some numbers.
fn lines_of(path: &Path, phones: &[String]) -> anyhow::Result<Vec<DoNotCallLine>> {
    let mut lines = side_lines(path)?;
    lines.retain(|line| phones.contains(&line.entry.phone));
    Ok(lines)
}

/// The rows of the table, each with the text of its time: all, or those of one number.
fn in_table(
    conn: &Connection,
    phone: Option<&str>,
) -> anyhow::Result<Vec<(DoNotCallEntry, String)>> {
    // One statement for both would read the whole list for each number.
    let one = if phone.is_some() { "phone = ?1" } else { "?1 IS NULL" };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT phone, reason, source, created_at FROM do_not_call WHERE {one}"
    ))?;
    let found = statement.query_map([phone], |row| {
        // Another program may have written the row: its number counts, whatever the other cells
        // hold.
        let created_at = cells::lossy(row, 3)?;
        let entry = DoNotCallEntry {
            phone: cells::lossy(row, 0)?,
            reason: cells::lossy(row, 1)?,
            source: cells::lossy(row, 2)?,
            created_at: parse_instant(&created_at).unwrap_or_default(),
        };
        Ok((entry, created_at))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// An entry in a form that the gate cannot compare. The triggers refuse it, so it is older or was
/// written without them.
pub(super) const ODD: &str = "(phone NOT GLOB '+[1-9]*' OR substr(phone, 2) GLOB '*[^0-9]*')";

/// The texts of odd entries, without bytes that are not text. Reads the whole list.
pub fn odd_texts(conn: &Connection) -> anyhow::Result<Vec<String>> {
    let sql = format!("SELECT phone FROM do_not_call WHERE {ODD}");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement
        .query_map([], |row| Ok(cells::lossy(row, 0)?.replace(char::REPLACEMENT_CHARACTER, "")))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The odd entries, without their numbers. Reads the whole list.
pub fn odd_rows(conn: &Connection) -> anyhow::Result<Vec<OddRow>> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT rowid FROM do_not_call WHERE {ODD}"))?;
    let found = statement.query_map([], |row| {
        Ok(OddRow {
            place: Place::DoNotCall.table().to_string(),
            row: row.get::<_, i64>(0)?.to_string(),
            customer_id: None,
            why: "phone is not written as + and digits".to_string(),
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Whether the entry with this row id is odd.
pub fn is_odd(conn: &Connection, rowid: &str) -> anyhow::Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM do_not_call WHERE rowid = ?1 AND {ODD})");
    Ok(conn.prepare_cached(&sql)?.query_one([rowid], |row| row.get(0))?)
}

fn insert(tx: &Transaction<'_>, entry: &DoNotCallEntry) -> anyhow::Result<Moved> {
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

/// Keeps a number that was added again after its removal, even if only the table has the addition.
fn delete(tx: &Transaction<'_>, removed: &DoNotCallEntry) -> anyhow::Result<()> {
    tx.prepare_cached("DELETE FROM do_not_call WHERE phone = ?1 AND created_at <= ?2")?
        .execute([&removed.phone, &instant_text(removed.created_at)])?;
    Ok(())
}

/// Appends one line and syncs it: instant, verb, number, source and reason, separated by tabs.
fn append(path: &Path, verb: &str, entry: &DoNotCallEntry) -> anyhow::Result<()> {
    if path == Path::new(":memory:") {
        return Ok(());
    }
    let side = side_files::beside(path, SIDE_FILE);
    let one_line = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    let line = format!(
        "{}\t{verb}\t{}\t{}\t{}\n",
        instant_text(entry.created_at),
        entry.phone,
        one_line(&entry.source),
        one_line(&entry.reason)
    );
    let written = || -> anyhow::Result<()> {
        let options = &mut OpenOptions::new();
        let mut file = side_files::open_beside(path, SIDE_FILE, options.read(true).append(true))?;
        end_last_line(&mut file)?;
        file.write_all(line.as_bytes())?;
        Ok(file.sync_all()?)
    };
    written().with_context(|| format!("write {}", side.display()))
}

/// Ends or cuts a line that a full disk or a power cut left unfinished, so that it does not swallow
/// the next one.
fn end_last_line(file: &mut File) -> std::io::Result<()> {
    let mut last = [0];
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(());
    }
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    match cut_off(&text) {
        0 => file.write_all(b"\n"),
        unfinished => file.set_len((text.len() - unfinished) as u64),
    }
}

fn parse(line: &str) -> Option<DoNotCallLine> {
    let mut cells = line.splitn(5, '\t');
    let created_at = parse_instant(cells.next()?)?;
    let verb = match cells.next()? {
        "add" => Verb::Add,
        "remove" => Verb::Remove,
        _ => return None,
    };
    let phone = cells.next()?.to_string();
    let source = cells.next()?.to_string();
    let reason = cells.next()?.to_string();
    Some(DoNotCallLine { verb, entry: DoNotCallEntry { phone, reason, source, created_at } })
}
