//! Brings a copy in memory back to an earlier instant: its queue, ledger, list and pauses as they
//! were then. The journal shows the states that have changed since.

use rusqlite::{Connection, Transaction, params};

use crate::domain::call::{AttemptState, ItemStatus};
use crate::domain::customer::Customer;
use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::do_not_call::DoNotCallEntry;
use crate::store::journal::stops::moves;
use crate::store::meta::pauses::{self, Pause};
use crate::store::queue::{ITEM_COLUMNS, Item, item_from_row};

/// Brings the items and attempts of a copy back to just before the acts at `at`. `file` is the database that was copied.
/// The copy holds no attempt that began later.
pub fn calls(copy: &Transaction<'_>, file: &Connection, at: Instant) -> anyhow::Result<()> {
    let then = instant_text(at);
    copy.execute("DELETE FROM call_queue WHERE ?1 < created_at", [&then])?;
    let sql = format!("SELECT {ITEM_COLUMNS} FROM call_queue");
    let mut read = copy.prepare(&sql)?;
    let items: Vec<Item> = read.query_map([], item_from_row)?.collect::<Result<_, _>>()?;
    for item in items {
        item_then(copy, file, &item, at)?;
    }
    let mut read = copy.prepare("SELECT id, state FROM call_attempts WHERE ?1 < updated_at")?;
    let attempts: Vec<(String, String)> =
        read.query_map([&then], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (id, state) in attempts {
        attempt_then(copy, file, (&id, &state), at)?;
    }
    copy.execute("DELETE FROM calls_elsewhere WHERE ?1 < found_at", [&then])?;
    copy.execute("UPDATE calls_elsewhere SET ignored_at = NULL WHERE ?1 < ignored_at", [&then])?;
    Ok(())
}

fn item_then(
    copy: &Transaction<'_>,
    file: &Connection,
    item: &Item,
    at: Instant,
) -> anyhow::Result<()> {
    let moves = moves(file, &format!("item:{}", item.id), "item")?;
    let status = |text: &Option<String>| text.as_deref().and_then(ItemStatus::parse);
    let before = moves.iter().rev().filter(|(when, ..)| *when < at);
    let after = moves.iter().filter(|(when, ..)| at <= *when);
    let known = before.clone().find_map(|(_, _, new)| status(new));
    let known = known.or(after.clone().find_map(|(_, old, _)| status(old)));
    let status = known.unwrap_or(match item.processed_at {
        Some(ended) if at <= ended => ItemStatus::Pending,
        _ => item.status,
    });
    // An entry with instants moved the item to another time.
    let instant = |text: &Option<String>| text.as_deref().and_then(parse_instant);
    let due = after.clone().find_map(|(_, old, _)| instant(old)).unwrap_or(item.scheduled_for);
    if (status, due) == (item.status, item.scheduled_for) {
        return Ok(());
    }
    let retried_at: Option<String> = match status {
        ItemStatus::Retrying => file
            .prepare_cached(
                "SELECT min(created_at) FROM call_attempts WHERE queue_id = ?1 AND ?2 <= created_at",
            )?
            .query_one(params![item.id, instant_text(at)], |row| row.get(0))?,
        _ => None,
    };
    let reason = (!status.is_active()).then_some(item.reason).flatten();
    copy.prepare_cached(
        "UPDATE OR IGNORE call_queue SET status = ?2, scheduled_for = ?3, not_before = ?4,
           reason = ?5, processed_at = CASE WHEN ?6 THEN NULL ELSE processed_at END
         WHERE id = ?1",
    )?
    .execute(params![
        item.id,
        status.as_str(),
        instant_text(due),
        retried_at,
        reason.map(|reason| reason.as_str()),
        status.is_active(),
    ])?;
    Ok(())
}

fn attempt_then(
    copy: &Transaction<'_>,
    file: &Connection,
    (id, state): (&str, &str),
    at: Instant,
) -> anyhow::Result<()> {
    let moves = moves(file, &format!("attempt:{id}"), "attempt")?;
    let before = moves.iter().rev().filter(|(when, ..)| *when <= at);
    let known = before.clone().find_map(|(_, _, new)| new.as_deref().and_then(AttemptState::parse));
    let then = known.unwrap_or(AttemptState::Dialing);
    if then.as_str() != state && then != AttemptState::Ended {
        copy.prepare_cached(
            "UPDATE OR IGNORE call_attempts SET state = ?2, disposition = NULL, ended_at = NULL
             WHERE id = ?1",
        )?
        .execute([id, then.as_str()])?;
    }
    Ok(())
}

/// Stores a customer's fields that decide about calls, also values that never go back in a file.
pub fn customer(copy: &Transaction<'_>, then: &Customer) -> anyhow::Result<()> {
    copy.execute(
        "UPDATE customers SET timezone = ?2, call_time = ?3, call_schedule = ?4,
           payment_status = ?5, call_status = ?6, phone_validated = ?7,
           welcome_call_completed = ?8, last_call_date = ?9, next_call_scheduled_at = ?10,
           shared_phone = ?11
         WHERE id = ?1",
        params![
            then.id,
            then.timezone,
            then.call_time,
            then.call_schedule,
            then.payment_status,
            then.call_status.as_str(),
            then.phone_validated,
            then.welcome_call_completed,
            then.last_call_date.map(|date| date.to_string()),
            then.next_call_scheduled_at.map(instant_text),
            then.shared_phone,
        ],
    )?;
    // A trigger has set it to the present.
    copy.execute("UPDATE customers SET eligible_from = NULL WHERE id = ?1", [then.id])?;
    Ok(())
}

/// Replaces the do-not-call list and the pauses of the copy.
pub fn stops(
    copy: &Transaction<'_>,
    listed: &[DoNotCallEntry],
    paused: &[(String, Pause)],
) -> anyhow::Result<()> {
    copy.execute("DELETE FROM do_not_call", [])?;
    for entry in listed {
        copy.execute(
            "INSERT INTO do_not_call (phone, reason, source, created_at) VALUES (?1, ?2, ?3, ?4)",
            params![entry.phone, entry.reason, entry.source, instant_text(entry.created_at)],
        )?;
    }
    copy.execute("DELETE FROM meta WHERE key LIKE 'pause:%'", [])?;
    for (scope, pause) in paused {
        pauses::set_pause(copy, scope, pause)?;
    }
    Ok(())
}
