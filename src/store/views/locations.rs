//! The places of customers and their phones, for `check`: read only, one row at a time.

use rusqlite::{Connection, Row};

use crate::store::cells;

/// Calls `look` with id, zone and phone of each customer, in the order of ids.
pub fn each(conn: &Connection, mut look: impl FnMut(i64, &str, &str)) -> anyhow::Result<()> {
    let mut statement =
        conn.prepare_cached("SELECT id, timezone, phone FROM customers ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        look(row.get(0)?, &cells::lossy(row, 1)?, &cells::lossy(row, 2)?);
    }
    Ok(())
}

/// The number of dates without calls, and the last of them.
pub fn holidays(conn: &Connection) -> anyhow::Result<(i64, Option<String>)> {
    let both = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    Ok(conn.prepare_cached("SELECT count(*), max(date) FROM holidays")?.query_one([], both)?)
}
