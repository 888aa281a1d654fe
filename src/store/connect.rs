//! How connections are opened and set up: one writer, a small pool of readers, and the one of a
//! command that only looks.

use std::path::Path;
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::store::files::{self, OpenFiles};
use crate::store::{StoreError, explain};

/// How long one statement waits for another process's lock before it is asked again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Readers: the page, the API and reports. Dialing itself reads on the writer.
const READERS: u32 = 8;
/// Statements kept prepared on a connection.
const PREPARED: usize = 128;

/// The connection that writes. `log_is_kept`: see [`keep_log`].
pub fn writer(path: &Path, log_is_kept: bool) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, write_flags())?;
    keep_log(&conn, log_is_kept)?;
    configure(&conn)?;
    Ok(conn)
}

/// The pool of readers. A connection once opened stays: a later one could only find what lies at
/// the path by then, and would read our log into another database.
pub fn readers(path: &Path, opened: &OpenFiles) -> r2d2::Pool<SqliteConnectionManager> {
    let (at, opened) = (path.to_path_buf(), opened.clone());
    // Asked between SQLite's opening of the file and its first look at the log.
    let init = move |conn: &mut Connection| {
        // SQLite deletes the log that lies beside an empty file.
        let is_empty = || std::fs::metadata(&at).is_ok_and(|about| about.len() == 0);
        let overwritten = || is_empty().then(|| StoreError::Overwritten(at.clone()));
        let swapped = || {
            let what = opened.changed(&at)?;
            Some(StoreError::Swapped { what, path: at.to_path_buf() })
        };
        if let Some(why) = swapped().or_else(overwritten) {
            let cannot_open = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            return Err(rusqlite::Error::SqliteFailure(cannot_open, Some(why.to_string())));
        }
        // The pool's own thread may close one after the writer, which alone knows whose log it is.
        keep_log(conn, true)?;
        configure(conn)?;
        conn.pragma_update(None, "query_only", 1)
    };
    let manager = SqliteConnectionManager::file(path).with_flags(write_flags()).with_init(init);
    r2d2::Pool::builder()
        .max_size(READERS)
        .min_idle(Some(0))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_on_check_out(false)
        .connection_timeout(BUSY_TIMEOUT)
        .error_handler(Box::new(r2d2::NopErrorHandler))
        .build_unchecked(manager)
}

/// Whether closing the last connection leaves the log as it is, instead of writing it into the file.
pub fn keep_log(conn: &Connection, keep: bool) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(|_| ())
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

pub fn configure_common(conn: &Connection) -> rusqlite::Result<()> {
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
pub fn open_to_look(path: &Path) -> anyhow::Result<Connection> {
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
                keep_log(&conn, files::has_log(path))?;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::domain::parse_instant;
    use crate::store::{Store, files};

    #[test]
    fn a_reader_that_closes_after_the_writer_leaves_log_and_file_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ringonce.db");
        let store = Store::open(&path, parse_instant("2026-03-02T08:00:00Z").unwrap()).unwrap();
        let reader = store.readers.as_ref().unwrap().get().unwrap();
        reader.query_one("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0)).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(files::has_log(&path));
        drop(store);
        drop(reader);
        assert!(before == std::fs::read(&path).unwrap(), "the log was carried into the file");
        assert!(files::has_log(&path));
    }

    #[test]
    fn a_reader_that_is_opened_while_the_file_is_empty_takes_no_log_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ringonce.db");
        let store = Store::open(&path, parse_instant("2026-03-02T08:00:00Z").unwrap()).unwrap();
        assert!(files::has_log(&path));
        // As `cp` and `cat >` begin.
        std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        let reader = store.readers.as_ref().unwrap().get_timeout(Duration::from_millis(500));
        assert!(reader.is_err());
        assert!(files::has_log(&path), "SQLite has taken the log away");
    }
}
