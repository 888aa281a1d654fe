//! Customers whose next call must be computed again, and customers whose call waits until they are
//! eligible.

use rusqlite::{Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::store::cells;
use crate::store::queue::WELCOME_IS_OVER;

/// Customers whose call waits until they are eligible, and their time zones.
pub fn waiting_to_be_eligible(tx: &Transaction<'_>) -> anyhow::Result<Vec<(i64, String)>> {
    let mut statement = tx.prepare_cached(
        "SELECT customers.id, timezone FROM call_queue
         JOIN customers ON customers.id = call_queue.customer_id
         WHERE status IN ('pending', 'retrying') AND call_type IN ('welcome', 'daily', 'extra')
           AND reason = 'not_eligible'",
    )?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, cells::lossy(row, 1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Every customer with a next call, also one who is not eligible now.
pub fn with_next_call(tx: &Transaction<'_>) -> anyhow::Result<Vec<i64>> {
    let mut statement = tx.prepare_cached(
        "SELECT id FROM customers WHERE next_call_scheduled_at IS NOT NULL ORDER BY id",
    )?;
    let found = statement.query_map([], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Eligible customers whose next call is missing or past, to be computed again.
pub fn stale_customers(
    tx: &Transaction<'_>,
    payment_status: &str,
    before: Instant,
) -> anyhow::Result<Vec<i64>> {
    let mut ids = Vec::new();
    // Two index searches: with OR, SQLite would read every eligible customer.
    for is_stale in ["next_call_scheduled_at IS NULL AND ?2 <> ''", "next_call_scheduled_at < ?2"] {
        let sql = format!(
            "SELECT id FROM customers
             WHERE payment_status = ?1 AND phone_validated = 1
               AND call_status NOT IN ('disabled', 'paused')
               AND (call_time IS NOT NULL OR call_schedule IS NOT NULL) AND {is_stale}
               AND {WELCOME_IS_OVER}
               AND NOT EXISTS (SELECT 1 FROM call_queue AS open
                 WHERE open.customer_id = customers.id AND open.call_type = 'daily'
                   AND (open.status = 'pending' OR open.status = 'retrying'
                     OR open.status = 'processing'))"
        );
        let mut statement = tx.prepare_cached(&sql)?;
        let found =
            statement.query_map(params![payment_status, instant_text(before)], |row| row.get(0))?;
        for id in found {
            ids.push(id?);
        }
    }
    Ok(ids)
}
