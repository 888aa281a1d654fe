//! L5: moves duplicate queue rows from before the unique indexes out of the queue.
//!
//! Groups rows by the keys of both indexes and keeps the oldest row of each group. A row that was
//! called, or may have been, takes precedence over one that waits. Moves the other rows, whole, to
//! `call_queue_duplicates`. Deletes nothing.

use std::collections::HashSet;

use rusqlite::{Connection, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::store::journal;

/// The indexes that cannot be created while duplicates exist.
pub const GUARDED_INDEXES: &[&str] = &["call_queue_once", "unique_customer_call_active"];

/// A group of rows that should be one.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Group {
    pub customer_id: i64,
    pub call_type: String,
    /// The shared occasion, or `active` for several open items of one type.
    pub key: String,
    pub keep: i64,
    /// Ids of the others, ascending.
    pub surplus: Vec<i64>,
}

/// The result of a cleaning.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct DedupeReport {
    pub groups: Vec<Group>,
    pub moved: usize,
}

/// The result that a cleaning would have now; changes nothing. A row that is surplus in a group by
/// occasion is not counted again among the open items.
pub fn audit(conn: &Connection) -> anyhow::Result<DedupeReport> {
    let mut groups = by_occasion(conn)?;
    let gone: HashSet<i64> =
        groups.iter().flat_map(|group| group.surplus.iter().copied()).collect();
    groups.extend(by_activity(conn, &gone)?);
    let moved = groups.iter().map(|group| group.surplus.len()).sum();
    Ok(DedupeReport { groups, moved })
}

/// Moves the surplus rows. Idempotent: a second run finds nothing.
pub fn clean(tx: &Transaction<'_>, now: Instant, who: &str) -> anyhow::Result<DedupeReport> {
    let report = audit(tx)?;
    for group in &report.groups {
        for surplus in &group.surplus {
            move_row(tx, *surplus, group, now, who)?;
        }
    }
    Ok(report)
}

fn by_occasion(conn: &Connection) -> anyhow::Result<Vec<Group>> {
    let rows = ranked(
        conn,
        "SELECT customer_id, call_type, occasion, id FROM call_queue
         WHERE (customer_id, call_type, occasion) IN (
           SELECT customer_id, call_type, occasion FROM call_queue
           GROUP BY 1, 2, 3 HAVING 1 < count(*))
         ORDER BY customer_id, call_type, occasion,
           CASE WHEN status = 'completed' THEN 0 WHEN vapi_call_id IS NOT NULL THEN 1
             WHEN status = 'processing' OR reason = 'in_doubt' THEN 2 ELSE 3 END,
           created_at, id",
    )?;
    Ok(group(rows))
}

fn by_activity(conn: &Connection, gone: &HashSet<i64>) -> anyhow::Result<Vec<Group>> {
    let rows = ranked(
        conn,
        "SELECT customer_id, call_type, 'active', id FROM call_queue
         WHERE (status = 'pending' OR status = 'retrying' OR status = 'processing')
         ORDER BY customer_id, call_type,
           CASE status WHEN 'processing' THEN 0 ELSE 1 END, created_at, id",
    )?;
    let rows = rows.into_iter().filter(|(_, _, _, id)| !gone.contains(id)).collect();
    Ok(group(rows))
}

type Ranked = (i64, String, String, i64);

fn ranked(conn: &Connection, sql: &str) -> anyhow::Result<Vec<Ranked>> {
    let mut statement = conn.prepare(sql)?;
    let rows =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Expects rows sorted by key, with the row to keep first.
fn group(rows: Vec<Ranked>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (customer_id, call_type, key, id) in rows {
        match groups.last_mut() {
            Some(last)
                if last.customer_id == customer_id
                    && last.call_type == call_type
                    && last.key == key =>
            {
                last.surplus.push(id);
            }
            _ => groups.push(Group { customer_id, call_type, key, keep: id, surplus: Vec::new() }),
        }
    }
    groups.retain(|group| !group.surplus.is_empty());
    groups
}

fn move_row(
    tx: &Transaction<'_>,
    id: i64,
    group: &Group,
    now: Instant,
    who: &str,
) -> anyhow::Result<()> {
    let why = match group.key.as_str() {
        "active" => format!("item {} of the same type is open", group.keep),
        occasion => format!("item {} has the same occasion {occasion}", group.keep),
    };
    tx.prepare_cached(
        "INSERT INTO call_queue_duplicates
         SELECT id, customer_id, call_type, occasion, scheduled_for, status, attempts,
           max_attempts, reason, error_message, vapi_call_id, not_before, expires_at, created_at,
           updated_at, processed_at, ?2, ?3, ?4
         FROM call_queue WHERE id = ?1",
    )?
    .execute(params![id, group.keep, instant_text(now), why])?;
    tx.prepare_cached("DELETE FROM call_queue WHERE id = ?1")?.execute([id])?;
    let (subject, keep) = (format!("item:{id}"), format!("kept item:{}", group.keep));
    journal::add(
        tx,
        now,
        journal::Entry {
            who,
            what: "duplicate moved",
            subject: &subject,
            new: Some(&keep),
            why: Some(&why),
            ..Default::default()
        },
    )
}
