//! Opens and configures connections: a writer, its readers, and one for a command that only
//! reads.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::store::error::explain;
use crate::store::file::one_name;
use crate::store::file::side_files;

/// How long one statement waits for another process's lock before SQLite reports it as busy.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of prepared statements that a connection keeps.
const PREPARED: usize = 128;

/// The connection that writes. `log_is_kept`: see [`keep_log`].
pub fn writer(path: &Path, log_is_kept: bool) -> rusqlite::Result<Connection> {
    let conn = read_write(path)?;
    keep_log(&conn, log_is_kept)?;
    configure(&conn)?;
    Ok(conn)
}

/// Opens for writing, or fails. For a file that this user may not write, SQLite silently opens a
/// read-only connection. That would leave a WAL and an index of this user beside the file, which
/// the owner could not write.
fn read_write(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open_read_write(path)?;
    if conn.is_readonly(rusqlite::MAIN_DB)? {
        let read_only = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        return Err(rusqlite::Error::SqliteFailure(read_only, None));
    }
    Ok(conn)
}

/// Opens for reading beside the writer, without a look at the WAL.
pub fn open_read_write(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, write_flags())
}

/// Only the writer knows whose WAL it is, so a reader that closes last leaves the WAL.
pub fn configure_reader(conn: &Connection) -> rusqlite::Result<()> {
    keep_log(conn, true)?;
    configure(conn)?;
    conn.pragma_update(None, "query_only", 1)
}

/// Sets whether closing the last connection keeps the WAL instead of writing it into the file.
pub fn keep_log(conn: &Connection, keep: bool) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(|_| ())
}

fn write_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Sets WAL mode and `synchronous=FULL`, and checks the latter: it belongs to the connection, not
/// to the file.
fn configure(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
    configure_common(conn)
}

pub fn configure_common(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(PREPARED);
    // Without this setting, SQLite prepares statements again when their bound values change.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    // A statement with triggers saves pages so that it can be undone: keep them in memory, not in a
    // file.
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

/// A connection that only reads.
pub struct Looking {
    pub conn: Connection,
    /// SQLite made the index of the WAL for this connection, and will not remove it on closing.
    pub index_is_ours: bool,
}

/// Opens read-write with `query_only` where possible, because only such a connection removes the
/// files that it makes. Otherwise opens read-only, which must make no file. Never opens a file with
/// a second name read-write: a WAL under this name would differ from the WAL under the other name.
pub fn open_to_look(path: &Path) -> anyhow::Result<Looking> {
    let index = side_files::beside(path, "-shm");
    let index_is_ours = side_files::has_log(path) && !index.exists();
    let has_one_name = one_name::refusal(path).is_none();
    if has_one_name && let Ok(conn) = read_write(path).and_then(|conn| looking(conn, path)) {
        return Ok(Looking { conn, index_is_ours });
    }
    let conn = read_only(path).and_then(|conn| looking(conn, path));
    let conn = conn.map_err(|error| explain(error, path))?;
    Ok(Looking { conn, index_is_ours: false })
}

fn looking(conn: Connection, path: &Path) -> rusqlite::Result<Connection> {
    keep_log(&conn, side_files::has_log(path))?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(PREPARED);
    conn.pragma_update(None, "query_only", 1)?;
    conn.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0))?;
    Ok(conn)
}

/// Opens read-only in one of three ways, none of which makes a file. Beside a WAL with its index:
/// as every reader does. Beside a WAL alone: with the index in memory. Otherwise: as a file that
/// never changes.
pub fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let is_there = |ending| side_files::beside(path, ending).exists();
    if is_there("-wal") && is_there("-shm") {
        let shared = Connection::open_with_flags(path, flags).and_then(|conn| {
            conn.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0))?;
            Ok(conn)
        });
        if shared.is_ok() {
            return shared;
        }
    }
    if side_files::has_log(path) {
        // Without locks or a shared index, SQLite keeps the index in memory.
        let conn = Connection::open_with_flags_and_vfs(path, flags, "unix-none")?;
        keep_log(&conn, true)?;
        conn.pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(()))?;
        return Ok(conn);
    }
    let name = format!("{}?immutable=1", side_files::uri(path));
    Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_URI)
}

/// Removes the index of a WAL that stays. As SQLite does, only under the exclusive lock, which
/// proves that no other connection is open. Call this right before closing `conn`.
pub fn remove_index(conn: &Connection, path: &Path) {
    // SAFETY: SQLite fills in the pointer to the connection's own open file, which lives as long as
    // the connection. SQLite itself locks the file through `xLock`. Nothing is read through the
    // pointer later.
    let is_alone = unsafe {
        let mut file: *mut rusqlite::ffi::sqlite3_file = std::ptr::null_mut();
        let found = rusqlite::ffi::sqlite3_file_control(
            conn.handle(),
            c"main".as_ptr(),
            rusqlite::ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast(),
        );
        let lock = if found == rusqlite::ffi::SQLITE_OK && !file.is_null() {
            (*file).pMethods.as_ref().and_then(|methods| methods.xLock)
        } else {
            None
        };
        let exclusive = rusqlite::ffi::SQLITE_LOCK_EXCLUSIVE;
        lock.is_some_and(|lock| lock(file, exclusive) == rusqlite::ffi::SQLITE_OK)
    };
    if is_alone {
        // SQLite makes the index again when needed.
        let _ = std::fs::remove_file(side_files::beside(path, "-shm"));
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::parse_instant;
    use crate::store::Store;

    /// A folder with a database and its WAL but no index, like a copy of a live database.
    fn with_a_log_and_no_index() -> tempfile::TempDir {
        let (live, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = live.path().join("ringonce.db");
        let store = Store::open(&path, parse_instant("2026-03-02T08:00:00Z").unwrap()).unwrap();
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        store.with_writer(|conn| Ok(conn.execute_batch(checkpoint)?)).unwrap();
        store
            .write(|tx| crate::store::meta::organization::set_org_id(tx, "only in the log"))
            .unwrap();
        for name in ["ringonce.db", "ringonce.db-wal"] {
            std::fs::copy(live.path().join(name), copied.path().join(name)).unwrap();
        }
        copied
    }

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_look_at_a_log_without_its_index_reads_the_log_and_leaves_no_index() {
        let folder = with_a_log_and_no_index();
        let path = folder.path().join("ringonce.db");
        let org =
            || Store::look(&path).unwrap().read(crate::store::meta::organization::org_id).unwrap();
        let before = names(&folder);
        assert_eq!(before, ["ringonce.db", "ringonce.db-wal"]);
        assert_eq!(org().as_deref(), Some("only in the log"));
        assert_eq!(names(&folder), before);
        // While another connection has the file open, the index stays.
        let other = Store::look(&path).unwrap();
        other.read(|_| Ok(())).unwrap();
        assert_eq!(org().as_deref(), Some("only in the log"));
        assert!(path.with_extension("db-shm").exists(), "{:?}", names(&folder));
        // Also if that connection came later than the one that made the index.
        let later = Store::look(&path).unwrap();
        later.read(|_| Ok(())).unwrap();
        drop(other);
        assert!(path.with_extension("db-shm").exists(), "{:?}", names(&folder));
        drop(later);
    }

    #[test]
    fn a_look_at_a_file_with_two_names_reads_its_log_and_makes_nothing() {
        let folder = with_a_log_and_no_index();
        let path = folder.path().join("ringonce.db");
        std::fs::hard_link(&path, folder.path().join("link.db")).unwrap();
        let before = names(&folder);
        let org = |name: &str| {
            let store = Store::look(&folder.path().join(name)).unwrap();
            store.read(crate::store::meta::organization::org_id).unwrap()
        };
        assert_eq!(org("ringonce.db").as_deref(), Some("only in the log"));
        assert_eq!(org("link.db"), None, "this name has no log");
        assert_eq!(names(&folder), before);
    }
}
