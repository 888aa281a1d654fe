//! Changes of existing items: guarded updates that name the states that an item leaves.

use rusqlite::{Transaction, params};

use crate::domain::call::{ItemStatus, Reason};
use crate::domain::{Instant, instant_text};
use crate::store::events;
use crate::store::journal::By;
use crate::store::journal::{self, Entry};
use crate::store::queue::Item;
use crate::store::transaction::Moved;

/// The new values of an item that moves.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    pub to: ItemStatus,
    pub reason: Option<Reason>,
    /// One line for a person, without a phone number.
    pub error_message: Option<&'a str>,
    /// `None` keeps the existing id.
    pub vapi_call_id: Option<&'a str>,
    pub not_before: Option<Instant>,
    /// `None` keeps the existing last permitted instant.
    pub expires_at: Option<Instant>,
    /// Added to the attempts that count: 1 for a claim, −1 when a claim is returned.
    pub attempts: i64,
}

impl Change<'_> {
    pub fn to(to: ItemStatus) -> Change<'static> {
        Change {
            to,
            reason: None,
            error_message: None,
            vapi_call_id: None,
            not_before: None,
            expires_at: None,
            attempts: 0,
        }
    }

    pub fn because(to: ItemStatus, reason: Reason) -> Change<'static> {
        Change { reason: Some(reason), ..Change::to(to) }
    }
}

/// Items that wait.
pub const WAITING: [ItemStatus; 2] = [ItemStatus::Pending, ItemStatus::Retrying];
/// An item with an attempt in flight.
pub const IN_FLIGHT: [ItemStatus; 1] = [ItemStatus::Processing];

/// Moves an item out of one of the states `from` (at most three), and journals it.
pub fn item(
    tx: &Transaction<'_>,
    item: &Item,
    from: &[ItemStatus],
    change: &Change<'_>,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let By { who, now } = by;
    let state = |n: usize| from.get(n).or(from.last()).map(|status| status.as_str());
    let rows = tx
        .prepare_cached(
            "UPDATE call_queue SET status = ?2, reason = ?3, error_message = ?4,
               vapi_call_id = coalesce(?5, vapi_call_id), not_before = ?6,
               expires_at = coalesce(?7, expires_at), attempts = attempts + ?8, updated_at = ?9,
               processed_at = CASE WHEN ?2 = 'completed' OR ?2 = 'failed' OR ?2 = 'skipped'
                 THEN ?9 ELSE processed_at END
             WHERE id = ?1 AND (status = ?10 OR status = ?11 OR status = ?12)",
        )?
        .execute(params![
            item.id,
            change.to.as_str(),
            change.reason.map(Reason::as_str),
            change.error_message,
            change.vapi_call_id,
            change.not_before.map(instant_text),
            change.expires_at.map(instant_text),
            change.attempts,
            instant_text(now),
            state(0),
            state(1),
            state(2),
        ])?;
    if rows == 1 {
        let subject = format!("item:{}", item.id);
        let entry = Entry {
            who,
            what: "item",
            subject: &subject,
            old: Some(item.status.as_str()),
            new: Some(change.to.as_str()),
            why: change.reason.map(Reason::as_str),
        };
        journal::add(tx, now, entry)?;
        if !change.to.is_active() {
            events::occasion::may_be_over(tx, item.id, now)?;
        }
    }
    Ok(Moved::from_rows(rows))
}

/// Keeps a waiting item waiting, with a reason for display; writes only a change.
pub fn park(
    tx: &Transaction<'_>,
    item: &Item,
    reason: Reason,
    not_before: Option<Instant>,
    now: Instant,
) -> anyhow::Result<()> {
    if item.reason == Some(reason) && item.not_before == not_before {
        return Ok(());
    }
    tx.prepare_cached(
        "UPDATE call_queue SET reason = ?2, not_before = ?3, updated_at = ?4
         WHERE id = ?1 AND status IN ('pending', 'retrying')",
    )?
    .execute(params![
        item.id,
        reason.as_str(),
        not_before.map(instant_text),
        instant_text(now)
    ])?;
    Ok(())
}

// An update of a row that cannot be read may be refused, and with it the update of all others.

/// Ends the wait of items with the reason `paused`, because a person lifted a pause.
pub fn wake_paused(tx: &Transaction<'_>, now: Instant) -> anyhow::Result<usize> {
    Ok(tx
        .prepare_cached(
            "UPDATE call_queue SET not_before = ?1, updated_at = ?1
             WHERE status IN ('pending', 'retrying') AND reason = 'paused' AND ?1 < not_before
               AND id NOT IN (SELECT CAST(row AS INTEGER) FROM quarantine
                 WHERE place = 'call_queue')",
        )?
        .execute([instant_text(now)])?)
}

/// Ends the wait of items that a rule holds back, because the rules changed. They are due now, or
/// at their scheduled instant. A retry keeps its instant: it has no reason before then.
pub fn wake_waiting(tx: &Transaction<'_>, now: Instant) -> anyhow::Result<usize> {
    Ok(tx
        .prepare_cached(
            "UPDATE call_queue SET not_before = max(?1, scheduled_for), updated_at = ?1
             WHERE status IN ('pending', 'retrying') AND ?1 < not_before
               AND reason IN ('cap', 'min_gap', 'holiday', 'outside_window')
               AND id NOT IN (SELECT CAST(row AS INTEGER) FROM quarantine
                 WHERE place = 'call_queue')",
        )?
        .execute([instant_text(now)])?)
}

/// Marks every due item that was not dialed because of the line limit, the breaker or a hold.
pub fn mark_left(tx: &Transaction<'_>, reason: Reason, now: Instant) -> anyhow::Result<usize> {
    Ok(tx
        .prepare_cached(
            "UPDATE call_queue SET reason = ?1, updated_at = ?2
             WHERE status IN ('pending', 'retrying') AND call_type IN ('welcome', 'daily', 'extra')
               AND coalesce(not_before, scheduled_for) <= ?2
               AND (reason IS NULL OR (reason IN ('no_line', 'breaker', 'held') AND reason <> ?1))
               AND id NOT IN (SELECT CAST(row AS INTEGER) FROM quarantine
                 WHERE place = 'call_queue')",
        )?
        .execute([reason.as_str(), &instant_text(now)])?)
}

/// Gives a waiting item another instant, and the occasion of that instant. Clears its reason, its
/// wait and its last permitted instant, which are computed again.
pub fn reschedule(
    tx: &Transaction<'_>,
    item: &Item,
    at: Instant,
    occasion: &str,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let By { who, now } = by;
    let rows = tx
        .prepare_cached(
            "UPDATE call_queue SET scheduled_for = ?2, occasion = ?3, reason = NULL,
               not_before = NULL, expires_at = NULL, updated_at = ?4
             WHERE id = ?1 AND status IN ('pending', 'retrying')",
        )?
        .execute(params![item.id, instant_text(at), occasion, instant_text(now)])?;
    if rows == 1 {
        let subject = format!("item:{}", item.id);
        let (old, new) = (instant_text(item.scheduled_for), instant_text(at));
        let entry = Entry {
            who,
            what: "item",
            subject: &subject,
            old: Some(&old),
            new: Some(&new),
            why: Some("the customer's time or zone, or the rules of the zone, changed"),
        };
        journal::add(tx, now, entry)?;
    }
    Ok(Moved::from_rows(rows))
}
