//! An archive: old results and old lines of the journal, moved into a file of their own.
//!
//! Only what decides nothing moves. The ledger, the queue and the customers stay whole, and so does
//! every line of the journal that a person wrote or that other code reads. Nothing leaves the
//! database before the archive is on disk and holds it.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rusqlite::{Connection, OpenFlags, Row, Transaction, params};
use serde::Serialize;

use crate::domain::{Instant, instant_text};
use crate::store::Store;
use crate::store::events;
use crate::store::file::backup::new_whole_file;
use crate::store::file::connections;
use crate::store::file::verify::{hash, problem_of_pages};
use crate::store::journal::{self, Entry, MACHINES};
use crate::store::meta::installation;

/// Rows that leave the database in one transaction, so that no dial waits long for its own.
const BATCH: i64 = 1_000;

/// The tables of an archive. `about` says what it is; the other columns are those of the database.
const TABLES: &str = "
    CREATE TABLE about (installation_id TEXT NOT NULL, before_utc TEXT NOT NULL,
      made_at TEXT NOT NULL) STRICT;
    CREATE TABLE call_results (attempt_id TEXT NOT NULL PRIMARY KEY, summary TEXT, transcript TEXT,
      structured TEXT NOT NULL, success_evaluation TEXT, source TEXT NOT NULL,
      received_at TEXT NOT NULL, updated_at TEXT NOT NULL) STRICT;
    CREATE TABLE journal (id INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL,
      what TEXT NOT NULL, subject TEXT NOT NULL, old TEXT, new TEXT, why TEXT,
      build TEXT NOT NULL) STRICT;";

const OLD_RESULTS: &str = "
    SELECT attempt_id, summary, transcript, structured, success_evaluation, source, received_at,
      updated_at
    FROM call_results WHERE received_at < ?1";

/// What ringonce wrote about items and attempts that are over. These stay, because other code asks
/// for them: an attempt that no dial began, a doubt that was ruled out, a retry that was permitted.
const OLD_LINES: &str = "
    SELECT id, at, who, what, subject, old, new, why, build FROM journal
    WHERE at < ?1 AND who IN (SELECT value FROM json_each(?2)) AND what IN ('item', 'attempt')
      AND NOT (what = 'attempt' AND (coalesce(old, '') = 'in_doubt' OR (old IS NULL AND who <> 'dial')))
      AND NOT (what = 'item' AND coalesce(new, '') = 'retrying')
      AND id NOT IN (SELECT journal_id FROM journal_facts)
      AND subject NOT IN (
        SELECT 'item:' || id FROM call_queue WHERE status IN ('pending', 'retrying', 'processing')
        UNION ALL
        SELECT 'attempt:' || id FROM call_attempts
        WHERE state IN ('dialing', 'in_doubt', 'placed'))";

/// What moved into an archive.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Archived {
    pub path: PathBuf,
    pub results: usize,
    pub journal_lines: usize,
    pub bytes: u64,
    pub sha256: String,
}

/// Moves what is older than `before` into a new file of mode 0600. `None`: nothing is that old, and
/// no file was made.
///
/// If this is interrupted, the archive is whole or absent, and what it holds may still be in the
/// database too. Another archive then moves the rest.
pub fn archive(
    store: &Store,
    target: &Path,
    before: Instant,
    now: Instant,
) -> anyhow::Result<Option<Archived>> {
    archive_with(store, target, before, now, &mut || {})
}

/// The same; `written` is called when the archive is on disk, and nothing has left the database.
pub fn archive_with(
    store: &Store,
    target: &Path,
    before: Instant,
    now: Instant,
    written: &mut dyn FnMut(),
) -> anyhow::Result<Option<Archived>> {
    if store.read(|conn| Ok(is_empty(conn, before)?))? {
        return Ok(None);
    }
    let made = new_whole_file(target, |part| {
        let (results, journal_lines) = store.read(|conn| copy(conn, part, before, now))?;
        let (bytes, sha256) = hash(part)?;
        Ok(Archived { path: target.to_path_buf(), results, journal_lines, bytes, sha256 })
    })?;
    written();
    remove(store, &made, now)?;
    Ok(Some(made))
}

fn is_empty(conn: &Connection, before: Instant) -> rusqlite::Result<bool> {
    let sql = format!("SELECT NOT EXISTS ({OLD_RESULTS}) AND NOT EXISTS ({OLD_LINES})");
    conn.query_one(&sql, params![instant_text(before), machines()], |row| row.get(0))
}

fn machines() -> String {
    serde_json::json!(MACHINES).to_string()
}

/// Copies the rows of one moment into the part of an archive, and counts them there.
fn copy(
    from: &Connection,
    part: &Path,
    before: Instant,
    now: Instant,
) -> anyhow::Result<(usize, usize)> {
    let mut to = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    to.pragma_update(None, "synchronous", "FULL")?;
    let tx = to.transaction()?;
    tx.execute_batch(TABLES)?;
    tx.execute(
        "INSERT INTO about VALUES (?1, ?2, ?3)",
        params![installation::installation(from)?.id, instant_text(before), instant_text(now)],
    )?;
    let mut old = from.prepare(OLD_RESULTS)?;
    let results = copy_rows(old.query([instant_text(before)])?, &tx, "call_results", 8)?;
    let mut old = from.prepare(OLD_LINES)?;
    let lines =
        copy_rows(old.query(params![instant_text(before), machines()])?, &tx, "journal", 9)?;
    tx.commit().context("commit the archive")?;
    let count = |table: &str| -> rusqlite::Result<usize> {
        let sql = format!("SELECT count(*) FROM {table}");
        Ok(to.query_one(&sql, [], |row| row.get::<_, i64>(0))? as usize)
    };
    ensure!(
        (count("call_results")?, count("journal")?) == (results, lines),
        "{} does not hold what was written into it",
        part.display()
    );
    if let Some(problem) = problem_of_pages(&to)? {
        anyhow::bail!("{} is not sound: {problem}", part.display());
    }
    Ok((results, lines))
}

fn copy_rows(
    mut rows: rusqlite::Rows<'_>,
    tx: &Transaction<'_>,
    table: &str,
    columns: usize,
) -> anyhow::Result<usize> {
    let marks = vec!["?"; columns].join(", ");
    let mut insert = tx.prepare(&format!("INSERT INTO {table} VALUES ({marks})"))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        insert.execute(rusqlite::params_from_iter(cells_of(row, columns)?))?;
        count += 1;
    }
    Ok(count)
}

fn cells_of(row: &Row<'_>, columns: usize) -> rusqlite::Result<Vec<rusqlite::types::Value>> {
    (0..columns).map(|index| row.get(index)).collect()
}

/// Takes out of the database what the archive holds. A result that changed in the meantime stays.
fn remove(store: &Store, made: &Archived, now: Instant) -> anyhow::Result<()> {
    let archive = connections::read_only(&made.path)?;
    let mut results = archive.prepare(
        "SELECT attempt_id, updated_at FROM call_results WHERE ?1 < attempt_id
         ORDER BY attempt_id LIMIT ?2",
    )?;
    let mut last = String::new();
    loop {
        let batch =
            results.query_map(params![last, BATCH], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let batch: Vec<(String, String)> = batch.collect::<Result<_, _>>()?;
        let Some((end, _)) = batch.last() else { break };
        last = end.clone();
        store.write(|tx| remove_results(tx, &batch))?;
    }
    let mut lines = archive.prepare("SELECT id FROM journal WHERE ?1 < id ORDER BY id LIMIT ?2")?;
    let mut last = 0;
    loop {
        let batch = lines.query_map([last, BATCH], |row| row.get(0))?;
        let batch: Vec<i64> = batch.collect::<Result<_, _>>()?;
        let Some(end) = batch.last() else { break };
        last = *end;
        store.write(|tx| remove_lines(tx, &batch))?;
    }
    let moved = format!("{} results, {} journal lines", made.results, made.journal_lines);
    let (who, what, subject) = ("cli", "archive", "file");
    store.write(|tx| {
        let new = Some(moved.as_str());
        journal::add(tx, now, Entry { who, what, subject, new, ..Entry::default() })
    })
}

fn remove_results(tx: &Transaction<'_>, batch: &[(String, String)]) -> anyhow::Result<()> {
    let sql = "DELETE FROM call_results WHERE attempt_id = ?1 AND updated_at = ?2";
    let mut delete = tx.prepare_cached(sql)?;
    for (attempt_id, updated_at) in batch {
        if delete.execute([attempt_id, updated_at])? == 1 {
            events::result::forget(tx, attempt_id)?;
        }
    }
    Ok(())
}

/// The journal refuses every other deletion, and refuses again when this transaction ends.
fn remove_lines(tx: &Transaction<'_>, batch: &[i64]) -> anyhow::Result<()> {
    const GUARD: &str = "journal_refuses_delete";
    let guard: String = tx.query_one(
        "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?1",
        [GUARD],
        |row| row.get(0),
    )?;
    tx.execute_batch(&format!("DROP TRIGGER {GUARD}"))?;
    let mut delete = tx.prepare("DELETE FROM journal WHERE id = ?1")?;
    for id in batch {
        delete.execute([id])?;
    }
    tx.execute_batch(&guard).with_context(|| format!("put {GUARD} back"))
}
