//! Whether somebody else than SQLite wrote into the database file: `cp` and `cat >` keep the inode
//! and change the content.
//!
//! While a connection of ours is open, the file changes only when a checkpoint carries pages of the
//! log into it, whoever makes that. So a change without the progress of a checkpoint is no work of
//! SQLite. The times and the size of the file tell of a change, the log of the progress.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::Connection;

use crate::clock;
use crate::store::{connect, files};

/// How long a change may wait for the end of the checkpoint of another process, since the file
/// changed last. Nothing is dialed meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of the content of the open file.
pub struct Content(Mutex<Known>);

struct Known {
    stamp: Option<Stamp>,
    progress: Option<Progress>,
    overwritten: bool,
}

/// Differs after every write that is a clock tick apart.
#[derive(Clone, Copy, PartialEq)]
struct Stamp {
    inode: u64,
    size: u64,
    /// When the content changed last: seconds, nanoseconds.
    changed: (i64, i64),
}

/// How far checkpoints have come: which log it is, by its number and salts, and how many of its
/// pages are in the file.
#[derive(Clone, PartialEq)]
struct Progress {
    log: Option<[u8; 12]>,
    carried: i64,
}

impl Content {
    /// Of the file that `conn` has just opened.
    pub fn of(conn: &Connection, path: &Path) -> Content {
        let progress = Progress::of(conn, path);
        Content(Mutex::new(Known { stamp: Stamp::of(path), progress, overwritten: false }))
    }

    /// Whether the file was overwritten since it was opened. `conn` is the writing connection,
    /// outside a transaction: while the caller holds it no checkpoint of ours is under way.
    ///
    /// From then on nothing more is carried into the file: it belongs to whoever put it there.
    pub fn is_overwritten(&self, conn: &Connection, path: &Path) -> bool {
        let mut known = self.lock();
        if !known.overwritten && !known.explains(conn, path) {
            known.overwritten = true;
            let kept = connect::keep_log(conn, true)
                .and_then(|()| conn.pragma_update(None, "wal_autocheckpoint", 0));
            if let Err(error) = kept {
                log::error!("the log of {} cannot be kept apart: {error}", path.display());
            }
        }
        known.overwritten
    }

    /// Whether an earlier look has found it so.
    pub fn was_overwritten(&self) -> bool {
        self.lock().overwritten
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Known {
    /// Whether the file is as it was, or was changed by a checkpoint.
    fn explains(&mut self, conn: &Connection, path: &Path) -> bool {
        let progress = Progress::of(conn, path);
        let mut stamp = Stamp::of(path);
        if stamp == self.stamp {
            self.progress = progress;
            return true;
        }
        // Another file lies there, or none: nothing was written into ours for that.
        if stamp.map(|stamp| stamp.inode) != self.stamp.map(|stamp| stamp.inode) {
            return true;
        }
        let mut changed_at = clock::elapsed();
        while clock::elapsed().saturating_sub(changed_at) <= PATIENCE {
            let progress = Progress::of(conn, path);
            // A checkpoint makes its progress known when all of it is written.
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
    /// `None`: it cannot be read now.
    fn of(conn: &Connection, path: &Path) -> Option<Progress> {
        let carried = conn
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")
            .and_then(|mut asked| asked.query_one([], |row| row.get(2)))
            .ok()?;
        // SQLite holds no locks on the log itself, so it may be opened and closed beside it.
        let mut header = [0; 24];
        let read = File::open(files::beside(path, "-wal")).and_then(|mut log| {
            let is_empty = log.metadata()?.len() == 0;
            if is_empty { Ok(None) } else { log.read_exact(&mut header).map(Some) }
        });
        let mut log = [0; 12];
        log.copy_from_slice(&header[12..]);
        Some(Progress { log: read.ok()?.map(|()| log), carried })
    }
}
