//! All SQL. Nothing outside this folder names a table.
//!
//! One connection writes, behind a mutex; a small pool reads. Every write is one `BEGIN
//! IMMEDIATE` with a checked commit at `synchronous=FULL`: what `write` returned `Ok` for is on
//! the disk. A commit that returned an error may still be there; callers treat it so.

pub mod attempts;
pub mod audit;
pub mod backup;
pub mod copy;
pub mod customer_rows;
pub mod customers;
pub mod dedupe;
pub mod do_not_call;
pub mod doubts;
pub mod enqueue;
pub mod erase;
pub mod events;
pub mod facts;
pub mod files;
pub mod flags;
pub mod holidays;
pub mod journal;
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
pub mod verify;
pub mod views;
pub mod web_views;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

pub use rusqlite::{Connection as Conn, Transaction as Tx};

use crate::domain::Instant;

/// How long one statement waits for another process's lock before it is asked again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a write waits in all: SQLite's own back-off is unfair under many processes.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);
/// Readers: the page, the API and reports. Dialing itself reads on the writer.
const READERS: u32 = 8;
/// Statements kept prepared on a connection.
const PREPARED: usize = 128;

/// Why a database cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no database at {0}; `ringonce customers import FILE` creates one")]
    Missing(PathBuf),
    #[error("{0} is no ringonce database; name another file with --db")]
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
    #[error("{0} is locked by another process; it was left unchanged; try again")]
    Busy(PathBuf),
    #[error(
        "SQLite {0} is older than 3.51.3 and can corrupt a database in WAL mode; \
         build ringonce with its bundled SQLite"
    )]
    OldSqlite(String),
}

/// The database file, opened.
pub struct Store {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// `None` for a store in memory: its one connection reads too.
    readers: Option<r2d2::Pool<SqliteConnectionManager>>,
}

impl Store {
    /// Opens for writing; creates, migrates and arms a new file, which is then mode 0600.
    ///
    /// An existing file without the unique indexes is cleaned first: see `dedupe`.
    pub fn open(path: &Path, now: Instant) -> anyhow::Result<Store> {
        check_sqlite_version()?;
        check_no_folder(path)?;
        if let Some(made) = files::create_private(path)? {
            files::give_to_owner_of(files::folder_of(path), &made)?;
        }
        let mut conn =
            Connection::open_with_flags(path, write_flags()).map_err(|e| explain(e, path))?;
        configure(&conn).map_err(|e| explain(e, path))?;
        migrations::migrate(&mut conn, path, now).map_err(|e| explain(e, path))?;
        let manager =
            SqliteConnectionManager::file(path).with_flags(write_flags()).with_init(|conn| {
                configure(conn).and_then(|()| conn.pragma_update(None, "query_only", 1))
            });
        let readers = r2d2::Pool::builder()
            .max_size(READERS)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(BUSY_TIMEOUT)
            .build_unchecked(manager);
        Ok(Store { path: path.to_path_buf(), writer: Mutex::new(conn), readers: Some(readers) })
    }

    /// Opens an existing file to look at it; never creates, migrates or changes anything.
    ///
    /// Works on a copy, on a read-only file and in a read-only folder.
    pub fn look(path: &Path) -> anyhow::Result<Store> {
        check_sqlite_version()?;
        if !path.exists() {
            return Err(StoreError::Missing(path.to_path_buf()).into());
        }
        check_no_folder(path)?;
        let conn = open_to_look(path)?;
        migrations::check_readable(&conn, path).map_err(|e| explain(e, path))?;
        Ok(Store { path: path.to_path_buf(), writer: Mutex::new(conn), readers: None })
    }

    /// A store in memory: the same schema and statements, for simulation.
    pub fn in_memory(now: Instant) -> anyhow::Result<Store> {
        let mut conn = Connection::open_in_memory()?;
        configure_common(&conn)?;
        let path = PathBuf::from(":memory:");
        migrations::migrate(&mut conn, &path, now)?;
        Ok(Store { path, writer: Mutex::new(conn), readers: None })
    }

    /// A store in memory over an existing connection: a restored copy in a simulation.
    pub fn over(conn: Connection) -> Store {
        Store { path: PathBuf::from(":memory:"), writer: Mutex::new(conn), readers: None }
    }

    /// Where the database file is, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
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
        let tx = begin(&conn, &self.path)?;
        let value = f(&tx)?;
        tx.commit().map_err(UncertainCommit)?;
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

/// Runs a part of a transaction that can be undone alone: on `Err` the part leaves no trace and
/// the rest of the transaction goes on.
pub fn part<T>(
    tx: &Transaction<'_>,
    f: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    tx.prepare_cached("SAVEPOINT part")?.execute([])?;
    match f(tx) {
        Ok(value) => {
            tx.prepare_cached("RELEASE part")?.execute([])?;
            Ok(value)
        }
        Err(error) => {
            tx.execute_batch("ROLLBACK TO part; RELEASE part")?;
            Err(error)
        }
    }
}

/// A commit that returned an error. The rows may exist: nothing may be done as if they did not.
#[derive(Debug, thiserror::Error)]
#[error("the commit failed, so the change may or may not be on disk: {0}")]
pub struct UncertainCommit(rusqlite::Error);

/// Whether an error of `write` came from the commit itself.
pub fn is_uncertain_commit(error: &anyhow::Error) -> bool {
    error.downcast_ref::<UncertainCommit>().is_some()
}

fn begin<'c>(conn: &'c Connection, path: &Path) -> anyhow::Result<Transaction<'c>> {
    let started = crate::clock::elapsed();
    loop {
        match Transaction::new_unchecked(conn, TransactionBehavior::Immediate) {
            Ok(tx) => return Ok(tx),
            Err(error) if is_busy(&error) => {
                if WRITE_PATIENCE < crate::clock::elapsed().saturating_sub(started) {
                    return Err(StoreError::Busy(path.to_path_buf()).into());
                }
                crate::clock::pause(Duration::from_millis(20));
            }
            Err(error) => return Err(error).context("begin a write"),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn write_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// WAL, and `synchronous=FULL` read back: it is a property of the connection, not of the file.
fn configure(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
    configure_common(conn)
}

fn configure_common(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(PREPARED);
    // Without it SQLite prepares statements anew when their bound values change.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    // A row with a trigger keeps its pages to undo the statement: in memory, not in a file.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    // An erased phone number must not stay in a free page.
    conn.pragma_update(None, "secure_delete", 1)?;
    conn.pragma_update(None, "trusted_schema", 0)?;
    let synchronous = conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?;
    if synchronous != 2 {
        return Err(rusqlite::Error::InvalidParameterName(format!(
            "synchronous is {synchronous} instead of FULL"
        )));
    }
    Ok(())
}

/// Read-write with a refusal to write when possible (beside a running writer), else read-only,
/// else as an unchanging file (a read-only folder without a WAL).
fn open_to_look(path: &Path) -> anyhow::Result<Connection> {
    let attempts: [(&str, OpenFlags); 3] = [
        ("", OpenFlags::SQLITE_OPEN_READ_WRITE),
        ("", OpenFlags::SQLITE_OPEN_READ_ONLY),
        ("?immutable=1", OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI),
    ];
    let mut last = None;
    for (suffix, flags) in attempts {
        let name = match suffix {
            "" => path.as_os_str().to_owned(),
            _ => format!("file:{}{suffix}", path.display()).into(),
        };
        let opened = Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .and_then(|conn| {
                conn.busy_timeout(BUSY_TIMEOUT)?;
                conn.set_prepared_statement_cache_capacity(PREPARED);
                conn.pragma_update(None, "query_only", 1)?;
                conn.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0))?;
                Ok(conn)
            });
        match opened {
            Ok(conn) => return Ok(conn),
            Err(error) => last = Some(error),
        }
    }
    let error: rusqlite::Error = last.expect("three attempts were made");
    Err(explain(error, path))
}

/// Turns what SQLite says into what a person can act on.
fn explain(error: impl Into<anyhow::Error>, path: &Path) -> anyhow::Error {
    let error = error.into();
    match error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code) {
        Some(ErrorCode::NotADatabase) => StoreError::NotOurs(path.to_path_buf()).into(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Busy(path.to_path_buf()).into()
        }
        Some(ErrorCode::CannotOpen) => StoreError::NotOpened(path.to_path_buf()).into(),
        _ => error.context(format!("open the database {}", path.display())),
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
