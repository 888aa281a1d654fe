//! Whole copies of the database while it is in use: one consistent moment, mode 0600, verified
//! before anybody is told that they exist. Never overwrites a file.
//!
//! A copy keeps the installation's identity, but not the place: it dials nowhere until `adopt`.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use crate::domain::{Instant, instant_text};
use crate::store::verify::{Verified, verify};
use crate::store::{Store, files, meta};

/// Copies the database to a new file.
///
/// One statement copies everything under one reading transaction: a stepped copy would never end
/// beside a busy writer. Free pages, and what was erased from them, stay behind.
pub fn backup(store: &Store, target: &Path) -> anyhow::Result<Verified> {
    create_whole(target, |part| {
        store.with_writer(|conn| copy(conn, part))?;
        let conn = Connection::open(part)?;
        // A copy laid over the live file keeps that file's inode, and inodes are given out again:
        // the copy itself says that it is one, so that it never dials before `adopt`.
        meta::mark_as_copy(&conn)
    })
}

/// `VACUUM INTO` an empty file: the file keeps its mode.
pub(super) fn copy(conn: &Connection, part: &Path) -> anyhow::Result<()> {
    let name = part.to_str().context("the path of a copy must be UTF-8")?;
    // The statement writes only the new file, but counts as a write.
    let query_only: i64 = conn.pragma_query_value(None, "query_only", |row| row.get(0))?;
    conn.pragma_update(None, "query_only", 0)?;
    let copied = conn.execute("VACUUM INTO ?1", [name]);
    conn.pragma_update(None, "query_only", query_only)?;
    copied.with_context(|| format!("copy the database to {}", part.display()))?;
    Ok(())
}

/// Makes a new file that is there whole or not at all: `fill` writes a part beside it, which is
/// synced, verified and renamed over a name that was reserved first. The result's path and sum
/// are the target's.
pub(super) fn create_whole(
    target: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<Verified> {
    reserve(target)?;
    let part = files::beside(target, ".part");
    let written = fill_and_verify(&part, fill).and_then(|verified| {
        std::fs::rename(&part, target)
            .with_context(|| format!("rename {} to {}", part.display(), target.display()))?;
        sync_folder(target)?;
        Ok(Verified { path: target.to_path_buf(), ..verified })
    });
    if written.is_err() {
        // Nothing of a copy that failed is left; the error that counts is the first one.
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
            let folder = files::folder_of(target).display();
            bail!("{} cannot be created: make the folder {folder} first", target.display())
        }
        Err(error) => Err(error).with_context(|| format!("create {}", target.display())),
    }
}

fn fill_and_verify(
    part: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<Verified> {
    // Left by a copy that was killed; the name of the target is ours now.
    let _ = std::fs::remove_file(part);
    files::create_private(part)?;
    fill(part)?;
    File::open(part)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("sync {}", part.display()))?;
    verify(part)
}

fn sync_folder(target: &Path) -> anyhow::Result<()> {
    let folder = files::folder_of(target);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("sync the folder {}", folder.display()))
}

/// The name of a backup in a folder that rotates.
pub fn dated_name(now: Instant) -> String {
    now.format("ringonce-%Y-%m-%dT%H%M%SZ.db").to_string()
}

/// Removes all but the newest `keep` backups that [`dated_name`] named, and what a copy that was
/// killed left of itself; returns what went. Other files in the folder are not touched.
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
        // Reserved and not filled: still under way, or, of an earlier date, left by a kill.
        let path = folder.join(name);
        let is_empty = std::fs::metadata(&path).is_ok_and(|meta| meta.len() == 0);
        if is_empty && Some(date_of(name)) < newest_date.as_deref() {
            // What cannot be removed now is tried again the next time.
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_file(files::beside(&path, ".part"));
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

/// Why the backups that `run` makes by itself are not made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    pub why: String,
    pub since: String,
    /// When it is tried again.
    pub again_at: String,
}

/// What keeps backups from being made; `None`: the last one was made.
pub fn trouble(conn: &Connection) -> anyhow::Result<Option<Trouble>> {
    meta::get(conn, "backup_trouble")?.map(|text| Ok(serde_json::from_str(&text)?)).transpose()
}

/// Keeps the first instant of a trouble that goes on.
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
