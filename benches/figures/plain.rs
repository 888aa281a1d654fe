//! The limit: plain rusqlite with prepared statements and the minimal same transactions on the same
//! tables and indexes. It has no gate, no journal and no proof, as in a hurried program.

use ringonce::domain::{Instant, instant_text};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

fn begin(conn: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    conn.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Turns due customers into items, in one transaction.
pub fn scan(conn: &mut Connection, now: Instant) -> rusqlite::Result<usize> {
    let tx = begin(conn)?;
    let mut queued = 0;
    {
        let mut select = tx.prepare_cached(
            "SELECT id, next_call_scheduled_at FROM customers
             WHERE payment_status = 'Paid' AND phone_validated = 1
               AND call_status NOT IN ('disabled', 'paused')
               AND (call_time IS NOT NULL OR call_schedule IS NOT NULL)
               AND ?1 <= next_call_scheduled_at AND next_call_scheduled_at <= ?2
               AND welcome_call_completed = 1",
        )?;
        let mut insert = tx.prepare_cached(
            "INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, created_at,
               updated_at)
             VALUES (?1, 'daily', substr(?2, 1, 10), ?2, ?3, ?3)
             ON CONFLICT (customer_id, call_type, occasion) DO NOTHING",
        )?;
        let from = instant_text(now - chrono::Duration::minutes(240));
        let until = instant_text(now + chrono::Duration::minutes(20));
        let now = instant_text(now);
        let mut rows = select.query(params![from, until])?;
        while let Some(row) = rows.next()? {
            let (id, at): (i64, String) = (row.get(0)?, row.get(1)?);
            queued += insert.execute(params![id, at, now])?;
        }
    }
    tx.commit()?;
    Ok(queued)
}

/// The data that a claimed call needs.
pub struct Claimed {
    pub item: i64,
    pub customer: i64,
    pub attempt: String,
}

/// Turns the next due item into an attempt. `None`: nothing is due.
pub fn claim(conn: &mut Connection, now: Instant) -> rusqlite::Result<Option<Claimed>> {
    let tx = begin(conn)?;
    let now = instant_text(now);
    let found = {
        let mut select = tx.prepare_cached(
            "SELECT q.id, q.customer_id, q.occasion, c.phone, c.key
             FROM call_queue AS q JOIN customers AS c ON c.id = q.customer_id
             WHERE q.status IN ('pending', 'retrying') AND q.call_type = 'daily'
               AND coalesce(q.not_before, q.scheduled_for) <= ?1
             ORDER BY coalesce(q.not_before, q.scheduled_for), q.id LIMIT 1",
        )?;
        let mut rows = select.query([&now])?;
        match rows.next()? {
            None => None,
            Some(row) => Some((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
            )),
        }
    };
    let Some((item, customer, occasion, phone, key)) = found else { return Ok(None) };
    let attempt = uuid::Uuid::new_v4().to_string();
    tx.prepare_cached(
        "UPDATE call_queue SET status = 'processing', attempts = attempts + 1, updated_at = ?2
         WHERE id = ?1",
    )?
    .execute(params![item, now])?;
    tx.prepare_cached(
        "INSERT INTO call_attempts (id, seq, queue_id, customer_id, customer_key, call_type,
           occasion, attempt_no, phone, phone_key, state, created_at, updated_at)
         VALUES (?1, ?2, ?2, ?3, ?4, 'daily', ?5, 1, ?6, ?6, 'dialing', ?7, ?7)",
    )?
    .execute(params![attempt, item, customer, key, occasion, phone, now])?;
    tx.commit()?;
    Ok(Some(Claimed { item, customer, attempt }))
}

/// Records the outcome in the attempt, the flag and the item.
pub fn record(conn: &mut Connection, claimed: &Claimed, now: Instant) -> rusqlite::Result<()> {
    let tx = begin(conn)?;
    let now = instant_text(now);
    tx.prepare_cached(
        "UPDATE call_attempts SET state = 'placed', vapi_call_id = ?1, updated_at = ?2
         WHERE id = ?1",
    )?
    .execute(params![claimed.attempt, now])?;
    tx.prepare_cached(
        "UPDATE customers SET last_call_date = substr(?2, 1, 10), last_call_id = ?3,
           next_call_scheduled_at = ?4, total_calls_made = total_calls_made + 1, updated_at = ?2
         WHERE id = ?1",
    )?
    .execute(params![claimed.customer, now, claimed.attempt, "2099-01-01T00:00:00.000Z"])?;
    tx.prepare_cached(
        "UPDATE call_queue SET status = 'completed', processed_at = ?2, updated_at = ?2
         WHERE id = ?1",
    )?
    .execute(params![claimed.item, now])?;
    tx.commit()
}
