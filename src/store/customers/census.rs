//! Counts customers by payment status, call time and assistant, for the person who asks why nobody is
//! called, and finds their variables.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use crate::store::cells;

/// Customers of one payment status, call time and schedule.
pub struct Group {
    pub payment_status: String,
    pub call_time: Option<String>,
    pub call_schedule: Option<String>,
    pub customers: i64,
}

/// Every group that has customers. One index holds all that is read.
pub fn groups(conn: &Connection) -> anyhow::Result<Vec<Group>> {
    let mut statement = conn.prepare_cached(
        "SELECT payment_status, call_time, call_schedule, count(*) FROM customers
         GROUP BY payment_status, call_time, call_schedule",
    )?;
    let found = statement.query_map([], |row| {
        Ok(Group {
            payment_status: text(row, 0)?.unwrap_or_default(),
            call_time: text(row, 1)?,
            call_schedule: text(row, 2)?,
            customers: row.get(3)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The names of assistants that customers have, and how many customers.
pub fn assistants(conn: &Connection) -> anyhow::Result<Vec<(String, i64)>> {
    let mut statement = conn.prepare(
        "SELECT assistant, count(*) FROM customers WHERE assistant IS NOT NULL GROUP BY assistant",
    )?;
    let found = statement.query_map([], |row| Ok((cells::lossy(row, 0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// At most this many customers show which variables there are.
const SOME: i64 = 1_000;

/// The names of the variables of some customers; `None`: the database has none.
pub fn variables_of_some(conn: &Connection) -> anyhow::Result<Option<Vec<String>>> {
    let any: bool =
        conn.query_one("SELECT EXISTS (SELECT 1 FROM customers)", [], |row| row.get(0))?;
    if !any {
        return Ok(None);
    }
    let mut statement = conn.prepare(
        "SELECT DISTINCT key FROM (SELECT variables FROM customers ORDER BY id DESC LIMIT ?1),
           json_each(variables)",
    )?;
    let found = statement.query_map([SOME], |row| cells::lossy(row, 0))?;
    Ok(Some(found.collect::<Result<_, _>>()?))
}

/// Whether a customer has this variable. `name` holds letters, digits, `_` and `-`.
pub fn has_variable(conn: &Connection, name: &str) -> anyhow::Result<bool> {
    let path = format!("$.\"{name}\"");
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM customers WHERE json_type(variables, ?1) IS NOT NULL)",
        )?
        .query_one([path], |row| row.get(0))?)
}

/// A text that another program wrote may not be UTF-8. One such row must not hide the others.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    })
}
