//! A small pool of connections that read. Each is opened when it is first needed and closed with
//! the store, before the writer. SQLite empties the WAL only with the last connection, so a reader
//! that closed later would leave rows in the WAL after the end of the process.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::bail;
use rusqlite::Connection;

use crate::store::error::StoreError;
use crate::store::file::connections::{self, BUSY_TIMEOUT};
use crate::store::file::side_files::OpenFiles;

/// The most connections, for the page, the API and reports. Dialing itself reads on the writer.
const MOST: usize = 8;

/// See the module.
pub struct Readers {
    path: PathBuf,
    opened: OpenFiles,
    pool: Mutex<Pool>,
    /// A connection came back, or one could not be opened.
    freed: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    /// Idle ones included.
    open: usize,
}

/// A connection that goes back into its pool.
pub struct Reader<'p> {
    readers: &'p Readers,
    /// `None` only while it is dropped.
    conn: Option<Connection>,
}

impl Readers {
    /// Opens nothing yet. `opened`: the files that the writer has open.
    pub fn new(path: &Path, opened: &OpenFiles) -> Readers {
        Readers {
            path: path.to_path_buf(),
            opened: opened.clone(),
            pool: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    /// An idle connection, or a new one while there are fewer than eight, or else the first that
    /// comes back. An error if none comes back in time, or if no new one can be opened.
    pub fn get(&self) -> anyhow::Result<Reader<'_>> {
        let all_are_busy = |pool: &mut Pool| pool.idle.is_empty() && pool.open == MOST;
        let (mut pool, waited) = self
            .freed
            .wait_timeout_while(self.lock(), BUSY_TIMEOUT, all_are_busy)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            bail!("all {MOST} are in use for more than {} seconds", BUSY_TIMEOUT.as_secs());
        }
        if let Some(conn) = pool.idle.pop() {
            return Ok(Reader { readers: self, conn: Some(conn) });
        }
        pool.open += 1;
        drop(pool);
        match self.open() {
            Ok(conn) => Ok(Reader { readers: self, conn: Some(conn) }),
            Err(error) => {
                self.lock().open -= 1;
                self.freed.notify_one();
                Err(error)
            }
        }
    }

    /// An opened connection stays open. A later one would open the file that then lies at the path,
    /// and could replay our WAL into another database.
    fn open(&self) -> anyhow::Result<Connection> {
        let conn = connections::open_read_write(&self.path)?;
        // SQLite has opened the file, and has not looked at the WAL yet.
        if let Some(what) = self.opened.changed(&self.path) {
            return Err(StoreError::Swapped { what, path: self.path.clone() }.into());
        }
        // SQLite deletes a WAL that lies beside an empty file.
        if std::fs::metadata(&self.path).is_ok_and(|about| about.len() == 0) {
            return Err(StoreError::Overwritten(self.path.clone()).into());
        }
        connections::configure_reader(&conn)?;
        Ok(conn)
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn.as_ref().expect("it is taken only while it is dropped")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.readers.lock().idle.extend(self.conn.take());
        self.readers.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::domain::parse_instant;
    use crate::store::Store;
    use crate::store::file::side_files;

    fn store(folder: &tempfile::TempDir) -> Store {
        let now = parse_instant("2026-03-02T08:00:00Z").unwrap();
        Store::open(&folder.path().join("ringonce.db"), now).unwrap()
    }

    fn count(conn: &Connection) -> i64 {
        conn.query_one("SELECT count(*) FROM meta", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_reader_that_closes_after_the_writer_leaves_log_and_file_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let path = store.path().to_path_buf();
        let reader = Readers::new(&path, &OpenFiles::of(&path)).open().unwrap();
        count(&reader);
        let before = std::fs::read(&path).unwrap();
        assert!(side_files::has_log(&path));
        drop(store);
        drop(reader);
        assert!(before == std::fs::read(&path).unwrap(), "the log was carried into the file");
        assert!(side_files::has_log(&path));
    }

    #[test]
    fn a_reader_that_is_opened_while_the_file_is_empty_takes_no_log_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let path = store.path().to_path_buf();
        assert!(side_files::has_log(&path));
        // `cp` and `cat >` also begin with this.
        std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        let why = store.read(|_| Ok(())).unwrap_err();
        assert!(matches!(why.downcast_ref(), Some(StoreError::Overwritten(_))), "{why:#}");
        assert!(side_files::has_log(&path), "SQLite has taken the log away");
    }

    #[test]
    fn a_store_that_closes_leaves_no_row_in_the_log_however_many_threads_have_read() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let store = store(&folder);
            std::thread::scope(|scope| {
                for _ in 0..12 {
                    scope.spawn(|| store.read(|conn| Ok(count(conn))).unwrap());
                }
            });
            let path = store.path().to_path_buf();
            drop(store);
            assert!(!side_files::has_log(&path), "a reader was closed after the writer");
        }
    }

    #[test]
    fn the_ninth_reader_waits_until_one_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let readers = Readers::new(store.path(), &OpenFiles::of(store.path()));
        let mut eight: Vec<Reader<'_>> = (0..MOST).map(|_| readers.get().unwrap()).collect();
        std::thread::scope(|scope| {
            let (readers, (sender, ninth)) = (&readers, channel());
            scope.spawn(move || sender.send(count(&readers.get().unwrap())).unwrap());
            assert!(ninth.recv_timeout(Duration::from_millis(50)).is_err());
            eight.pop();
            assert!(ninth.recv().unwrap() > 0);
        });
    }
}
