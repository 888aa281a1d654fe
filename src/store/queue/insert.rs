//! New items, once each: the unique index on the occasion decides. Changes no existing item.

use rusqlite::{Transaction, params};

use crate::domain::call::{CallType, ItemStatus, Reason};
use crate::domain::{Instant, instant_text};
use crate::store::events;
use crate::store::transaction::Moved;

/// The values of a new item.
#[derive(Clone, Debug)]
pub struct NewItem<'a> {
    pub customer_id: i64,
    pub call_type: CallType,
    pub occasion: &'a str,
    pub scheduled_for: Instant,
    pub max_attempts: i64,
    pub expires_at: Option<Instant>,
}

/// L2: inserts the item of a candidate, and checks every condition again in the same statement.
/// `No` if the customer changed or was called, or if the occasion is already queued.
pub fn insert_once(
    tx: &Transaction<'_>,
    new: &NewItem<'_>,
    payment_status: &str,
    now: Instant,
) -> anyhow::Result<Moved> {
    let sql = match new.call_type {
        CallType::Welcome => INSERT_WELCOME,
        _ => INSERT_DAILY,
    };
    let rows = tx.prepare_cached(sql)?.execute(params![
        new.customer_id,
        new.occasion,
        instant_text(new.scheduled_for),
        new.max_attempts,
        new.expires_at.map(instant_text),
        instant_text(now),
        payment_status,
    ])?;
    Ok(Moved::from_rows(rows))
}

const INSERT_WELCOME: &str = "
    INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, max_attempts,
      expires_at, created_at, updated_at)
    SELECT id, 'welcome', ?2, ?3, ?4, ?5, ?6, ?6 FROM customers
    WHERE id = ?1 AND payment_status = ?7 AND phone_validated = 1
      AND (call_status NOT IN ('disabled', 'paused') OR (call_status = 'paused' AND EXISTS (
        SELECT 1 FROM meta WHERE meta.key = 'pause:customer:' || customers.key))) AND welcome_call_completed = 0
      AND NOT EXISTS (SELECT 1 FROM call_attempts AS made
        WHERE made.customer_id = customers.id AND made.call_type = 'welcome'
          AND made.state <> 'not_placed')
    ON CONFLICT (customer_id, call_type, occasion) DO NOTHING";

const INSERT_DAILY: &str = "
    INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, max_attempts,
      expires_at, created_at, updated_at)
    SELECT id, 'daily', ?2, ?3, ?4, ?5, ?6, ?6 FROM customers
    WHERE id = ?1 AND payment_status = ?7 AND phone_validated = 1
      AND (call_status NOT IN ('disabled', 'paused') OR (call_status = 'paused' AND EXISTS (
        SELECT 1 FROM meta WHERE meta.key = 'pause:customer:' || customers.key))) AND next_call_scheduled_at = ?3
      AND (last_call_date IS NULL OR last_call_date < ?2)
      AND NOT EXISTS (SELECT 1 FROM call_attempts AS made
        WHERE made.customer_id = customers.id AND made.call_type = 'daily'
          AND made.occasion = ?2 AND made.state <> 'not_placed')
      AND NOT EXISTS (SELECT 1 FROM call_queue AS open
        WHERE open.customer_id = customers.id AND open.call_type = 'daily'
          AND (open.status = 'pending' OR open.status = 'retrying'
            OR open.status = 'processing'))
    ON CONFLICT (customer_id, call_type, occasion) DO NOTHING";

/// Inserts an item that is over before it began (`too_late`, `already_called`), as the one terminal
/// row of the occasion. `No` if the occasion already has a row.
pub fn insert_settled(
    tx: &Transaction<'_>,
    new: &NewItem<'_>,
    status: ItemStatus,
    reason: Reason,
    now: Instant,
) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for,
               max_attempts, expires_at, status, reason, created_at, updated_at, processed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?9)
             ON CONFLICT (customer_id, call_type, occasion) DO NOTHING",
        )?
        .execute(params![
            new.customer_id,
            new.call_type.as_str(),
            new.occasion,
            instant_text(new.scheduled_for),
            new.max_attempts,
            new.expires_at.map(instant_text),
            status.as_str(),
            reason.as_str(),
            instant_text(now),
        ])?;
    if rows == 1 {
        let occasion = (new.customer_id, new.call_type.as_str(), new.occasion);
        events::occasion::was_over(tx, occasion, now)?;
    }
    Ok(Moved::from_rows(rows))
}

/// Inserts an extra call that a person requested.
pub fn insert_extra(tx: &Transaction<'_>, new: &NewItem<'_>, now: Instant) -> anyhow::Result<i64> {
    tx.prepare_cached(
        "INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, max_attempts,
           expires_at, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
    )?
    .execute(params![
        new.customer_id,
        new.call_type.as_str(),
        new.occasion,
        instant_text(new.scheduled_for),
        new.max_attempts,
        new.expires_at.map(instant_text),
        instant_text(now),
    ])?;
    Ok(tx.last_insert_rowid())
}
