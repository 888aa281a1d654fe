pub mod customer_rows;
pub mod customers;
pub mod journal;
pub use rusqlite::{Connection as Conn, Transaction as Tx};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::Path;
use std::sync::Mutex;
pub struct Store {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}
impl Store {
    pub fn open(path: &Path, _now: crate::domain::Instant) -> anyhow::Result<Store> {
        let conn = Connection::open(path)?;
        conn.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")?;
        let has: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
        if has == 0 {
            conn.execute_batch(include_str!("../../schema.sql"))?;
        }
        conn.set_prepared_statement_cache_capacity(128);
        Ok(Store { writer: Mutex::new(conn), reader: Mutex::new(Connection::open(path)?) })
    }
    pub fn look(path: &Path) -> anyhow::Result<Store> {
        Store::open(path, crate::domain::Instant::default())
    }
    pub fn in_memory(_now: crate::domain::Instant) -> anyhow::Result<Store> {
        let conn = Connection::open_in_memory()?;
        conn.execute_batch(include_str!("../../schema.sql"))?;
        let reader = Connection::open_in_memory()?;
        reader.execute_batch(include_str!("../../schema.sql"))?;
        Ok(Store { writer: Mutex::new(conn), reader: Mutex::new(reader) })
    }
    pub fn read<T>(&self, f: impl FnOnce(&Connection) -> anyhow::Result<T>) -> anyhow::Result<T> {
        f(&self.reader.lock().unwrap())
    }
    pub fn write<T>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut conn = self.writer.lock().unwrap();
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = f(&tx)?;
        tx.commit()?;
        Ok(value)
    }
}
