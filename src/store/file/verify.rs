//! Checks whether a file is a whole and sound ringonce database: reads it from end to end, never
//! changes it.
//!
//! Opens no file for writing, so a check leaves no `-wal` or `-shm` beside an archived copy.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use data_encoding::HEXLOWER;
use rusqlite::Connection;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::store::error::StoreError;
use crate::store::file::{connections, side_files};
use crate::store::meta::{installation, sequence};
use crate::store::migrations;

/// Without these a second queue item or a second live attempt would be accepted.
const GUARDS: [&str; 4] = [
    "call_queue_once",
    "unique_customer_call_active",
    "call_attempts_once",
    "call_attempts_one_live",
];

/// A sound file that was read to its last page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verified {
    pub path: PathBuf,
    pub bytes: u64,
    /// Of the file itself, without a WAL beside it.
    pub sha256: String,
    /// Whether a WAL with newer commits lies beside the file.
    pub write_ahead_log: bool,
    pub schema: i64,
    pub customers: i64,
    pub queue_items: i64,
    pub attempts: i64,
    /// Attempts whose outcome is unknown.
    pub in_doubt: i64,
    pub do_not_call: i64,
    pub journal: i64,
    /// The highest sequence number of the ledger.
    pub highest_seq: i64,
    /// The instant of the newest intent; `None` = nothing was ever dialed.
    pub newest_intent: Option<String>,
    /// Whether the file records where it may dial. A snapshot does not.
    pub armed_somewhere: bool,
}

/// Reads the whole file. Fails with one line if it is missing, truncated, damaged or not a ringonce
/// database.
pub fn verify(path: &Path) -> anyhow::Result<Verified> {
    if !path.is_file() {
        bail!("there is no file {}; name a database or a backup", path.display());
    }
    let (bytes, sha256) = hash(path)?;
    let write_ahead_log = side_files::has_log(path);
    let conn = open_read_only(path).map_err(|error| damaged(path, error))?;
    let found = read(&conn, path).map_err(|error| damaged(path, error))?;
    Ok(Verified { path: path.to_path_buf(), bytes, sha256, write_ahead_log, ..found })
}

fn open_read_only(path: &Path) -> anyhow::Result<Connection> {
    let conn = connections::read_only(path)?;
    conn.pragma_update(None, "query_only", 1)?;
    Ok(conn)
}

fn read(conn: &Connection, path: &Path) -> anyhow::Result<Verified> {
    migrations::check_readable(conn, path)?;
    if let Some(problem) = problem(conn)? {
        bail!("{problem}");
    }
    for guard in GUARDS {
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1)";
        if !conn.query_one(sql, [guard], |row| row.get::<_, bool>(0))? {
            bail!("the index {guard} is missing; any writing command puts it back");
        }
    }
    let count = |sql: &str| conn.query_one(sql, [], |row| row.get::<_, i64>(0));
    let newest = "SELECT max(created_at) FROM call_attempts WHERE state <> 'not_placed'";
    installation::installation(conn)?;
    Ok(Verified {
        path: PathBuf::new(),
        bytes: 0,
        sha256: String::new(),
        write_ahead_log: false,
        schema: conn.pragma_query_value(None, "user_version", |row| row.get(0))?,
        customers: count("SELECT count(*) FROM customers")?,
        queue_items: count("SELECT count(*) FROM call_queue")?,
        attempts: count("SELECT count(*) FROM call_attempts")?,
        in_doubt: count("SELECT count(*) FROM call_attempts WHERE state = 'in_doubt'")?,
        do_not_call: count("SELECT count(*) FROM do_not_call")?,
        journal: count("SELECT count(*) FROM journal")?,
        highest_seq: sequence::highest_seq(conn)?,
        newest_intent: conn.query_one(newest, [], |row| row.get(0))?,
        armed_somewhere: installation::armed_identity(conn)?.is_some(),
    })
}

/// The problem that SQLite finds in the pages, indexes or rows, or missing sequence numbers;
/// `None`: nothing. Reads everything.
pub fn problem(conn: &Connection) -> anyhow::Result<Option<String>> {
    match problem_of_pages(conn)? {
        None => lost_numbers(conn),
        found => Ok(found),
    }
}

/// The problem that SQLite finds in the pages, indexes or rows of any database; `None`: nothing.
pub(crate) fn problem_of_pages(conn: &Connection) -> anyhow::Result<Option<String>> {
    let found: String = conn.query_one("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    // The first line of two may only name the database.
    let line = found.lines().find(|line| !line.starts_with("***"));
    Ok(line.filter(|line| *line != "ok").map(str::to_string))
}

/// The highest sequence number that the file has assigned, and the highest in its ledger.
#[derive(Clone, Copy)]
pub struct Numbers {
    pub given: i64,
    known: i64,
}

impl Numbers {
    /// Whether the ledger lacks sequence numbers that were assigned. Nothing is ever deleted from
    /// the ledger, and a number is assigned in the transaction that writes its attempt. The rest of
    /// an erased customer's flags bears a negative number. So a missing number means mixed
    /// databases, for example the pages of one and the WAL of another.
    pub fn are_lost(self) -> bool {
        self.known < self.given
    }
}

/// Both numbers as of one instant; read before each intent.
pub fn numbers(conn: &Connection) -> anyhow::Result<Numbers> {
    let mut statement = conn.prepare_cached(
        "SELECT (SELECT value FROM meta WHERE key = 'highest_seq'),
           (SELECT max(coalesce(max(seq), 0), 0) FROM call_attempts)",
    )?;
    let (given, known): (Option<String>, i64) =
        statement.query_one([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Numbers { given: given.and_then(|text| text.parse().ok()).unwrap_or(0), known })
}

/// The sequence numbers that the ledger lacks, in words; `None`: none is missing.
pub fn lost_numbers(conn: &Connection) -> anyhow::Result<Option<String>> {
    let numbers = numbers(conn)?;
    let Numbers { given, known } = numbers;
    Ok(numbers
        .are_lost()
        .then(|| format!("it gave its calls numbers up to {given}, and knows them up to {known}")))
}

/// One line that names the file, its problem and the next step.
fn damaged(path: &Path, error: anyhow::Error) -> anyhow::Error {
    // Keep only the text: a file that is not ours is a finding of `verify`, not a wrong argument.
    if error.is::<StoreError>() {
        return anyhow::anyhow!("{error:#}");
    }
    let what = format!("{error:#}");
    anyhow::anyhow!("{} is damaged: {what}; use another copy", path.display())
}

/// The length and the SHA-256 of a file.
pub(crate) fn hash(path: &Path) -> anyhow::Result<(u64, String)> {
    let read = || -> std::io::Result<(u64, String)> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        let mut bytes = 0;
        loop {
            let part = file.read(&mut buffer)?;
            if part == 0 {
                break;
            }
            bytes += part as u64;
            hasher.update(&buffer[..part]);
        }
        Ok((bytes, HEXLOWER.encode(&hasher.finalize())))
    };
    read().with_context(|| format!("read {}", path.display()))
}
