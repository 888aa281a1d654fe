//! Side files that an earlier database left where a new one is created. The new one does not know
//! who was called, so it does not dial until a person accepts it.

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::error::StoreError;
use crate::store::file::side_files;
use crate::store::meta;

/// The side files that only a used database leaves: one that made calls, listed numbers or erased
/// people. `.lock` is not one of them, because every command that waits its turn leaves it.
const SIDE_FILES: [&str; 3] = [".seq", ".do-not-call", ".erased"];

/// Set until a person accepts the new database.
const NEW_BESIDE: &str = "new_beside";
/// When a person accepted the database as a new one.
const NEW_ACCEPTED_AT: &str = "new_accepted_at";

/// A new database beside the side files of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewBeside {
    /// The names of those files.
    pub files: Vec<String>,
}

impl fmt::Display for NewBeside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this database is new and knows no earlier call; an earlier one left {} here. Put the \
             earlier one back, or accept this one, which may call everybody again, with `ringonce \
             customers import FILE --new --reason WHY` or `ringonce adopt --reason WHY`",
            self.files.join(", ")
        )
    }
}

/// Refuses to create a database where the WAL of a lost one lies: SQLite would replay it into the
/// new file, or delete it.
pub fn refuse_a_stray_log(path: &Path) -> Result<(), StoreError> {
    let has_content = std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
    if !has_content && side_files::has_log(path) {
        Err(StoreError::StrayLog(path.to_path_buf()))
    } else {
        Ok(())
    }
}

/// The names of the side files that lie beside the path of a database, also if the database does
/// not exist.
pub fn left(path: &Path) -> Vec<String> {
    SIDE_FILES
        .iter()
        .map(|ending| side_files::beside(path, ending))
        .filter(|side| side.symlink_metadata().is_ok())
        .filter_map(|side| Some(side.file_name()?.to_string_lossy().into_owned()))
        .collect()
}

/// Notes, at the creation of a database, the side files that an earlier one left here.
pub fn note(tx: &Transaction<'_>, path: &Path) -> anyhow::Result<()> {
    let left = if path == Path::new(":memory:") { Vec::new() } else { left(path) };
    if left.is_empty() {
        return Ok(());
    }
    meta::set(tx, NEW_BESIDE, &serde_json::to_string(&NewBeside { files: left })?)
}

/// Why this database does not dial; `None`: no side files lay here, or a person accepted it.
pub fn not_accepted(conn: &Connection) -> anyhow::Result<Option<NewBeside>> {
    Ok(meta::get(conn, NEW_BESIDE)?.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// When a person accepted this database as a new one, although other records hold earlier calls.
pub fn accepted_at(conn: &Connection) -> anyhow::Result<Option<Instant>> {
    Ok(meta::get(conn, NEW_ACCEPTED_AT)?.and_then(|text| parse_instant(&text)))
}

/// Accepts this database for a person; returns the side files that were noted.
pub fn accept(tx: &Transaction<'_>, now: Instant) -> anyhow::Result<Option<NewBeside>> {
    let beside = not_accepted(tx)?;
    meta::remove(tx, NEW_BESIDE)?;
    meta::set(tx, NEW_ACCEPTED_AT, &instant_text(now))?;
    Ok(beside)
}
