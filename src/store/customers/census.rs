//! Counts customers by payment status and call time, for the person who asks why nobody is called.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

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

/// A text that another program wrote may not be UTF-8. One such row must not hide the others.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    })
}
