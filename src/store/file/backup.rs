//! Whole copies of the database while it is in use: one consistent moment, mode 0600, verified
//! before their existence is reported. Never overwrites a file.
//!
//! A copy keeps the installation's identity, but not the place: it does not dial until `adopt`.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use crate::domain::{Instant, instant_text};
use crate::store::Store;
use crate::store::file::side_files;
use crate::store::file::verify::{Verified, verify};
use crate::store::meta::{self, installation};

/// Copies the database to a new file.
///
/// One statement copies everything in one read transaction: a copy in steps would never end beside
/// a busy writer. Free pages, and what was erased from them, are not copied.
pub fn backup(store: &Store, target: &Path) -> anyhow::Result<Verified> {
    create_whole(target, |part| {
        store.with_writer(|conn| copy(conn, part))?;
        let conn = Connection::open(part)?;
        // A copy written over the live file keeps that file's inode, and inodes are reused. So the
        // copy itself records that it is a copy, and never dials before `adopt`.
        installation::mark_as_copy(&conn)
    })
}

/// Runs `VACUUM INTO` on an empty file, which keeps its mode.
pub(crate) fn copy(conn: &Connection, part: &Path) -> anyhow::Result<()> {
    let name = part.to_str().context("the path of a copy must be UTF-8")?;
    // The statement writes only the new file, but `query_only` refuses it as a write.
    let query_only: i64 = conn.pragma_query_value(None, "query_only", |row| row.get(0))?;
    conn.pragma_update(None, "query_only", 0)?;
    let views = drop_views(conn)?;
    let copied = conn.execute("VACUUM INTO ?1", [name]);
    for sql in views {
        conn.execute_batch(&sql.replacen("CREATE VIEW", "CREATE TEMP VIEW", 1))?;
    }
    conn.pragma_update(None, "query_only", query_only)?;
    copied.with_context(|| format!("copy the database to {}", part.display()))?;
    Ok(())
}

/// Drops the temporary views by which an older file is read, and returns their text: `VACUUM INTO`
/// would take them for the tables.
fn drop_views(conn: &Connection) -> anyhow::Result<Vec<String>> {
    let mut read = conn.prepare("SELECT name, sql FROM sqlite_temp_schema WHERE type = 'view'")?;
    let found = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: Vec<(String, String)> = found.collect::<Result<_, _>>()?;
    for (name, _) in &found {
        conn.execute_batch(&format!("DROP VIEW temp.{name}"))?;
    }
    Ok(found.into_iter().map(|(_, sql)| sql).collect())
}

/// Makes a new copy of the database, as [`new_whole_file`] does. `fill` writes a part beside it,
/// which is synced and verified. The result has the target's path and sum.
pub(crate) fn create_whole(
    target: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<Verified> {
    let verified = new_whole_file(target, |part| {
        fill(part)?;
        sync_file(part)?;
        verify(part)
    })?;
    Ok(Verified { path: target.to_path_buf(), ..verified })
}

/// Makes a new file of mode 0600 that exists either whole or not at all. The name is reserved first.
/// `fill` writes a part beside it, which is synced and renamed over that name.
pub(crate) fn new_whole_file<T>(
    target: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    reserve(target)?;
    let part = side_files::beside(target, ".part");
    let written = fill_private(&part, fill).and_then(|made| {
        std::fs::rename(&part, target)
            .with_context(|| format!("rename {} to {}", part.display(), target.display()))?;
        sync_folder(target)?;
        Ok(made)
    });
    if written.is_err() {
        // A failed copy leaves no file behind; the caller needs the first error.
        let _ = std::fs::remove_file(&part);
        let _ = std::fs::remove_file(target);
    }
    written
}

fn reserve(target: &Path) -> anyhow::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(target) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} is there already and was left alone; name a new file", target.display())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = side_files::folder_of(target).display();
            bail!("{} cannot be created: make the folder {folder} first", target.display())
        }
        Err(error) => Err(error).with_context(|| format!("create {}", target.display())),
    }
}

fn fill_private<T>(
    part: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    // A killed copy may have left this file; the reserved name of the target is ours now.
    let _ = std::fs::remove_file(part);
    side_files::create_private(part)?;
    let made = fill(part)?;
    sync_file(part)?;
    Ok(made)
}

fn sync_file(file: &Path) -> anyhow::Result<()> {
    File::open(file)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("sync {}", file.display()))
}

pub(crate) fn sync_folder(target: &Path) -> anyhow::Result<()> {
    let folder = side_files::folder_of(target);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("sync the folder {}", folder.display()))
}

/// The name of a backup in a rotated folder.
pub fn dated_name(now: Instant) -> String {
    now.format("ringonce-%Y-%m-%dT%H%M%SZ.db").to_string()
}

/// Removes all but the newest `keep` backups that [`dated_name`] named, and the leftovers of killed
/// copies. Returns the removed backups. Does not touch other files in the folder.
pub fn rotate(folder: &Path, keep: usize) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("read {}", folder.display()))?.file_name();
        if let Some(name) = name.to_str()
            && is_dated_name(name)
        {
            names.push(name.to_string());
        }
    }
    names.sort();
    let newest_date = names.last().map(|name| date_of(name).to_string());
    names.retain(|name| {
        // Reserved but empty: a copy in progress, or, if of an earlier date, the leftover of a
        // killed copy.
        let path = folder.join(name);
        let is_empty = std::fs::metadata(&path).is_ok_and(|meta| meta.len() == 0);
        if is_empty && Some(date_of(name)) < newest_date.as_deref() {
            // The next rotation retries a failed removal.
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_file(side_files::beside(&path, ".part"));
        }
        !is_empty
    });
    let old = names.len().saturating_sub(keep.max(1));
    let mut removed = Vec::new();
    for name in &names[..old] {
        let path = folder.join(name);
        std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        removed.push(path);
    }
    Ok(removed)
}

/// The date at the beginning of a dated name.
fn date_of(name: &str) -> &str {
    &name[.."ringonce-0000-00-00".len()]
}

fn is_dated_name(name: &str) -> bool {
    let pattern = "ringonce-0000-00-00T000000Z.db";
    name.len() == pattern.len()
        && name.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        })
}

/// Why the automatic backups of `run` are failing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    pub why: String,
    pub since: String,
    /// When the next try is due.
    pub again_at: String,
}

/// Why backups fail; `None`: the last one was made.
pub fn trouble(conn: &Connection) -> anyhow::Result<Option<Trouble>> {
    let unreadable = || Trouble {
        why: "the stored reason cannot be read".to_string(),
        since: String::new(),
        again_at: String::new(),
    };
    let read = |text: String| serde_json::from_str(&text).unwrap_or_else(|_| unreadable());
    Ok(meta::get(conn, "backup_trouble")?.map(read))
}

/// Stores a failure; a failure that continues keeps its first instant.
pub fn set_trouble(
    tx: &Transaction<'_>,
    why: &str,
    now: Instant,
    again_at: Instant,
) -> anyhow::Result<()> {
    let since = trouble(tx)?.map_or_else(|| instant_text(now), |trouble| trouble.since);
    let again_at = instant_text(again_at);
    let trouble = Trouble { why: why.to_string(), since, again_at };
    meta::set(tx, "backup_trouble", &serde_json::to_string(&trouble)?)
}

pub fn forget_trouble(tx: &Transaction<'_>) -> anyhow::Result<()> {
    meta::remove(tx, "backup_trouble").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;

    #[test]
    fn only_names_that_we_gave_are_rotated() {
        let now = parse_instant("2026-11-22T17:01:00Z").unwrap();
        assert_eq!(dated_name(now), "ringonce-2026-11-22T170100Z.db");
        assert!(is_dated_name(&dated_name(now)));
        for other in ["ringonce.db", "ringonce-2026-11-22T17010xZ.db", "notes.txt", ""] {
            assert!(!is_dated_name(other), "{other}");
        }
    }
}
