//! Counts customers by payment status and call time, for the person who asks why nobody is called.

use rusqlite::Connection;

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
            payment_status: row.get(0)?,
            call_time: row.get(1)?,
            call_schedule: row.get(2)?,
            customers: row.get(3)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}
