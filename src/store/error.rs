//! Why a database cannot be used, and what SQLite's own errors mean here.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use crate::store::file::rights::{self, Denied};
use crate::store::file::side_files::folder_of;

/// Why a database cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no database at {0}; `ringonce customers import FILE` creates one")]
    Missing(PathBuf),
    #[error(
        "{0} is missing or empty, but its write-ahead log {0}-wal exists and may hold calls. Put \
         the database back beside it, or move {0}-wal and {0}-shm to another folder, then run the \
         command again"
    )]
    StrayLog(PathBuf),
    #[error("{0} is not a ringonce database; name another file with --db")]
    NotOurs(PathBuf),
    #[error(
        "{path} was written by a newer ringonce (schema {found}, this one knows {known}); \
         upgrade ringonce"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "{0} cannot be opened: it and its folder must belong to the user that runs ringonce; \
         change their owner"
    )]
    NotOpened(PathBuf),
    #[error(
        "{path} cannot be written, because its disk is full, over its quota or failing. Make room \
         there (`df -h {folder}`); `run` then continues by itself, and any other command can be run \
         again"
    )]
    NoRoom { path: PathBuf, folder: PathBuf },
    #[error(
        "{0} cannot be read or written, because its disk is failing. See `dmesg`, and restore a \
         backup on another disk"
    )]
    BrokenDisk(PathBuf),
    #[error("{0}, then run the command again")]
    NotWritable(Denied),
    #[error("{0} is locked by another process; it was left unchanged; try again")]
    Busy(PathBuf),
    #[error(
        "{what} was removed or replaced while it was open: see which file lies at {path} now, then \
         start ringonce again"
    )]
    Swapped { what: &'static str, path: PathBuf },
    #[error(
        "{0} was overwritten while it was open: its -wal and -shm belong to the previous database; \
         move both away, put the right database at that path, then run \
         `ringonce adopt --reason WHY`"
    )]
    Overwritten(PathBuf),
    #[error(
        "an older database was restored into {0} while it was open; run \
         `ringonce adopt --reason WHY`, then start ringonce again"
    )]
    SetBack(PathBuf),
    #[error(
        "{path} is damaged ({what}), for example by a backup beside the -wal file of another \
         database; put a backup in its place with `ringonce restore BACKUP`, then run \
         `ringonce adopt --reason WHY`"
    )]
    Damaged { path: PathBuf, what: String },
    #[error(
        "{path} has {names} names (hard links), and each would have a write-ahead log and a \
         dialer of its own; find them with `find / -samefile {path}`, remove all but one, then run \
         the command again"
    )]
    HardLinks { path: PathBuf, names: u64 },
    #[error(
        "{0} was mounted as a single file, so its write-ahead log and its lock would be outside \
         the mount; mount its folder instead, then run the command again"
    )]
    MountedAlone(PathBuf),
    #[error(
        "SQLite {0} is older than 3.51.3 and can corrupt a database in WAL mode; \
         build ringonce with its bundled SQLite"
    )]
    OldSqlite(String),
}

/// A commit that returned an error. The rows may exist, so no caller may assume that they do not.
#[derive(Debug, thiserror::Error)]
#[error("it is not known whether a change was stored: {cause}")]
pub struct UncertainCommit {
    cause: String,
    is_no_room: bool,
}

impl UncertainCommit {
    pub(super) fn new(error: rusqlite::Error, path: &Path) -> UncertainCommit {
        let error = translate(error.into(), path);
        UncertainCommit { is_no_room: is_no_room(&error), cause: format!("{error:#}") }
    }
}

/// Whether something could not be written because its disk has no room. This passes by itself.
pub fn is_no_room(error: &anyhow::Error) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.downcast_ref(), Some(StoreError::NoRoom { .. }))
        || error.downcast_ref::<UncertainCommit>().is_some_and(|commit| commit.is_no_room)
        || matches!(io_kind(error), Some(FileTooLarge | QuotaExceeded | StorageFull))
}

/// Replaces SQLite's own text about a disk or a right by the file, the cause and the next step. Any
/// other error stays.
pub(super) fn translate(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let Some(cause) = error.downcast_ref::<rusqlite::Error>() else { return error };
    let extended = cause.sqlite_error().map_or(0, |code| code.extended_code);
    let place = || path.to_path_buf();
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => no_room(path).into(),
        Some(ErrorCode::SystemIoFailure) if WRITE_ERRORS.contains(&extended) => {
            no_room(path).into()
        }
        Some(ErrorCode::SystemIoFailure) => StoreError::BrokenDisk(place()).into(),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => not_writable(error, path),
        _ => error,
    }
}

/// What SQLite reports when a file may not grow.
const WRITE_ERRORS: [i32; 3] =
    [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_TRUNCATE, ffi::SQLITE_IOERR_SHMSIZE];

fn no_room(path: &Path) -> StoreError {
    StoreError::NoRoom { path: path.to_path_buf(), folder: folder_of(path).to_path_buf() }
}

/// Names the file that this user may not write, if there is one: `path` is the database.
pub(super) fn not_writable(error: anyhow::Error, path: &Path) -> anyhow::Error {
    match rights::denied(path).into_iter().next() {
        Some(denied) => StoreError::NotWritable(denied).into(),
        None => error,
    }
}

/// The same for an error about one of the files beside the database.
pub(super) fn of_side_file(error: anyhow::Error, path: &Path) -> anyhow::Error {
    match io_kind(&error) {
        Some(ErrorKind::PermissionDenied) => not_writable(error, path),
        _ => error,
    }
}

/// Whether an error of `write` came from the commit itself.
pub fn is_uncertain_commit(error: &anyhow::Error) -> bool {
    error.downcast_ref::<UncertainCommit>().is_some()
}

/// Whether a file could not be read because it surely does not exist.
pub fn is_gone(error: &anyhow::Error) -> bool {
    io_kind(error)
        .is_some_and(|kind| matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// The kind of the I/O error anywhere in the chain.
pub fn io_kind(error: &anyhow::Error) -> Option<ErrorKind> {
    error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(|e| e.kind())
}

/// Whether this user lacks a permission that another user may have.
pub fn is_denied(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied))
        || matches!(
            error.downcast_ref(),
            Some(StoreError::NotOpened(_) | StoreError::NotWritable(_))
        )
        || io_kind(error) == Some(ErrorKind::PermissionDenied)
}

/// Turns an error of SQLite into one that a person can act on.
pub(super) fn explain(error: impl Into<anyhow::Error>, path: &Path) -> anyhow::Error {
    let error = error.into();
    match error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code) {
        Some(ErrorCode::NotADatabase) => StoreError::NotOurs(path.to_path_buf()).into(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Busy(path.to_path_buf()).into()
        }
        Some(ErrorCode::CannotOpen) => {
            not_writable(StoreError::NotOpened(path.to_path_buf()).into(), path)
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged { path: path.to_path_buf(), what: error.to_string() }.into()
        }
        _ => match translate(error, path) {
            known if known.is::<StoreError>() => known,
            error => error.context(format!("open the database {}", path.display())),
        },
    }
}
