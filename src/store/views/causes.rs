//! The counts behind alerts: what a person may have to act on.

use rusqlite::Connection;

use crate::domain::{Instant, instant_text};

/// Doubts whose intent is older than `before`.
pub fn old_doubts(conn: &Connection, before: Instant) -> anyhow::Result<i64> {
    let sql = "SELECT count(*) FROM call_attempts WHERE state = 'in_doubt' AND created_at < ?1";
    Ok(conn.prepare_cached(sql)?.query_one([instant_text(before)], |row| row.get(0))?)
}

/// Customers that were disabled after this many failed occasions in a row; 0 disables nobody.
pub fn disabled_by_failures(conn: &Connection, failures: i64) -> anyhow::Result<i64> {
    let sql = "SELECT count(*) FROM customers
         WHERE call_status = 'disabled' AND ?1 > 0 AND ?1 <= consecutive_failures";
    Ok(conn.prepare_cached(sql)?.query_one([failures], |row| row.get(0))?)
}

/// Customers with a second call whose pause no person has lifted.
pub fn open_second_calls(conn: &Connection) -> anyhow::Result<i64> {
    let sql = "SELECT count(DISTINCT customer_key) FROM second_calls
         WHERE EXISTS (SELECT 1 FROM meta WHERE key = 'pause:customer:' || customer_key)";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?)
}
