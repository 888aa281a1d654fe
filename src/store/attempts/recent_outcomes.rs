//! The outcomes of the last calls, for the breaker: read backward from the newest attempt.

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::{Instant, instant_text};
use crate::store::cells;

/// Whether each of the last attempts with a known reply failed, newest first. Failed means: not
/// placed, in doubt, or ended by a fault before a person could be reached. Only attempts after the
/// sequence number `after`, and from `since` on.
pub fn last_failures(
    conn: &Connection,
    after: i64,
    since: Instant,
    limit: usize,
) -> anyhow::Result<Vec<bool>> {
    let mut statement = conn.prepare_cached(
        "SELECT state IN ('in_doubt', 'not_placed')
           OR coalesce(disposition IN ('never_dialed', 'failed'), 0)
         FROM call_attempts WHERE ?1 < seq AND state <> 'dialing' AND ?2 <= created_at
         ORDER BY seq DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after, instant_text(since), limit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The refusals of the last attempts with a known reply, newest first; `None` for an attempt that
/// was not refused.
pub fn last_refusals(
    conn: &Connection,
    after: i64,
    limit: usize,
) -> anyhow::Result<Vec<Option<String>>> {
    let mut statement = conn.prepare_cached(
        "SELECT CASE state WHEN 'not_placed' THEN error_message END
         FROM call_attempts WHERE ?1 < seq AND state <> 'dialing' ORDER BY seq DESC LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after, limit], |row| cells::optional_lossy(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The last attempt with a known reply in a span, if a machine failed before anything could ring:
/// its instant, and why. Only an attempt after the sequence number `after`.
pub fn last_not_sent(
    conn: &Connection,
    after: i64,
    (from, to): (Instant, Instant),
) -> anyhow::Result<Option<(Instant, String)>> {
    let last = conn
        .prepare_cached(
            "SELECT made.created_at, made.state = 'not_placed'
               AND (item.status = 'retrying' OR item.reason = 'attempts_used'),
               coalesce(made.error_message, '')
             FROM call_attempts AS made LEFT JOIN call_queue AS item ON item.id = made.queue_id
             WHERE ?1 < made.seq AND made.state <> 'dialing' AND made.created_at <= ?3
               AND ?2 < made.created_at
             ORDER BY made.seq DESC LIMIT 1",
        )?
        .query_one(params![after, instant_text(from), instant_text(to)], |row| {
            let failed: Option<bool> = row.get(1)?;
            Ok((cells::instant(row, 0)?, failed.unwrap_or(false), row.get(2)?))
        })
        .optional()?;
    Ok(last.and_then(|(at, failed, why)| failed.then_some((at, why))))
}
