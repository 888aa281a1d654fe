//! Detects that a program other than SQLite wrote into the database file: `cp` and `cat >` keep the
//! inode and change the content.
//!
//! While a connection of ours is open, only checkpoints, of any process, change the file. A
//! checkpoint copies pages of the WAL into it. So a change without checkpoint progress was not made
//! by SQLite. The file's times and size show a change; the WAL shows the progress.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::Connection;

use crate::clock;
use crate::store::file::{connections, side_files};

/// How long after the file's last change another process's checkpoint may take to end. Nothing is
/// dialed during the wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// The known state of the content of the open file.
pub struct Content(Mutex<KnownContent>);

struct KnownContent {
    stamp: Option<Stamp>,
    progress: Option<Progress>,
    overwritten: bool,
}

/// Differs after each write that is at least a clock tick later.
#[derive(Clone, Copy, PartialEq)]
struct Stamp {
    inode: u64,
    size: u64,
    /// When the content last changed: seconds, nanoseconds.
    changed: (i64, i64),
}

/// The progress of checkpoints: the WAL, identified by its number and salts, and how many of its
/// pages are in the file.
#[derive(Clone, PartialEq)]
struct Progress {
    log: Option<[u8; 12]>,
    carried: i64,
}

impl Content {
    /// The content of the file that `conn` has just opened.
    pub fn of(conn: &Connection, path: &Path) -> Content {
        let progress = Progress::of(conn, path);
        Content(Mutex::new(KnownContent { stamp: Stamp::of(path), progress, overwritten: false }))
    }

    /// Whether the file was overwritten since it was opened. `conn` is the writing connection,
    /// outside a transaction: while the caller holds it, no checkpoint of ours runs.
    ///
    /// After an overwrite, no further checkpoint writes into the file: it belongs to the program
    /// that wrote it.
    pub fn is_overwritten(&self, conn: &Connection, path: &Path) -> bool {
        let mut known = self.lock();
        if !known.overwritten && !known.explains(conn, path) {
            known.overwritten = true;
            let kept = connections::keep_log(conn, true)
                .and_then(|()| conn.pragma_update(None, "wal_autocheckpoint", 0));
            if let Err(error) = kept {
                log::error!("the WAL of {} cannot be kept separate: {error}", path.display());
            }
        }
        known.overwritten
    }

    /// Whether an earlier check found an overwrite.
    pub fn was_overwritten(&self) -> bool {
        self.lock().overwritten
    }

    fn lock(&self) -> MutexGuard<'_, KnownContent> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl KnownContent {
    /// Whether the file is unchanged, or was changed by a checkpoint.
    fn explains(&mut self, conn: &Connection, path: &Path) -> bool {
        let progress = Progress::of(conn, path);
        let mut stamp = Stamp::of(path);
        if stamp == self.stamp {
            self.progress = progress;
            return true;
        }
        // A different file lies at the path, or none: this is not a write into our file.
        if stamp.map(|stamp| stamp.inode) != self.stamp.map(|stamp| stamp.inode) {
            return true;
        }
        let mut changed_at = clock::elapsed();
        while clock::elapsed().saturating_sub(changed_at) <= PATIENCE {
            let progress = Progress::of(conn, path);
            // A checkpoint publishes its progress after all its pages are written.
            let after = Stamp::of(path);
            if progress.is_some() && progress != self.progress {
                (self.stamp, self.progress) = (after, progress);
                return true;
            }
            if after != stamp {
                (stamp, changed_at) = (after, clock::elapsed());
            }
            clock::pause(Duration::from_millis(10));
        }
        false
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let stat = std::fs::metadata(path).ok()?;
        let changed = (stat.mtime(), stat.mtime_nsec());
        Some(Stamp { inode: stat.ino(), size: stat.len(), changed })
    }
}

impl Progress {
    /// The current progress; `None`: it cannot be read now.
    fn of(conn: &Connection, path: &Path) -> Option<Progress> {
        let carried = conn
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")
            .and_then(|mut asked| asked.query_one([], |row| row.get(2)))
            .ok()?;
        // SQLite holds no locks on the WAL itself, so opening and closing it here drops none.
        let mut header = [0; 24];
        let read = File::open(side_files::beside(path, "-wal")).and_then(|mut log| {
            let is_empty = log.metadata()?.len() == 0;
            if is_empty { Ok(None) } else { log.read_exact(&mut header).map(Some) }
        });
        let mut log = [0; 12];
        log.copy_from_slice(&header[12..]);
        Some(Progress { log: read.ok()?.map(|()| log), carried })
    }
}
