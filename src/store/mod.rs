//! All SQL. Nothing outside this folder names a table.
//!
//! One connection writes, behind a mutex; a small pool reads. Every write is one `BEGIN
//! IMMEDIATE` with a checked commit at `synchronous=FULL`: what `write` returned `Ok` for is on
//! the disk. A commit that returned an error may still be there; callers treat it so.

pub mod attempts;
pub mod audit;
pub mod backup;
mod connect;
mod content;
pub mod copy;
pub mod customer_rows;
pub mod customer_search;
pub mod customers;
pub mod dedupe;
pub mod do_not_call;
pub mod doubts;
pub mod elsewhere;
pub mod enqueue;
pub mod erase;
mod error;
pub mod events;
pub mod facts;
pub mod files;
pub mod flags;
pub mod given;
pub mod holidays;
pub mod journal;
pub mod left_numbers;
pub mod meta;
pub mod migrations;
pub mod moves;
pub mod places;
pub mod pool;
pub mod queue;
pub mod queue_import;
pub mod results;
pub mod rows;
pub mod second;
pub mod snapshot;
pub mod stale;
pub mod tally;
pub mod traces;
mod transaction;
pub mod verify;
pub mod views;
pub mod web_views;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};

use anyhow::Context;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, Transaction};

pub use error::{StoreError, UncertainCommit, io_kind, is_denied, is_gone, is_uncertain_commit};
pub use rusqlite::{Connection as Conn, Transaction as Tx};
pub use transaction::part;

use crate::domain::Instant;
use crate::store::content::Content;
use crate::store::error::explain;
use crate::store::files::{DialerLock, LockAnswer, LockedFiles, OpenFiles};
use crate::store::transaction::begin;

/// The database file, opened.
pub struct Store {
    path: PathBuf,
    /// The files that were opened for writing; another one at the path later is not ours.
    opened: Option<(OpenFiles, Content)>,
    /// What was locked when this process got the right to dial last.
    locked: Mutex<Option<LockedFiles>>,
    /// A second name of the file was reported.
    warned_of_names: AtomicBool,
    /// The highest number of the ledger that this process has seen.
    highest_seq: AtomicI64,
    /// A log lay beside the file when it was opened: somebody has it open, or died.
    found_a_log: bool,
    /// This store, which only looks, made the index of a log that lay there without one.
    index_is_ours: bool,
    /// `None` for a store in memory: its one connection reads too. Dropped before the writer, the
    /// only one that may empty the log when it closes.
    readers: Option<r2d2::Pool<SqliteConnectionManager>>,
    writer: Mutex<Connection>,
}

impl Store {
    /// Opens for writing; creates, migrates and arms a new file, which is then mode 0600. Refuses a
    /// file with a second name, and makes one private that others may read.
    ///
    /// An existing file without the unique indexes is cleaned first: see `dedupe`.
    pub fn open(path: &Path, now: Instant) -> anyhow::Result<Store> {
        check_sqlite_version()?;
        check_no_folder(path)?;
        traces::refuse_a_stray_log(path)?;
        if let Some(made) = files::create_private(path)? {
            files::give_to_owner_of(files::folder_of(path), &made)?;
        }
        if let Some(why) = files::one_name::refusal(path) {
            return Err(why.into());
        }
        let found_a_log = files::has_log(path);
        let mut conn = connect::writer(path, found_a_log).map_err(|e| explain(e, path))?;
        migrations::migrate(&mut conn, path, now).map_err(|e| explain(e, path))?;
        files::modes::tighten_and_warn(path);
        let opened = OpenFiles::of(path);
        let readers = Some(connect::readers(path, &opened));
        let opened = Some((opened, Content::of(&conn, path)));
        let mut store = Store::at(path, conn);
        (store.opened, store.found_a_log, store.readers) = (opened, found_a_log, readers);
        Ok(store)
    }

    /// Opens an existing file to look at it, also where nobody may write. Changes nothing.
    pub fn look(path: &Path) -> anyhow::Result<Store> {
        check_sqlite_version()?;
        traces::refuse_a_stray_log(path)?;
        if !path.exists() {
            return Err(StoreError::Missing(path.to_path_buf()).into());
        }
        check_no_folder(path)?;
        let looking = connect::open_to_look(path)?;
        let mut store = Store::at(path, looking.conn);
        store.index_is_ours = looking.index_is_ours;
        store.read(|conn| migrations::ready_to_read(conn, path)).map_err(|e| explain(e, path))?;
        Ok(store)
    }

    /// A store in memory: the same schema and statements, for simulation.
    pub fn in_memory(now: Instant) -> anyhow::Result<Store> {
        let mut conn = Connection::open_in_memory()?;
        connect::configure_common(&conn)?;
        migrations::migrate(&mut conn, Path::new(":memory:"), now)?;
        Ok(Store::over(conn))
    }

    /// A store in memory over an existing connection: a restored copy in a simulation.
    pub fn over(conn: Connection) -> Store {
        Store::at(Path::new(":memory:"), conn)
    }

    fn at(path: &Path, conn: Connection) -> Store {
        Store {
            path: path.to_path_buf(),
            opened: None,
            locked: Mutex::new(None),
            warned_of_names: AtomicBool::new(false),
            index_is_ours: false,
            highest_seq: AtomicI64::new(0),
            found_a_log: false,
            readers: None,
            writer: Mutex::new(conn),
        }
    }

    /// Where the database file is, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the right to dial from this file, or says who has it.
    pub fn lock_for_dialing(&self, now: Instant) -> anyhow::Result<LockAnswer> {
        let answer = DialerLock::take(&self.path, now)?;
        if let LockAnswer::Mine(lock) = &answer {
            *self.locked() = Some(lock.files());
        }
        Ok(answer)
    }

    fn locked(&self) -> MutexGuard<'_, Option<LockedFiles>> {
        self.locked.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Why what lies at the path is no longer what was opened: commits go on silently in a file that
    /// was moved, and in one that somebody has written to. `None` also for a store that is in memory,
    /// or only looked at.
    pub fn swapped(&self) -> Option<StoreError> {
        let (files, content) = self.opened.as_ref()?;
        if let Some(what) = files.changed(&self.path) {
            return Some(StoreError::Swapped { what, path: self.path.clone() });
        }
        if let Some(what) = self.locked().and_then(|locked| locked.changed(&self.path)) {
            return Some(StoreError::Swapped { what, path: self.path.clone() });
        }
        self.warn_of_a_second_name();
        let conn = self.lock_writer();
        if content.is_overwritten(&conn, &self.path) {
            return Some(StoreError::Overwritten(self.path.clone()));
        }
        drop(conn);
        // Before the reading: another thread may see a later number meanwhile.
        let seen = self.highest_seq.load(Ordering::Acquire);
        // A reader keeps no pages from before a checkpoint; one may have covered an overwriting.
        // A file that cannot be read is told by whoever reads it next.
        let numbers = self.read(verify::numbers).ok()?;
        if numbers.are_lost() {
            return Some(StoreError::Overwritten(self.path.clone()));
        }
        self.has_given(numbers.given);
        (numbers.given < seen).then(|| StoreError::SetBack(self.path.clone()))
    }

    /// A name that was made while this process has the file open needs no stop: the lock on the inode
    /// keeps a second dialer out. The next start is refused, so a person is told before it.
    fn warn_of_a_second_name(&self) {
        if files::one_name::other_names(&self.path) > 0
            && !self.warned_of_names.swap(true, Ordering::Relaxed)
        {
            log::warn!(
                "{} was given a second name (a hard link): remove that name, or the next start is \
                 refused",
                self.path.display()
            );
        }
    }

    /// As `swapped`, inside a transaction: an error where it would give a number once more.
    pub fn check_not_set_back(&self, tx: &Transaction<'_>) -> anyhow::Result<()> {
        let is_older = meta::highest_seq(tx)? < self.highest_seq.load(Ordering::Acquire);
        if is_older { Err(StoreError::SetBack(self.path.clone()).into()) } else { Ok(()) }
    }

    /// Notes a number that was given and committed.
    pub fn has_given(&self, seq: i64) {
        self.highest_seq.fetch_max(seq, Ordering::AcqRel);
    }

    /// Looks at the file's content before and after a commit, so that no checkpoint of ours covers
    /// what somebody else wrote.
    fn look_at_content(&self, conn: &Connection) {
        if let Some((_, content)) = &self.opened {
            content.is_overwritten(conn, &self.path);
        }
    }

    /// Checks the whole database when a log was found beside it. SQLite takes any whole log for the
    /// file's own, so a restored file beside the log of another one opens without an error. Until
    /// this found nothing the log is left as it is, so that taking it away mends the file.
    pub fn check_after_crash(&self) -> anyhow::Result<()> {
        if self.found_a_log {
            self.check()?;
            connect::keep_log(&self.lock_writer(), false)?;
        }
        let damaged = |what| StoreError::Damaged { path: self.path.clone(), what };
        self.read(verify::lost_numbers)?.map_or(Ok(()), |what| Err(damaged(what).into()))
    }

    /// Reads the whole database, and fails when it is damaged.
    pub fn check(&self) -> anyhow::Result<()> {
        let damaged = |what| StoreError::Damaged { path: self.path.clone(), what };
        self.read(verify::problem)?.map_or(Ok(()), |what| Err(damaged(what).into()))
    }

    /// Reads. The closure's connection refuses to write.
    pub fn read<T>(&self, f: impl FnOnce(&Connection) -> anyhow::Result<T>) -> anyhow::Result<T> {
        match &self.readers {
            None => f(&self.lock_writer()),
            Some(pool) => {
                let conn = pool.get().context("open a reading connection")?;
                f(&conn)
            }
        }
    }

    /// Writes in one `BEGIN IMMEDIATE`, committed on `Ok` and rolled back on `Err`.
    ///
    /// `Ok` means durable. An error of the commit itself means "may be there": see
    /// [`is_uncertain_commit`].
    pub fn write<T>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let conn = self.lock_writer();
        self.look_at_content(&conn);
        let tx = begin(&conn, &self.path)?;
        let value = f(&tx)?;
        tx.commit().map_err(UncertainCommit)?;
        self.look_at_content(&conn);
        Ok(value)
    }

    /// The writing connection, for backup and checkpoints; no transaction is open on it.
    pub(crate) fn with_writer<T>(
        &self,
        f: impl FnOnce(&mut Connection) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        f(&mut self.lock_writer())
    }

    fn lock_writer(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a closure rolled its transaction back, so the connection is sound.
        let guard = self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        debug_assert!(guard.is_autocommit(), "a transaction was left open");
        guard
    }
}

impl Drop for Store {
    /// Leaves an empty log when another database lies at the path now: SQLite empties none on
    /// closing a file that was moved, and the next process would read ours into that database.
    fn drop(&mut self) {
        if self.index_is_ours {
            connect::remove_index(&self.lock_writer(), &self.path);
        }
        let moved = self.opened.as_ref().is_some_and(|(files, content)| {
            files.changed(&self.path).is_some() && !content.was_overwritten()
        });
        if moved {
            let emptied: rusqlite::Result<bool> =
                self.lock_writer()
                    .query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |busy| busy.get(0));
            if let Err(error) = emptied {
                log::error!("the log of {} could not be emptied: {error}", self.path.display());
            }
        }
    }
}

/// SQLite would speak of an I/O error.
fn check_no_folder(path: &Path) -> Result<(), StoreError> {
    match path.is_dir() {
        true => Err(StoreError::NotOurs(path.to_path_buf())),
        false => Ok(()),
    }
}

/// 3.7.0 to 3.51.2 can corrupt a file in WAL mode.
fn check_sqlite_version() -> Result<(), StoreError> {
    if rusqlite::version_number() < 3_051_003 {
        return Err(StoreError::OldSqlite(rusqlite::version().to_string()));
    }
    Ok(())
}
