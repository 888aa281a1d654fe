//! Puts a backup in the place of the database. The old files are moved aside and never deleted. A
//! restore that is killed at any point leaves either the old database or the new one at the path.
//!
//! The new file is built, verified and synced in a folder beside the database. One exchange of
//! names then puts it in place and the old one into that folder. Until the exchange the old
//! database stays whole. So its WAL must be empty first: a leftover WAL would be replayed into the
//! new file. If the old file is too damaged for that, it is moved away before the new one comes.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rusqlite::Connection;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::domain::Instant;
use crate::store::Store;
use crate::store::error::{StoreError, explain, of_side_file};
use crate::store::file::backup::{copy, create_whole, sync_folder};
use crate::store::file::lock::PlaceLock;
use crate::store::file::verify::{Verified, problem, verify};
use crate::store::file::{connections, one_name, side_files};
use crate::store::meta::installation;

/// What SQLite keeps beside a database. These files belong to one content of it.
const OF_SQLITE: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Lists that outlive a restore. They are taken from beside the backup if the database has none.
const LISTS: [&str; 2] = [".do-not-call", ".erased"];

/// Why nothing was restored, apart from failing disks.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Person(String),
    #[error("{0}")]
    Locked(String),
}

/// A restore that was done.
#[derive(Debug)]
pub struct Restored {
    pub verified: Verified,
    /// The folder with the old files; `None`: there were none.
    pub old_files: Option<PathBuf>,
    /// The lists that were copied from beside the backup.
    pub copied: Vec<PathBuf>,
    /// Whether commits from a WAL beside the backup are in the new file.
    pub with_log: bool,
}

/// The points of a restore at which a test ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Locked,
    FolderMade,
    Built,
    ListsCopied,
    OldQuiet,
    DamagedMoved,
    SideMoved,
    Placed,
}

/// See the module. `reached` is told each step that was done.
pub fn restore(
    backup: &Path,
    target: &Path,
    now: Instant,
    reached: &mut dyn FnMut(Step),
) -> anyhow::Result<Restored> {
    let target = &resolved(target)?;
    let source = readable_backup(backup, target)?;
    let _lock = match PlaceLock::take(target, now)? {
        Ok(lock) => lock,
        Err(holder) => {
            return Err(Refusal::Locked(format!(
                "{} is in use by a dialer ({holder}); stop it, then run the command again",
                target.display()
            ))
            .into());
        }
    };
    reached(Step::Locked);
    let folder = make_folder(target, now).map_err(|error| of_side_file(error, target))?;
    reached(Step::FolderMade);
    let new = folder.join(file_name(target)?);
    let prepared = build(&source, &new, target).and_then(|verified| {
        reached(Step::Built);
        let copied = copy_lists(backup, target)?;
        reached(Step::ListsCopied);
        Ok((verified, copied, quiet(target)?))
    });
    let (verified, copied, old) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            // The new file has replaced nothing yet. The caller needs the first error.
            let _ = std::fs::remove_file(&new);
            let _ = std::fs::remove_dir(&folder);
            return Err(error);
        }
    };
    reached(Step::OldQuiet);
    let had_old = put_in_place(old, &new, target, reached)
        .with_context(|| format!("no file was deleted; see also {}", folder.display()))?;
    if !had_old {
        // Only an empty folder goes.
        let _ = std::fs::remove_dir(&folder);
    }
    sync_folder(target)?;
    let verified = Verified { path: target.clone(), ..verified };
    let old_files = folder.exists().then_some(folder);
    Ok(Restored { verified, old_files, copied, with_log: side_files::has_log(backup) })
}

/// The path without symbolic links, so that the file itself is moved and not a link to it.
fn resolved(target: &Path) -> anyhow::Result<PathBuf> {
    if target.is_dir() {
        let why = format!("{} is a folder; name a database with --db", target.display());
        return Err(Refusal::Usage(why).into());
    }
    if let Ok(path) = target.canonicalize() {
        if let Some(why) = one_name::refusal(&path) {
            return Err(why.into());
        }
        return Ok(path);
    }
    let folder = side_files::folder_of(target);
    match folder.canonicalize() {
        Ok(folder) => Ok(folder.join(file_name(target)?)),
        Err(_) => Err(Refusal::Usage(format!(
            "there is no folder {}; make it first, then run the command again",
            folder.display()
        ))
        .into()),
    }
}

/// Opens the backup and reads it to its last page.
fn readable_backup(backup: &Path, target: &Path) -> anyhow::Result<Store> {
    let usage = |why: String| anyhow::Error::from(Refusal::Usage(why));
    let shown = backup.display();
    if !backup.is_file() {
        let what = if backup.is_dir() { "a folder" } else { "missing" };
        return Err(usage(format!("{shown} is {what}; name a file that `ringonce backup` made")));
    }
    if backup.canonicalize().ok().as_deref() == Some(target) {
        return Err(usage(format!("{shown} is the database itself; name a backup of it")));
    }
    if let Some(holder) = crate::store::file::lock::lock_holder(backup) {
        return Err(Refusal::Locked(format!(
            "{shown} is in use by a dialer ({holder}); copy it with `ringonce backup --db {shown} \
             NEW.db`, then restore the copy"
        ))
        .into());
    }
    let store = Store::look(backup).map_err(|error| match error.downcast_ref() {
        Some(StoreError::NotOurs(_)) => {
            usage(format!("{shown} is not a ringonce database; name another backup"))
        }
        _ => error,
    })?;
    let found = verify(backup).map_err(|error| Refusal::Person(format!("{error:#}")))?;
    if !found.armed_somewhere {
        return Err(usage(format!(
            "{shown} is a snapshot: its phones and names are redacted, and it can never dial; name \
             a file that `ringonce backup` made"
        )));
    }
    Ok(store)
}

fn file_name(target: &Path) -> anyhow::Result<&std::ffi::OsStr> {
    target.file_name().with_context(|| format!("{} names no file", target.display()))
}

/// A new folder beside the database, for its owner only.
fn make_folder(target: &Path, now: Instant) -> anyhow::Result<PathBuf> {
    let name = now.format(".before-restore-%Y-%m-%dT%H%M%SZ").to_string();
    for number in 1..1000 {
        let again = if number == 1 { String::new() } else { format!("-{number}") };
        let folder = side_files::beside(target, &format!("{name}{again}"));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {
                give_folder(target, &folder)?;
                return Ok(folder);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                let what = format!(
                    "cannot make {}: the folder must belong to the user that runs ringonce",
                    folder.display()
                );
                return Err(error).context(what);
            }
        }
    }
    bail!("too many folders {}{name}-N; remove some of them", target.display())
}

fn give_folder(target: &Path, made: &Path) -> anyhow::Result<()> {
    let made = std::fs::File::open(made).with_context(|| format!("open {}", made.display()))?;
    side_files::give_to_owner_of(side_files::folder_of(target), &made)
}

/// Builds the new file from one read of the backup, its WAL included. It is marked as a copy, so it
/// dials nobody before `adopt`, whichever file it replaces.
fn build(source: &Store, new: &Path, target: &Path) -> anyhow::Result<Verified> {
    let verified = create_whole(new, |part| {
        source.with_writer(|conn| copy(conn, part))?;
        installation::mark_as_copy(&Connection::open(part)?)?;
        give_folder(target, part)
    });
    verified.map_err(|error| crate::store::error::translate(error, target))
}

/// Copies the lists beside the backup to the database, where it has none. They lie beside the
/// backup under its own name, or under the name of the database.
fn copy_lists(backup: &Path, target: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let in_folder = side_files::folder_of(backup).join(file_name(target)?);
    let mut copied = Vec::new();
    for ending in LISTS {
        let to = side_files::beside(target, ending);
        let from = [backup, in_folder.as_path()].map(|path| side_files::beside(path, ending));
        let Some(from) = from.into_iter().find(|from| from.is_file()) else { continue };
        if to.symlink_metadata().is_ok() {
            continue;
        }
        // A killed copy leaves only the part, which the next restore writes again.
        let part = side_files::beside(&to, ".part");
        let bytes = std::fs::read(&from).with_context(|| format!("read {}", from.display()))?;
        let _ = std::fs::remove_file(&part);
        let mut file = side_files::create_private(&part)?
            .with_context(|| format!("{} was made by somebody else", part.display()))?;
        std::io::Write::write_all(&mut file, &bytes)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("write {}", part.display()))?;
        side_files::give_to_owner_of(side_files::folder_of(target), &file)?;
        std::fs::rename(&part, &to).with_context(|| format!("create {}", to.display()))?;
        copied.push(to);
    }
    Ok(copied)
}

/// The database that lies at the path before a restore.
enum Old {
    Missing,
    /// Its WAL is empty, and while this connection is open no other process reads or writes it.
    Quiet(Connection),
    /// SQLite cannot read it.
    Damaged,
}

/// Puts the new file in place. Returns whether there were old files, which are now where the new
/// file was.
fn put_in_place(
    old: Old,
    new: &Path,
    target: &Path,
    reached: &mut dyn FnMut(Step),
) -> anyhow::Result<bool> {
    let moved = |error: std::io::Error| {
        anyhow::Error::from(error).context(format!("replace {}", target.display()))
    };
    let had_old = match old {
        Old::Quiet(conn) => {
            exchange(new, target).map_err(moved)?;
            reached(Step::Placed);
            // Only now may others open the old file, which has another name.
            drop(conn);
            true
        }
        Old::Damaged => {
            let waiting = side_files::beside(new, ".new");
            std::fs::rename(new, &waiting).map_err(moved)?;
            std::fs::rename(target, new).map_err(moved)?;
            reached(Step::DamagedMoved);
            move_files_of_sqlite(target, new, reached)?;
            std::fs::rename(&waiting, target).map_err(moved)?;
            reached(Step::Placed);
            true
        }
        Old::Missing => {
            let had_old = move_files_of_sqlite(target, new, reached)?;
            std::fs::rename(new, target).map_err(moved)?;
            reached(Step::Placed);
            return Ok(had_old);
        }
    };
    // Empty ones; SQLite makes them again.
    move_files_of_sqlite(target, new, &mut |_| {})?;
    sync_folder(new)?;
    Ok(had_old)
}

/// Moves SQLite's files from beside one name to beside another. Returns whether there were any.
fn move_files_of_sqlite(
    from: &Path,
    to: &Path,
    reached: &mut dyn FnMut(Step),
) -> anyhow::Result<bool> {
    let mut any = false;
    for ending in OF_SQLITE {
        let (from, to) = (side_files::beside(from, ending), side_files::beside(to, ending));
        match std::fs::rename(&from, &to) {
            Ok(()) => {
                any = true;
                reached(Step::SideMoved);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(format!("move {} aside", from.display())),
        }
    }
    Ok(any)
}

/// Writes the WAL of the old database into it, and keeps every other process out.
fn quiet(target: &Path) -> anyhow::Result<Old> {
    if target.symlink_metadata().is_err() {
        return Ok(Old::Missing);
    }
    let has_log = side_files::has_log(target);
    match emptied(target, has_log) {
        Ok(Some(conn)) => Ok(Old::Quiet(conn)),
        Ok(None) => Ok(Old::Damaged),
        Err(error) => match explain(error, target).downcast::<StoreError>() {
            Ok(StoreError::Busy(_)) => Err(Refusal::Locked(format!(
                "another process has {} open; stop it, then run the command again",
                target.display()
            ))
            .into()),
            Ok(StoreError::Damaged { .. } | StoreError::NotOurs(_)) => Ok(Old::Damaged),
            Ok(other) => Err(other.into()),
            Err(error) => Err(error),
        },
    }
}

/// `None`: the file, together with its WAL, is not sound.
fn emptied(target: &Path, has_log: bool) -> rusqlite::Result<Option<Connection>> {
    let conn = connections::open_read_write(target)?;
    connections::keep_log(&conn, true)?;
    conn.busy_timeout(connections::BUSY_TIMEOUT)?;
    conn.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0))?;
    // The WAL of another database passes for this one's. It must not be written into this file.
    if has_log && !matches!(problem(&conn), Ok(None)) {
        return Ok(None);
    }
    // Leaving the WAL mode needs the only connection. It writes the WAL into the file and removes it.
    conn.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0))?;
    conn.execute_batch("BEGIN EXCLUSIVE")?;
    if side_files::has_log(target) {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    Ok(Some(conn))
}

/// Exchanges two names in one step. Where the file system cannot, the old file briefly has two
/// names, and the path has a whole database all the time.
fn exchange(new: &Path, target: &Path) -> std::io::Result<()> {
    match renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            let kept = side_files::beside(new, ".old");
            std::fs::hard_link(target, &kept)?;
            std::fs::rename(new, target)?;
            std::fs::rename(&kept, new)
        }
        Err(error) => Err(error.into()),
    }
}
