//! All SQL. Nothing outside this folder names a table.
//!
//! One connection writes, behind a mutex; a small pool reads. Every write is one `BEGIN IMMEDIATE`
//! with a checked commit at `synchronous=FULL`. When `write` returns `Ok`, the change is on the
//! disk. When a commit returns an error, the change may be on the disk too; callers must allow for
//! both.

pub mod attempts;
pub mod cells;
pub mod customers;
pub mod do_not_call;
pub mod error;
pub mod events;
pub mod file;
pub mod holidays;
pub mod journal;
pub mod made_elsewhere;
pub mod meta;
pub mod migrations;
pub mod quarantine;
pub mod queue;
pub mod transaction;
pub mod views;
pub mod webhook_events;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};

use anyhow::Context;
use rusqlite::{Connection, Transaction};

use crate::domain::Instant;
use crate::store::error::{StoreError, explain, translate};
use crate::store::file::lock::{DialerLock, LockAnswer, LockedFiles};
use crate::store::file::overwrite_watch::Content;
use crate::store::file::readers::Readers;
use crate::store::file::side_files::{self, OpenFiles};
use crate::store::file::{connections, lost_database, modes, one_name, verify};
use crate::store::meta::sequence;
use crate::store::quarantine::OddRow;
use crate::store::quarantine::sweep::Rounds;
use crate::store::transaction::begin;

pub use crate::store::error::{
    UncertainCommit, io_kind, is_denied, is_gone, is_no_room, is_uncertain_commit,
};
pub use crate::store::transaction::{View, part};
pub use rusqlite::{Connection as Conn, Transaction as Tx};

/// The database file, opened.
pub struct Store {
    path: PathBuf,
    /// The files that were opened for writing. A different file at the path later is not ours.
    opened: Option<(OpenFiles, Content)>,
    /// The files that were locked when this process last took the dialer's lock.
    locked: Mutex<Option<LockedFiles>>,
    /// Whether a second name of the file has been reported.
    warned_of_names: AtomicBool,
    /// The rows that this process could not read.
    odd_rows: Mutex<OddRows>,
    sweep_rounds: Mutex<Rounds>,
    /// The highest sequence number of the ledger that this process has seen.
    highest_seq: AtomicI64,
    /// Whether a WAL lay beside the file when it was opened: another process has the file open, or
    /// one crashed.
    found_a_log: bool,
    /// Whether this read-only store made the index of a WAL that had no index.
    index_is_ours: bool,
    /// `None` for a store in memory, which reads through its one connection. This field stands
    /// before the writer, so that every reader is closed before it: see `readers`.
    readers: Option<Readers>,
    writer: Mutex<Connection>,
}

/// At most this many rows that cannot be read are logged; `check` names the others.
const ODD_ROWS_LOGGED: usize = 20;

/// The rows that a process could not read.
#[derive(Default)]
struct OddRows {
    /// All of them, so that each is logged once.
    noticed: BTreeMap<(String, String), OddRow>,
    /// Those that the next write stores.
    unwritten: BTreeSet<OddRow>,
}

impl Store {
    /// Opens for writing. Creates, migrates and arms a new file with mode 0600. Refuses a file that
    /// has a second name. Makes a file private that others may read.
    ///
    /// An existing file without the unique indexes is cleaned first: see `dedupe`.
    pub fn open(path: &Path, now: Instant) -> anyhow::Result<Store> {
        check_sqlite_version()?;
        check_no_folder(path)?;
        lost_database::refuse_a_stray_log(path)?;
        if let Some(made) = side_files::create_private(path)? {
            side_files::give_to_owner_of(side_files::folder_of(path), &made)?;
        }
        if let Some(why) = one_name::refusal(path) {
            return Err(why.into());
        }
        let found_a_log = side_files::has_log(path);
        let mut conn = connections::writer(path, found_a_log).map_err(|e| explain(e, path))?;
        migrations::migrate(&mut conn, path, now).map_err(|e| explain(e, path))?;
        modes::tighten_and_warn(path);
        let opened = OpenFiles::of(path);
        let readers = Some(Readers::new(path, &opened));
        let opened = Some((opened, Content::of(&conn, path)));
        let mut store = Store::at(path, conn);
        (store.opened, store.found_a_log, store.readers) = (opened, found_a_log, readers);
        Ok(store)
    }

    /// Opens an existing file for reading, also where the user may not write. Changes nothing.
    pub fn look(path: &Path) -> anyhow::Result<Store> {
        check_sqlite_version()?;
        lost_database::refuse_a_stray_log(path)?;
        if !path.exists() {
            return Err(StoreError::Missing(path.to_path_buf()).into());
        }
        check_no_folder(path)?;
        let looking = connections::open_to_look(path)?;
        let mut store = Store::at(path, looking.conn);
        store.index_is_ours = looking.index_is_ours;
        store.read(|conn| migrations::ready_to_read(conn, path)).map_err(|e| explain(e, path))?;
        Ok(store)
    }

    /// A store in memory: the same schema and statements, for simulation.
    pub fn in_memory(now: Instant) -> anyhow::Result<Store> {
        let mut conn = Connection::open_in_memory()?;
        connections::configure_common(&conn)?;
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
            odd_rows: Mutex::default(),
            sweep_rounds: Mutex::default(),
            index_is_ours: false,
            highest_seq: AtomicI64::new(0),
            found_a_log: false,
            readers: None,
            writer: Mutex::new(conn),
        }
    }

    /// The path of the database file, as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the dialer's lock of this file, or returns who holds it.
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

    /// Why the file at the path is no longer the opened one. Commits succeed silently into a file
    /// that was moved or overwritten. `None` also for a store in memory and for one opened by
    /// `look`.
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
        // Load this before reading: another thread may see a later number in between.
        let seen = self.highest_seq.load(Ordering::Acquire);
        // A reader keeps no pages from before a checkpoint, and a checkpoint may have hidden an
        // overwrite. An unreadable file is reported by the next caller that reads it.
        let numbers = self.read(verify::numbers).ok()?;
        if numbers.are_lost() {
            return Some(StoreError::Overwritten(self.path.clone()));
        }
        self.has_given(numbers.given);
        (numbers.given < seen).then(|| StoreError::SetBack(self.path.clone()))
    }

    /// A second name that was made while this process has the file open does not stop dialing. The
    /// lock on the inode keeps a second dialer out. The next start is refused, so warn a person
    /// now.
    fn warn_of_a_second_name(&self) {
        if one_name::other_names(&self.path) > 0
            && !self.warned_of_names.swap(true, Ordering::Relaxed)
        {
            log::warn!(
                "{} was given a second name (a hard link): remove that name, or the next start is \
                 refused",
                self.path.display()
            );
        }
    }

    /// Like `swapped`, inside a transaction: an error if the file would assign a sequence number
    /// twice.
    pub fn check_not_set_back(&self, tx: &Transaction<'_>) -> anyhow::Result<()> {
        let is_older = sequence::highest_seq(tx)? < self.highest_seq.load(Ordering::Acquire);
        if is_older { Err(StoreError::SetBack(self.path.clone()).into()) } else { Ok(()) }
    }

    /// Notes a sequence number that was assigned and committed.
    pub fn has_given(&self, seq: i64) {
        self.highest_seq.fetch_max(seq, Ordering::AcqRel);
    }

    /// Checks the file's content before and after a commit, so that our own checkpoint cannot hide
    /// what another process wrote.
    fn look_at_content(&self, conn: &Connection) {
        if let Some((_, content)) = &self.opened {
            content.is_overwritten(conn, &self.path);
        }
    }

    /// Checks the whole database if a WAL was found beside it. SQLite accepts any intact WAL as the
    /// file's own, so a restored file beside another database's WAL opens without an error. The WAL
    /// stays as it is until the check passes, so that removing it repairs the file.
    pub fn check_after_crash(&self) -> anyhow::Result<()> {
        if self.found_a_log {
            self.check()?;
            connections::keep_log(&self.lock_writer(), false)?;
        }
        let damaged = |what| StoreError::Damaged { path: self.path.clone(), what };
        self.read(verify::lost_numbers)?.map_or(Ok(()), |what| Err(damaged(what).into()))
    }

    /// Reads the whole database; an error if it is damaged.
    pub fn check(&self) -> anyhow::Result<()> {
        let damaged = |what| StoreError::Damaged { path: self.path.clone(), what };
        self.read(verify::problem)?.map_or(Ok(()), |what| Err(damaged(what).into()))
    }

    /// Runs the closure on a connection that refuses to write.
    pub fn read<T>(&self, f: impl FnOnce(&Connection) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let value = match &self.readers {
            None => f(&self.lock_writer()),
            Some(readers) => {
                let conn = readers.get().context("open a reading connection")?;
                f(&conn)
            }
        };
        self.note_odd_rows();
        value.map_err(|error| translate(error, &self.path))
    }

    /// Moves what the reading functions noticed on this thread into this store. Logs each row once.
    fn note_odd_rows(&self) {
        let noticed = quarantine::take_noticed();
        if noticed.is_empty() {
            return;
        }
        let mut known = self.lock_odd_rows();
        for row in noticed {
            let name = (row.place.clone(), row.row.clone());
            if known.noticed.contains_key(&name) {
                known.unwritten.insert(row);
                continue;
            }
            if known.noticed.len() < ODD_ROWS_LOGGED {
                let effect = match row.customer_id {
                    Some(id) => format!("customer {id} is not called"),
                    None => "nobody whom it concerns is called".to_string(),
                };
                log::warn!(
                    "{} cannot be read ({}), so {effect}; `ringonce check` shows how to correct it",
                    row.place_and_row(),
                    row.why
                );
            }
            known.noticed.insert(name, row.clone());
            known.unwritten.insert(row);
        }
    }

    fn lock_odd_rows(&self) -> MutexGuard<'_, OddRows> {
        self.odd_rows.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether this process noticed a row that no write has stored yet.
    pub fn has_unwritten_odd_rows(&self) -> bool {
        !self.lock_odd_rows().unwritten.is_empty()
    }

    /// The rows that this process could not read.
    pub fn odd_rows(&self) -> Vec<OddRow> {
        self.note_odd_rows();
        self.lock_odd_rows().noticed.values().cloned().collect()
    }

    /// What the sweep for rows that cannot be read has still to read.
    pub fn sweep_rounds(&self) -> MutexGuard<'_, Rounds> {
        self.sweep_rounds.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A number that changes when another connection wrote to the file.
    pub fn data_version(&self) -> anyhow::Result<i64> {
        Ok(self.lock_writer().query_one("PRAGMA data_version", [], |version| version.get(0))?)
    }

    /// Writes in one `BEGIN IMMEDIATE`, committed on `Ok` and rolled back on `Err`.
    ///
    /// `Ok` means durable. After an error of the commit itself the change may still exist: see
    /// [`is_uncertain_commit`].
    pub fn write<T>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let conn = self.lock_writer();
        self.look_at_content(&conn);
        let explained = |error| translate(error, &self.path);
        let tx = begin(&conn, &self.path).map_err(explained)?;
        let done = f(&tx);
        self.note_odd_rows();
        let value = done.map_err(explained)?;
        let odd_rows = self.lock_odd_rows().unwritten.clone();
        quarantine::keep(&tx, &odd_rows)?;
        tx.commit().map_err(|error| UncertainCommit::new(error, &self.path))?;
        if !odd_rows.is_empty() {
            self.lock_odd_rows().unwritten.retain(|row| !odd_rows.contains(row));
        }
        self.look_at_content(&conn);
        Ok(value)
    }

    /// The writing connection, for backups and checkpoints, with no open transaction.
    pub(crate) fn with_writer<T>(
        &self,
        f: impl FnOnce(&mut Connection) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        f(&mut self.lock_writer())
    }

    fn lock_writer(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a closure rolled its transaction back, so the connection is usable.
        let guard = self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        debug_assert!(guard.is_autocommit(), "a transaction was left open");
        guard
    }
}

impl Drop for Store {
    /// Empties the WAL if another database lies at the path now. SQLite does not empty it when the
    /// closed file was moved, and the next process would replay our WAL into that database.
    fn drop(&mut self) {
        if self.index_is_ours {
            connections::remove_index(&self.lock_writer(), &self.path);
        }
        let moved = self.opened.as_ref().is_some_and(|(files, content)| {
            files.changed(&self.path).is_some() && !content.was_overwritten()
        });
        if moved {
            let emptied: rusqlite::Result<bool> =
                self.lock_writer()
                    .query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |busy| busy.get(0));
            if let Err(error) = emptied {
                log::error!("the WAL of {} could not be emptied: {error}", self.path.display());
            }
        }
    }
}

/// SQLite would report only an I/O error.
fn check_no_folder(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() { Err(StoreError::NotOurs(path.to_path_buf())) } else { Ok(()) }
}

/// SQLite 3.7.0 to 3.51.2 can corrupt a file in WAL mode.
fn check_sqlite_version() -> Result<(), StoreError> {
    if rusqlite::version_number() < 3_051_003 {
        return Err(StoreError::OldSqlite(rusqlite::version().to_string()));
    }
    Ok(())
}
