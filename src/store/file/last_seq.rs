//! The highest sequence number of a call, kept beside the database. A restored backup keeps path
//! and inode. While the provider's list lags, only this note shows that calls were made since the
//! backup.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rusqlite::Connection;

use crate::domain::start::Missed;
use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::error::{io_kind, of_side_file};
use crate::store::file::{identity, side_files};
use crate::store::meta::{installation, sequence};

const SIDE_FILE: &str = ".seq";
/// Length in bytes of the installation id at the beginning of the note.
const ID_BYTES: usize = 36;

/// The last sequence number that a database here assigned, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Given {
    pub seq: i64,
    pub at: Instant,
}

/// Notes a sequence number, after the commit of its intent and before its POST. The note is not
/// synced. The system's page cache outlives the process, and a sync for each call would cost as
/// much as its intent. Does nothing for a store in memory.
pub fn note(path: &Path, installation_id: &str, given: Given) -> anyhow::Result<()> {
    if path == Path::new(":memory:") {
        return Ok(());
    }
    let side = side_files::beside(path, SIDE_FILE);
    // The length is fixed, so that each line overwrites the previous one.
    let line = format!("{installation_id:<36}\t{:>19}\t{}\n", given.seq, instant_text(given.at));
    set_aside(path, installation_id)?;
    let noted = || -> anyhow::Result<()> {
        let file = side_files::open_beside(path, SIDE_FILE, OpenOptions::new().write(true))?;
        file.write_all_at(line.as_bytes(), 0)?;
        // Our own note from an earlier time here: the new note replaces it.
        match std::fs::remove_file(side_files::beside(path, &aside(installation_id))) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    };
    let written = noted().with_context(|| format!("write {}", side.display()));
    written.map_err(|error| of_side_file(error, path))
}

/// Keeps the note of another installation under its id, because its database may be restored here.
/// Our note therefore never replaces it. Returns the file that now holds it; `None`: there was no
/// number to keep.
pub fn set_aside(path: &Path, installation_id: &str) -> anyhow::Result<Option<PathBuf>> {
    let side = side_files::beside(path, SIDE_FILE);
    let Some(other) = whose(&side)?.filter(|other| other != installation_id) else {
        return Ok(None);
    };
    let kept = side_files::beside(path, &aside(&other));
    let moved = || -> anyhow::Result<()> {
        let known = read(&kept, &other)?.map_or(0, |given| given.seq);
        if read(&side, &other)?.is_some_and(|given| known < given.seq) {
            Ok(std::fs::rename(&side, &kept)?)
        } else {
            Ok(std::fs::remove_file(&side)?)
        }
    };
    moved().with_context(|| format!("move {} to {}", side.display(), kept.display()))?;
    Ok(kept.exists().then_some(kept))
}

/// The ending `.seq.<installation>` of the kept note of an installation that another one has
/// followed.
fn aside(installation_id: &str) -> String {
    format!("{SIDE_FILE}.{installation_id}")
}

/// The installation whose note a file holds; `None`: the file is missing or empty. Reads only the
/// id, because every call asks.
fn whose(side: &Path) -> anyhow::Result<Option<String>> {
    let mut id = [0; ID_BYTES];
    let read = std::fs::File::open(side).and_then(|file| file.read_at(&mut id, 0));
    match read {
        Ok(0) => Ok(None),
        Ok(length) => match std::str::from_utf8(&id[..length]) {
            Ok(id) if is_plain(id.trim_end()) => Ok(Some(id.trim_end().to_string())),
            _ => Err(damaged(side)),
        },
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("read {}", side.display())),
    }
}

/// Whether an id is safe as a part of a file name.
fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The note for this installation; `None`: the path has no note, or only one of another database
/// that lay here.
pub fn noted(path: &Path, installation_id: &str) -> anyhow::Result<Option<Given>> {
    if path == Path::new(":memory:") {
        return Ok(None);
    }
    let last = read(&side_files::beside(path, SIDE_FILE), installation_id)?;
    let earlier = read(&side_files::beside(path, &aside(installation_id)), installation_id)?;
    Ok(last.into_iter().chain(earlier).max_by_key(|given| given.seq))
}

/// The note of this installation in a file.
fn read(side: &Path, installation_id: &str) -> anyhow::Result<Option<Given>> {
    let text = match std::fs::read_to_string(side) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("read {}", side.display())),
    };
    if text.is_empty() {
        return Ok(None);
    }
    let mut cells = text.trim_end().split('\t');
    let whose = cells.next().unwrap_or_default().trim_end();
    let seq = cells.next().and_then(|seq| seq.trim_start().parse().ok());
    let at = cells.next().and_then(parse_instant);
    let given = seq.zip(at).map(|(seq, at)| Given { seq, at });
    let given = given.ok_or_else(|| damaged(side))?;
    Ok((whose == installation_id).then_some(given))
}

fn damaged(side: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{} is damaged: remove it when no older database was put here; else wait until 15 minutes \
         after the last call, remove it, then run `ringonce adopt --reason WHY`",
        side.display()
    )
}

/// The higher of two notes: beside the database, and at the place on this machine where it was
/// armed. A copy at another place has no note of its own yet.
fn last(conn: &Connection, path: &Path, installation_id: &str) -> anyhow::Result<Option<Given>> {
    if path == Path::new(":memory:") {
        return Ok(None);
    }
    let here = noted(path, installation_id)?;
    let armed =
        installation::armed_identity(conn)?.filter(|at| at.machine_id == identity::machine_id());
    let there = match armed.map(|at| noted(Path::new(&at.path), installation_id)) {
        None => None,
        // In this case the file there cannot be disarmed either, which is reported.
        Some(Err(error)) if io_kind(&error) == Some(ErrorKind::PermissionDenied) => None,
        Some(noted) => noted?,
    };
    Ok(here.into_iter().chain(there).max_by_key(|given| given.seq))
}

/// The number that was assigned here, if it is higher than every number that the database knows.
pub fn beyond(
    conn: &Connection,
    path: &Path,
    installation_id: &str,
) -> anyhow::Result<Option<Missed>> {
    let Some(given) = last(conn, path, installation_id)? else { return Ok(None) };
    let known = sequence::highest_seq(conn)?;
    Ok((known < given.seq).then_some(Missed { given: given.seq, given_at: given.at, known }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(seq: i64) -> Given {
        Given { seq, at: parse_instant("2026-02-02T12:00:00Z").unwrap() }
    }

    #[test]
    fn a_number_is_known_to_its_installation_alone_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "").unwrap();
        let ours = uuid::Uuid::new_v4().to_string();
        assert_eq!(noted(&path, &ours).unwrap(), None);
        for seq in [100_000, 7] {
            note(&path, &ours, given(seq)).unwrap();
            assert_eq!(noted(&path, &ours).unwrap(), Some(given(seq)));
        }
        assert_eq!(noted(&path, &uuid::Uuid::new_v4().to_string()).unwrap(), None);
    }

    #[test]
    fn the_number_of_another_installation_is_kept_under_its_id_until_that_one_notes_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "").unwrap();
        let [first, second] = [(); 2].map(|()| uuid::Uuid::new_v4().to_string());
        note(&path, &first, given(40)).unwrap();
        note(&path, &second, given(1)).unwrap();
        assert_eq!(noted(&path, &second).unwrap(), Some(given(1)));
        assert_eq!(noted(&path, &first).unwrap(), Some(given(40)), "its database may come back");
        // An older note of the same installation does not replace the higher number.
        let line = format!("{first:<36}\t{:>19}\t2026-02-02T12:00:00.000Z\n", 7);
        std::fs::write(folder.path().join("a.db.seq"), line).unwrap();
        set_aside(&path, &second).unwrap();
        assert_eq!(noted(&path, &first).unwrap(), Some(given(40)));
        // A database that has never called leaves no number to keep.
        note(&path, &second, given(0)).unwrap();
        assert_eq!(set_aside(&path, &first).unwrap(), None);
        // The first database is back, and a person accepted the lower number.
        note(&path, &first, given(30)).unwrap();
        assert_eq!(noted(&path, &first).unwrap(), Some(given(30)));
    }

    #[test]
    fn a_note_that_cannot_be_read_is_an_error_and_an_empty_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(folder.path().join("a.db.seq"), "").unwrap();
        assert_eq!(noted(&path, "ours").unwrap(), None);
        std::fs::write(folder.path().join("a.db.seq"), "ours\tmany\tsoon\n").unwrap();
        let error = noted(&path, "ours").unwrap_err().to_string();
        assert!(
            error.contains("a.db.seq is damaged") && error.contains("ringonce adopt"),
            "{error}"
        );
    }
}
