//! One write: how it waits for the lock, how a part of it is undone, and what its commit proves.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::store::error::StoreError;

/// Total time that a write waits for the lock: SQLite's own backoff is unfair among many processes.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// Runs a part of a transaction that can be undone alone: on `Err` the part leaves no trace, and
/// the rest of the transaction continues.
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
            // A full disk may have ended the whole transaction, and then the savepoint is gone too.
            if !tx.is_autocommit() {
                tx.execute_batch("ROLLBACK TO part; RELEASE part")?;
            }
            Err(error)
        }
    }
}

/// Begins a write transaction, and retries while another process writes.
pub(super) fn begin<'c>(conn: &'c Connection, path: &Path) -> anyhow::Result<Transaction<'c>> {
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

/// The database as of one moment, for many queries. Outside of a view, each query takes the locks of
/// a reader and returns them, which costs more than a query by index.
pub struct View<'c> {
    conn: &'c Connection,
    tx: Option<Transaction<'c>>,
}

impl<'c> View<'c> {
    pub fn new(conn: &'c Connection) -> anyhow::Result<View<'c>> {
        let mut view = View { conn, tx: None };
        view.renew()?;
        Ok(view)
    }

    /// Goes on to the present moment. While a view is kept, the WAL cannot begin again.
    pub fn renew(&mut self) -> anyhow::Result<()> {
        drop(self.tx.take());
        self.tx = Some(self.conn.unchecked_transaction()?);
        Ok(())
    }
}

/// The result of a guarded update.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    Yes,
    /// Another writer changed the row first. Drop the work in progress on it.
    No,
}

impl Moved {
    pub(crate) fn from_rows(rows: usize) -> Moved {
        if rows == 1 { Moved::Yes } else { Moved::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_as_of_one_moment_until_it_is_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("view.db")).unwrap();
        let (writer, reader) = (open(), open());
        writer.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE seen (row)").unwrap();
        let rows = || reader.query_one("SELECT count(*) FROM seen", [], |row| row.get(0)).unwrap();
        let add = || writer.execute("INSERT INTO seen VALUES (1)", []).unwrap();
        let mut view = View::new(&reader).unwrap();
        let counts: [i64; 4] = [
            rows(),
            (add(), rows()).1,
            (view.renew().unwrap(), rows()).1,
            (add(), drop(view), rows()).2,
        ];
        assert_eq!(counts, [0, 0, 1, 2]);
    }
}
