//! L4: the customer's flags of a made call, written once and proven, and the next occasion.

use anyhow::bail;
use chrono::NaiveDate;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::call::{CallType, daily_occasion};
use crate::domain::{Instant, instant_text};
use crate::store::events;
use crate::store::journal::By;
use crate::store::journal::{self, Entry};

/// Sets the flag of a placed call and proves it: the update must return exactly one row that has
/// the flag.
///
/// A date never moves backward, even if an old doubt is settled late. An error means that the flag
/// is not proven. The caller then undoes this part, keeps the attempt as placed, and halts.
pub fn prove_called(
    tx: &Transaction<'_>,
    customer_id: i64,
    call_type: CallType,
    occasion: &str,
    call_id: Option<&str>,
    now: Instant,
) -> anyhow::Result<()> {
    let sql = match call_type {
        CallType::Welcome => {
            "UPDATE customers SET welcome_call_completed = 1, last_call_id = coalesce(?2, last_call_id),
               total_calls_made = total_calls_made + 1, consecutive_failures = 0, updated_at = ?3,
               call_status = CASE WHEN call_status IN ('paused', 'disabled') THEN call_status
                 ELSE 'completed' END
             WHERE id = ?1 AND ?4 = 'welcome'
             RETURNING welcome_call_completed = 1"
        }
        CallType::Daily => {
            "UPDATE customers SET last_call_date = max(coalesce(last_call_date, ''), ?4),
               last_call_id = coalesce(?2, last_call_id), total_calls_made = total_calls_made + 1,
               consecutive_failures = 0, updated_at = ?3,
               call_status = CASE WHEN call_status IN ('paused', 'disabled') THEN call_status
                 ELSE 'completed' END
             WHERE id = ?1
             RETURNING ?4 <= last_call_date"
        }
        CallType::Extra => {
            "UPDATE customers SET last_call_id = coalesce(?2, last_call_id),
               total_calls_made = total_calls_made + 1, updated_at = ?3
             WHERE id = ?1 AND ?4 <> ''
             RETURNING 1"
        }
    };
    let mut statement = tx.prepare_cached(sql)?;
    let returned: Vec<bool> = statement
        .query_map(params![customer_id, call_id, instant_text(now), occasion], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if returned != [true] {
        bail!(
            "the {call_type} flag of customer {customer_id} was not proven: {} rows came back",
            returned.len()
        );
    }
    if !is_marked(tx, customer_id, call_type, occasion)? {
        bail!("the {call_type} flag of customer {customer_id} is gone again after it was written");
    }
    Ok(())
}

/// Whether the customer is there and has no welcome flag.
pub fn is_not_welcomed(conn: &Connection, customer_id: i64) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM customers
         WHERE id = ?1 AND welcome_call_completed = 0)";
    Ok(conn.prepare_cached(sql)?.query_one([customer_id], |row| row.get(0))?)
}

/// Whether the customer's flags show the occasion as called. Extra calls have no flag.
fn is_marked(
    conn: &Connection,
    customer_id: i64,
    call_type: CallType,
    occasion: &str,
) -> anyhow::Result<bool> {
    let sql = match call_type {
        CallType::Extra => return Ok(true),
        CallType::Welcome => {
            "SELECT welcome_call_completed = 1 FROM customers WHERE id = ?1 AND ?2 <> ''"
        }
        CallType::Daily => "SELECT coalesce(?2 <= last_call_date, 0) FROM customers WHERE id = ?1",
    };
    let marked = conn
        .prepare_cached(sql)?
        .query_one(params![customer_id, occasion], |row| row.get(0))
        .optional()?;
    Ok(marked.unwrap_or(false))
}

/// Counts a failed occasion. At `disable_after` failures in a row, disables the customer and
/// journals it; 0 never disables. Returns whether it disabled the customer.
pub fn count_failure(
    tx: &Transaction<'_>,
    customer_id: i64,
    disable_after: i64,
    by: By<'_>,
) -> anyhow::Result<bool> {
    let By { who, now } = by;
    let failures: Option<i64> = tx
        .prepare_cached(
            "UPDATE customers SET consecutive_failures = consecutive_failures + 1, updated_at = ?2,
               call_status = CASE WHEN call_status IN ('paused', 'disabled') THEN call_status
                 ELSE 'failed' END
             WHERE id = ?1 RETURNING consecutive_failures",
        )?
        .query_one(params![customer_id, instant_text(now)], |row| row.get(0))
        .optional()?;
    let too_many = failures.is_some_and(|failures| disable_after > 0 && disable_after <= failures);
    if !too_many {
        return Ok(false);
    }
    let rows = tx
        .prepare_cached(
            "UPDATE customers SET call_status = 'disabled', updated_at = ?2
             WHERE id = ?1 AND call_status NOT IN ('disabled', 'paused')",
        )?
        .execute(params![customer_id, instant_text(now)])?;
    if rows == 1 {
        let subject = format!("customer:{customer_id}");
        let why = format!("{} failed occasions in a row", failures.unwrap_or_default());
        let entry = Entry {
            who,
            what: "customer",
            subject: &subject,
            new: Some("disabled"),
            why: Some(&why),
            ..Entry::default()
        };
        journal::add(tx, now, entry)?;
        events::customer_disabled(tx, customer_id, failures.unwrap_or_default(), now)?;
    }
    Ok(rows == 1)
}

/// Whether a date can still become a daily occasion: it has no item, and no attempt except
/// `not_placed` ones.
pub fn date_is_free(conn: &Connection, customer_id: i64, date: NaiveDate) -> anyhow::Result<bool> {
    let taken: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM call_queue
               WHERE customer_id = ?1 AND call_type = 'daily' AND occasion = ?2)
             OR EXISTS (SELECT 1 FROM call_attempts
               WHERE customer_id = ?1 AND call_type = 'daily' AND occasion = ?2
                 AND state <> 'not_placed')",
        )?
        .query_one(params![customer_id, daily_occasion(date)], |row| row.get(0))?;
    Ok(!taken)
}

/// Stores the instant of the next occasion; `None`: no daily calls.
pub fn set_next(
    tx: &Transaction<'_>,
    customer_id: i64,
    next: Option<Instant>,
) -> anyhow::Result<()> {
    tx.prepare_cached("UPDATE customers SET next_call_scheduled_at = ?2 WHERE id = ?1")?
        .execute(params![customer_id, next.map(instant_text)])?;
    Ok(())
}
